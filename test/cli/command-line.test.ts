import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { controlSocketPath } from '../../src/cli/control-protocol.ts';
import { mountAt } from '../../src/mount/mount-table.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import {
  daemonEnvironment,
  freshMountpoint,
  isMounted,
  mountRepository,
  processesNaming,
  vostMount,
  vostMountProgram,
} from '../helpers/mount.ts';
import { program, programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

let directory: string;
let gitDir: string;

beforeAll(async () => {
  directory = await temporaryDirectory();
  gitDir = join(directory, 'repo.git');
  await git(['init', '--quiet', '--bare', gitDir]);
  await git(['-C', directory, 'init', '--quiet', 'work']);
  await shell('echo 1 > file', { cwd: join(directory, 'work') });
  await git(['-C', join(directory, 'work'), 'add', '-A']);
  await git(['-C', join(directory, 'work'), 'commit', '--quiet', '-m', 'First']);
  await git(['-C', join(directory, 'work'), 'push', '--quiet', gitDir, 'HEAD:main']);
});

/** One line on stderr, nothing on stdout. */
async function failure(args: readonly string[], exitCode = 1): Promise<string> {
  const result = await vostMount(args);
  expect(result).toMatchObject({ exitCode, stdout: '' });
  expect(result.stderr).toMatch(/^vost-mount: .*\n$/);
  return result.stderr;
}

describe('what cannot be mounted is said in one line', () => {
  test('wrong usage, with exit code 2', async () => {
    expect(await failure([gitDir], 2)).toContain('a repository and a mountpoint are needed');
    expect(await failure([gitDir, '/mnt', '--nonsense'], 2)).toContain('no option --nonsense');
    expect(await failure([gitDir, '/mnt', '-o', 'nonsense'], 2)).toContain('"nonsense"');
  });

  test('and the daemon that was started while the command line was read ends', async () => {
    const mountpoint = await freshMountpoint();
    await failure([gitDir, mountpoint, '--nonsense'], 2);
    await failure(['--commit-on', 'nonsense', gitDir, mountpoint], 2);
    await eventually(() => expect(processesNaming(mountpoint)).toEqual([]), 10_000);
  });

  test('a current directory that is gone', async () => {
    const gone = await temporaryDirectory();
    const script = `rmdir "${gone}"; "$0" "$@"`;
    const args = ['-c', script, process.execPath, vostMountProgram, 'here.git', 'mnt'];
    const { exitCode, stderr } = await programResult('sh', args, { cwd: gone });
    expect([exitCode, stderr]).toEqual([
      1,
      'vost-mount: the current directory is not there any more: go to another one first\n',
    ]);
  });

  // In both forms: the daemon's words reach whoever started it.
  describe.each([['in the background'], ['-f']])('%s', (form) => {
    const refusal = async (
      repository: string,
      mountpoint: string,
      ...more: string[]
    ): Promise<string> => {
      const message = await failure([
        repository,
        mountpoint,
        ...more,
        ...(form === '-f' ? [form] : []),
      ]);
      expect(await isMounted(mountpoint)).toBe(false);
      return message;
    };

    test('a missing repository with --no-create', async () => {
      const missing = join(directory, 'missing.git');
      const message = await refusal(missing, await freshMountpoint(), '--no-create');
      expect(message).toContain(missing);
      expect(message).toMatch(/does not exist/);
      expect(await programResult('ls', [missing])).toMatchObject({ exitCode: 2 });
    });

    test('a file or a directory that is no repository', async () => {
      const file = join(directory, 'work/file');
      expect(await refusal(file, await freshMountpoint())).toContain(file);
      const plain = join(directory, 'plain');
      await mkdir(join(plain, 'sub'), { recursive: true });
      const message = await refusal(plain, await freshMountpoint());
      expect(message).toMatch(/no git repository|not a git repository/);
    });

    test('a repository in a format that is not read', async () => {
      const odd = join(directory, `odd-${form.length}.git`);
      await git(['init', '--quiet', '--bare', odd]);
      await git(['--git-dir', odd, 'config', 'core.repositoryFormatVersion', '1']);
      await git(['--git-dir', odd, 'config', 'extensions.somethingNew', 'true']);
      expect(await refusal(odd, await freshMountpoint())).toMatch(/somethingnew/i);
    });

    test('a mountpoint that is missing', async () => {
      const missing = `${await freshMountpoint()}/missing`;
      const message = await refusal(gitDir, missing);
      expect(message).toContain(`${missing} does not exist`);
      expect(message).toContain('mkdir -p');
    });

    test('a mountpoint that is no directory', async () => {
      const file = `${await freshMountpoint()}/file`;
      await writeFile(file, '');
      expect(await refusal(gitDir, file)).toContain(`${file} is not a directory`);
      expect(await refusal(gitDir, `${file}/below`)).toContain('is not a directory');
    });

    test('a mountpoint that is not empty, unless that is meant', async () => {
      const mountpoint = await freshMountpoint();
      await writeFile(join(mountpoint, 'covered'), '');
      expect(await refusal(gitDir, mountpoint)).toContain('-o nonempty');
      expect(await vostMount([gitDir, mountpoint, '-o', 'nonempty'])).toMatchObject({
        exitCode: 0,
      });
      expect(await program('ls', [mountpoint])).toBe('main\n');
      expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
      expect(await program('ls', [mountpoint])).toBe('covered\n');
    });

    test('a mountpoint that holds the repository, or is inside of it', async () => {
      expect(await refusal(gitDir, directory, '-o', 'nonempty')).toContain(
        `holds ${gitDir}, which the mount itself needs`,
      );
      expect(await refusal(gitDir, join(gitDir, 'objects'), '-o', 'nonempty')).toContain(
        'inside the repository',
      );
    });

    test('a ref, a tag or a branch that does not exist', async () => {
      const said = async (option: string, name: string, ...more: string[]): Promise<string> =>
        refusal(gitDir, await freshMountpoint(), option, name, ...more);
      expect(await said('--ref', 'nothing')).toContain('nothing');
      expect(await said('--ref', 'main~99')).toContain(
        'there is no main~99: there are only so many',
      );
      expect(await said('--tag', 'main')).toContain('there is no tag main');
      expect(await said('--branch', 'nothing')).toContain('there is no branch nothing');
      expect(await said('--branch', 'main', '--match', 'x')).toContain('no commit is as asked for');
      expect(await refusal(gitDir, await freshMountpoint(), '--branch', 'no..name')).toContain(
        'no..name',
      );
    });

    test('a log file that cannot be written', async () => {
      const log = join(directory, 'missing/log');
      expect(await refusal(gitDir, await freshMountpoint(), '--log-file', log)).toContain(log);
    });

    test('a place for the spool that is none', async () => {
      const file = join(directory, 'spooled');
      await writeFile(file, '');
      expect(await refusal(gitDir, await freshMountpoint(), '--spool-dir', file)).toContain(
        `content cannot wait in ${file}`,
      );
    });

    test('no /dev/fuse', async () => {
      const mountpoint = await freshMountpoint();
      const inner = [
        process.execPath,
        vostMountProgram,
        gitDir,
        mountpoint,
        form === '-f' ? form : '',
      ];
      const script = `mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec ${inner.join(' ')}`;
      const { exitCode, stderr } = await programResult('unshare', ['-m', 'sh', '-c', script]);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^vost-mount: .*\/dev\/fuse.*\n$/);
    });

    test('a /dev/fuse that cannot be opened', async () => {
      const open = async (prepare: string): Promise<string> => {
        const command = [process.execPath, vostMountProgram, gitDir, await freshMountpoint()];
        if (form === '-f') command.push(form);
        const args = ['-m', 'sh', '-euc', `${prepare}; exec "$@"`, 'sh', ...command];
        const { exitCode, stderr } = await programResult('unshare', args);
        expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/^vost-mount: .*\n$/)]);
        return stderr;
      };
      const device = await temporaryDirectory();
      const nodev = `mount -t tmpfs -o nodev none ${device}; mknod ${device}/fuse c 10 229
        mount --bind ${device}/fuse /dev/fuse`;
      expect(await open(nodev)).toContain('a container needs the device and the right to mount');
      const directory = 'mount -t tmpfs none /dev; mknod /dev/null c 1 3; mkdir /dev/fuse';
      expect(await open(directory)).toContain('cannot open /dev/fuse: EISDIR');
    });

    test('root without the right to mount', async () => {
      const mountpoint = await freshMountpoint();
      const { exitCode, stderr } = await programResult('setpriv', [
        ...['--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin'],
        ...[process.execPath, vostMountProgram, gitDir, mountpoint],
        ...(form === '-f' ? [form] : []),
      ]);
      expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/^vost-mount: .*\n$/)]);
      expect(stderr).toContain('CAP_SYS_ADMIN');
    });

    test('no permission', async () => {
      const mountpoint = await freshMountpoint();
      await shell('chmod 777 .; chmod 755 ..', { cwd: mountpoint });
      await program('chmod', ['755', directory]);
      const { exitCode, stderr } = await programResult('setpriv', [
        ...['--reuid', '65534', '--regid', '65534', '--clear-groups', '--inh-caps=-all'],
        ...[
          process.execPath,
          vostMountProgram,
          gitDir,
          mountpoint,
          ...(form === '-f' ? [form] : []),
        ],
      ]);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^vost-mount: .*(\/dev\/fuse|permission|root).*\n$/i);
    });
  });
});

describe('in the background', () => {
  test('returns when the mount answers; the daemon has let go of everything', async () => {
    const mountpoint = await freshMountpoint();
    const log = join(await temporaryDirectory(), 'log');
    // As pipes: the command must not keep its output open through the daemon.
    const result = await vostMount([gitDir, mountpoint, '--log-file', log], { cwd: mountpoint });
    expect(result).toEqual({ exitCode: 0, stdout: '', stderr: '' });
    expect(await program('cat', [join(mountpoint, 'main/file')])).toBe('1\n');
    const status = JSON.parse((await vostMount(['status', mountpoint, '--json'])).stdout) as {
      pid: number;
      repository: string;
    };
    expect(status.repository).toBe(gitDir);
    expect(await program('readlink', [`/proc/${status.pid}/cwd`])).toBe('/\n');
    expect(await program('readlink', [`/proc/${status.pid}/fd/0`])).toBe('/dev/null\n');
    expect(await program('readlink', [`/proc/${status.pid}/fd/2`])).toBe(`${log}\n`);
    const session = await program('ps', ['-o', 'sid=', '-p', String(status.pid)]);
    expect(Number(session)).toBe(status.pid);
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
    await eventually(async () => {
      expect((await programResult('kill', ['-0', String(status.pid)])).exitCode).not.toBe(0);
    });
  });

  test('says when a log is asked for that goes nowhere', async () => {
    const mountpoint = await freshMountpoint();
    expect(await vostMount([gitDir, mountpoint, '--debug'])).toEqual({
      ...{ exitCode: 0, stdout: '' },
      stderr:
        'vost-mount: in the background the log goes nowhere; add -f, or --log-file with a path\n',
    });
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0, stderr: '' });
  });

  test('paths may be relative, and the mountpoint a link', async () => {
    const mountpoint = await freshMountpoint();
    const above = { cwd: join(mountpoint, '..') };
    await symlink('mnt', join(mountpoint, '../link'));
    await symlink(gitDir, join(mountpoint, '../repo'));
    expect(await vostMount(['repo', 'link'], above)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await isMounted(mountpoint)).toBe(true);
    expect(await vostMount(['unmount', 'link'], above)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await isMounted(mountpoint)).toBe(false);
  });

  test('paths may hold what shells and mount tables escape', async () => {
    const mountpoint = join(await freshMountpoint(), 'a b\t"ü\\,x=y');
    await mkdir(mountpoint);
    const odd = join(await temporaryDirectory(), 'odd ,name=\\.git');
    expect(await vostMount([odd, mountpoint])).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await vostMount(['list'])).stdout).toContain(`${odd}  ${mountpoint}\n`);
    expect(await program('ls', [mountpoint])).toBe('main\n');
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0, stderr: '' });
    await fsck(odd);
  });
});

test('mount(8) mounts by the type, with the options of fstab', async () => {
  // As after an installation, but for these commands alone: the program is found by its name.
  const bin = await temporaryDirectory();
  await symlink(vostMountProgram, join(bin, 'vost-mount'));
  const mountpoint = await freshMountpoint();
  const script = `
    mount --bind ${bin} /usr/local/sbin
    mount -t fuse.vost-mount -o noauto,user,_netdev,noexec,branch=main,x-own ${gitDir} ${mountpoint}
    cd ${mountpoint}; cat file; echo '#!/bin/sh' > run; chmod 755 run
    ./run 2>&1 || true
    cd /; umount ${mountpoint}
  `;
  const output = await program('unshare', ['-m', 'sh', '-euc', script], { env: daemonEnvironment });
  expect(output).toMatch(/^1\n.*run: Permission denied\n$/);
  await eventually(() => git(['--git-dir', gitDir, 'show', 'main:run']));
  await git(['--git-dir', gitDir, 'update-ref', 'refs/heads/main', 'main~1']);
});

describe('a mountpoint in use', () => {
  test('by a live mount is refused', async () => {
    const mounted = await mountRepository(gitDir);
    expect(await failure([gitDir, mounted.mountpoint])).toMatch(
      /already has .* mounted.*vost-mount unmount/,
    );
    expect(await failure([gitDir, mounted.mountpoint, '-o', 'nonempty'])).toMatch(/already has/);
    await mounted.unmount();
  });

  test('by the mount of a crashed daemon is taken over', async () => {
    const mounted = await mountRepository(gitDir);
    const { mountpoint } = mounted;
    await mounted.stop('SIGKILL');
    expect((await programResult('ls', [mountpoint])).stderr).toContain('not connected');
    expect((await vostMount(['list'])).stdout).toContain(`${mountpoint}  (dead)`);
    expect(await failure(['status', mountpoint])).toContain(
      `has lost its daemon; mount it again, or take the mount away with: vost-mount unmount ${mountpoint}`,
    );
    expect(await vostMount([gitDir, mountpoint])).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await program('cat', [join(mountpoint, 'main/file')])).toBe('1\n');
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
    expect(await isMounted(mountpoint)).toBe(false);
  });

  test('by a daemon that hangs is refused, in bounded time', async () => {
    const mounted = await mountRepository(gitDir);
    process.kill(mounted.pid, 'SIGSTOP');
    try {
      expect(await failure([gitDir, mounted.mountpoint])).toContain('does not answer');
      expect((await vostMount(['list'])).stdout).toContain(`${mounted.mountpoint}  (hanging)`);
      expect(await failure(['status', mounted.mountpoint])).toContain('does not answer');
    } finally {
      process.kill(mounted.pid, 'SIGCONT');
    }
    await mounted.unmount();
  });
});

test('unmount takes away a mount whose daemon hangs, and nothing that is closed is lost', async () => {
  const mounted = await mountRepository(gitDir, { args: ['--commit-delay', '1m'] });
  await shell('echo kept > main/kept', { cwd: mounted.mountpoint });
  process.kill(mounted.pid, 'SIGSTOP');
  try {
    const { exitCode, stderr } = await vostMount(['unmount', mounted.mountpoint]);
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/^vost-mount: .* is unmounted, but its daemon hangs;.*\n$/);
    expect(await isMounted(mounted.mountpoint)).toBe(false);
  } finally {
    process.kill(mounted.pid, 'SIGCONT');
  }
  expect(await mounted.ended()).toMatchObject({ exitCode: 0 });
  expect(await git(['--git-dir', gitDir, 'show', 'main:kept'])).toBe('kept\n');
  await git(['--git-dir', gitDir, 'update-ref', 'refs/heads/main', 'main~1']);
});

test('unmount takes away a mount whose control socket is gone, and the daemon commits', async () => {
  const mounted = await mountRepository(gitDir, { args: ['--commit-delay', '1m'] });
  await rm(controlSocketPath((await mountAt(mounted.mountpoint))!));
  expect(await failure(['status', mounted.mountpoint])).toContain('has lost its daemon');
  await shell('echo kept > main/kept', { cwd: mounted.mountpoint });
  const { exitCode, stderr } = await vostMount(['unmount', mounted.mountpoint]);
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/^vost-mount: .* is unmounted, but its daemon could not be asked;.*\n$/);
  expect(await isMounted(mounted.mountpoint)).toBe(false);
  expect(await mounted.ended()).toMatchObject({ exitCode: 0 });
  expect(await git(['--git-dir', gitDir, 'show', 'main:kept'])).toBe('kept\n');
  await git(['--git-dir', gitDir, 'update-ref', 'refs/heads/main', 'main~1']);
});

describe('the verbs', () => {
  test('list, status, commit and unmount', async () => {
    const mounted = await mountRepository(gitDir, { args: ['--commit-on', 'manual'] });
    const { mountpoint } = mounted;
    const list = JSON.parse((await vostMount(['list', '--json'])).stdout) as object[];
    expect(list).toContainEqual({ repository: gitDir, mountpoint, state: 'live' });
    await program('sh', ['-c', 'echo 2 > main/file'], { cwd: mountpoint });
    const words = await vostMount(['status', mountpoint]);
    expect(words).toMatchObject({ exitCode: 0, stderr: '' });
    expect(words.stdout).toMatch(/branch +main: at \w{12}, 1 staged \(2 bytes\)/);
    const committed = await vostMount(['commit', mountpoint, '-m', 'By hand']);
    const tip = await git(['--git-dir', gitDir, 'log', '-1', '--format=%H', 'main']);
    expect(committed).toMatchObject({ exitCode: 0, stdout: `main ${tip}`, stderr: '' });
    expect(await git(['--git-dir', gitDir, 'log', '-1', '--format=%s', 'main'])).toBe('By hand\n');
    const again = await vostMount(['commit', mountpoint, '-m', 'Once more']);
    expect(again).toMatchObject({ exitCode: 0, stdout: '' });
    expect(again.stderr).toBe('vost-mount: nothing was left to commit\n');
    expect(await git(['--git-dir', gitDir, 'show', 'main:file'])).toBe('2\n');
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0, stdout: '' });
    expect(await mounted.ended()).toMatchObject({ exitCode: 0 });
  });

  test('list a mount whose repository is gone, and all others', async () => {
    const path = join(await temporaryDirectory(), 'repo.git');
    const mounted = await mountRepository(path);
    await rename(path, `${path}.away`);
    const list = await vostMount(['list']);
    await rename(`${path}.away`, path);
    expect(list).toMatchObject({ exitCode: 0, stderr: '' });
    expect(list.stdout).toContain(`${path}  ${mounted.mountpoint}\n`);
    await mounted.unmount();
  });

  test('work where a branch is mounted at the root', async () => {
    const mounted = await mountRepository(gitDir, { args: ['--branch', 'main'] });
    const status = await vostMount(['status', mounted.mountpoint, '--json']);
    expect(JSON.parse(status.stdout)).toMatchObject({ repository: gitDir, pid: mounted.pid });
    expect(await vostMount(['unmount', mounted.mountpoint])).toMatchObject({ exitCode: 0 });
  });

  test('refuse what is no mount', async () => {
    for (const verb of ['status', 'commit', 'unmount']) {
      expect(await failure([verb, directory])).toContain('is no vost mount');
      expect(await failure([verb, '/nowhere/at/all'])).toContain('is no vost mount');
    }
  });

  test('name the mount when they are given what is inside of it, without a look into it', async () => {
    const mounted = await mountRepository(gitDir);
    process.kill(mounted.pid, 'SIGSTOP');
    try {
      expect(await failure(['status', join(mounted.mountpoint, 'main/file')])).toContain(
        `is inside of the mount at ${mounted.mountpoint}`,
      );
    } finally {
      process.kill(mounted.pid, 'SIGCONT');
    }
    await mounted.unmount();
  });

  test('fail where their output cannot be written, in one line', async () => {
    const command = [process.execPath, vostMountProgram, '--help'];
    const full = await programResult('sh', ['-c', `exec "$@" > /dev/full`, 'sh', ...command]);
    expect([full.exitCode, full.stderr]).toEqual([
      1,
      'vost-mount: cannot write the output: ENOSPC: no space left on device, write\n',
    ]);
    // Nobody reads: what `| head` leaves behind.
    const script = `
import os, subprocess, sys
r, w = os.pipe()
os.close(r)
sys.exit(subprocess.run(sys.argv[1:], stdout=w).returncode)
`;
    const left = await programResult('python3', ['-c', script, ...command]);
    expect([left.exitCode, left.stderr]).toEqual([1, '']);
  });

  test('--help and --version print to stdout', async () => {
    const help = await vostMount(['--help']);
    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    for (const word of ['--branch', '--commit-on', 'unmount <mountpoint>']) {
      expect(help.stdout).toContain(word);
    }
    expect(await vostMount(['--version'])).toMatchObject({ exitCode: 0, stdout: '0.1.0\n' });
  });
});

test('options may stand before, between and behind the paths', async () => {
  const mountpoint = await freshMountpoint();
  const orders = [
    [gitDir, mountpoint, '--branch', 'main', '--read-only'],
    ['--read-only', '--branch', 'main', gitDir, mountpoint],
    ['--read-only', gitDir, '--branch', 'main', mountpoint],
    ['-b', 'main', gitDir, mountpoint, '-o', 'ro'],
    ['--read-only', '--branch', 'main', '--', gitDir, mountpoint],
  ];
  const content = await git(['--git-dir', gitDir, 'show', 'main:file']);
  for (const args of orders) {
    expect(await vostMount(args), args.join(' ')).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await program('cat', [join(mountpoint, 'file')])).toBe(content);
    // The daemon of the mount before may take a moment longer than its mount.
    await eventually(() => expect(processesNaming(mountpoint)).toHaveLength(1), 10_000);
    expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0 });
  }
  await eventually(() => expect(processesNaming(mountpoint)).toEqual([]), 10_000);
});
