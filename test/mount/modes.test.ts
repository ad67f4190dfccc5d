import { constants, opendirSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { mountAt } from '../../src/mount/mount-table.ts';
import { fsck, git } from '../helpers/git.ts';
import { freshMountpoint, mountRepository, vostMount, vostMountProgram } from '../helpers/mount.ts';
import { program, programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';

let gitDir: string;
const inRepository = (...args: string[]): Promise<string> => git(['--git-dir', gitDir, ...args]);

beforeAll(async () => {
  const directory = await temporaryDirectory();
  gitDir = join(directory, 'repo.git');
  const work = join(directory, 'work');
  await git(['init', '--quiet', work]);
  for (const version of ['1', '2', '3']) {
    await shell(`echo ${version} > file; mkdir -p dir; echo ${version} > dir/file-${version}`, {
      cwd: work,
    });
    await git(['-C', work, 'add', '-A']);
    await git(['-C', work, 'commit', '--quiet', '-m', `Version ${version}`]);
    await git(['-C', work, 'tag', '-a', '-m', version, `v${version}`]);
  }
  await git(['-C', work, 'branch', 'feature/x', 'v2']);
  await git(['-C', work, 'branch', 'feature/written', 'v2']);
  await git(['-C', work, 'branch', 'feature/listed', 'v2']);
  await git(['clone', '--quiet', '--mirror', work, gitDir]);
});

async function mountWith(...args: string[]): Promise<{
  sh: (script: string) => Promise<string>;
  /** What a command that must fail says. */
  refusal: (script: string) => Promise<string>;
  mountpoint: string;
  unmount: () => Promise<void>;
}> {
  const { mountpoint, unmount } = await mountRepository(gitDir, { args });
  return {
    mountpoint,
    unmount,
    sh: (script) => shell(script, { cwd: mountpoint }),
    refusal: async (script) => {
      const { exitCode, stderr } = await programResult('sh', ['-c', script], { cwd: mountpoint });
      expect(exitCode, script).not.toBe(0);
      return stderr;
    },
  };
}

describe('access(2)', () => {
  const file = join('.tags', 'v1', 'file');

  test('says of a snapshot that it cannot be written, where the kernel asks', async () => {
    for (const args of [[], ['--read-only']]) {
      const { mountpoint, refusal, unmount } = await mountWith(...args);
      await expect(access(join(mountpoint, file), constants.W_OK)).rejects.toThrow('EROFS');
      expect(await refusal(`echo x >> ${file}`)).toContain(readOnly);
      await unmount();
    }
  });

  test('says of a snapshot that it can be written, where the kernel goes by modes', async () => {
    const { mountpoint, refusal, unmount } = await mountWith('--allow-other');
    await access(join(mountpoint, file), constants.W_OK);
    expect(await refusal(`echo x >> ${file}`)).toContain(readOnly);
    await unmount();
  });

  test.each([[[]], [['--allow-other']], [['--read-only']]])(
    'knows what can be executed, %s',
    async (args) => {
      const { sh, refusal, unmount } = await mountWith(...args);
      await sh('[ -x main ] && [ -x main/dir ] && cd main/dir');
      await refusal('[ -x main/file ]');
      expect(await refusal('main/file')).toContain('Permission denied');
      await unmount();
    },
  );

  test('sees at once what can be executed from now on', async () => {
    const { sh, refusal, unmount } = await mountWith('-b', 'feature/written');
    await sh('printf "#!/bin/sh\\necho ran" > script');
    await refusal('[ -x script ]');
    await sh('chmod +x script; [ -x script ]');
    expect(await sh('./script')).toBe('ran\n');
    await sh('rm script');
    await unmount();
  });
});

describe('the kernel checks modes', () => {
  const checked = async (mountpoint: string): Promise<boolean> =>
    (await mountAt(mountpoint))!.options.includes('default_permissions');

  test.each([[['--allow-other']], [['--uid', '1000']], [['--read-only']], [['--tag', 'v1']]])(
    'with %s',
    async (args) => {
      const { mountpoint, unmount } = await mountWith(...args);
      expect(await checked(mountpoint)).toBe(true);
      await unmount();
    },
  );

  test('for a root who has to keep to them', async () => {
    const mountpoint = await freshMountpoint();
    const withoutRight = ['--bounding-set=-dac_override', '--inh-caps=-dac_override'];
    const command = [process.execPath, vostMountProgram, gitDir, mountpoint];
    expect(await programResult('setpriv', [...withoutRight, ...command])).toMatchObject({
      exitCode: 0,
    });
    expect(await checked(mountpoint)).toBe(true);
    await vostMount(['unmount', mountpoint]);
  });

  test('but not for root alone, and does not ask for a directory again with each file in it', async () => {
    const { mountpoint, sh, unmount } = await mountWith();
    expect(await checked(mountpoint)).toBe(false);
    const asked = async (operation: string): Promise<number> => {
      const metrics = await readFile(join(mountpoint, '.vost/metrics'), 'utf8');
      return Number(new RegExp(`_count\\{operation="${operation}"\\} (\\d+)`).exec(metrics)?.[1]);
    };
    await sh('mkdir files; stat -c %a files');
    const before = await asked('getattr');
    await sh('cd files; for i in $(seq 100); do : > $i; done; rm *');
    expect(await asked('create')).toBe(100);
    expect((await asked('getattr')) - before).toBeLessThan(20);
    await sh('rmdir files');
    await unmount();
  });

  test.each([
    [[], 'EACCES EACCES EACCES EACCES 2'],
    [['--allow-other'], 'EACCES EACCES EACCES 2 2'],
  ])(
    'or else the daemon refuses who asks by the rights of another user, %s',
    async (args, said) => {
      const { sh, mountpoint, unmount } = await mountWith('-b', 'feature/written', ...args);
      await sh('echo 2 > mine');
      const script = `
import ctypes, errno, os
def attempt(work):
    try: return work()
    except OSError as error: return errno.errorcode[error.errno]
def read(descriptor): return os.pread(descriptor, 9, 0).decode().strip()
opened = os.open('mine', os.O_RDONLY)
ctypes.CDLL(None).setfsuid(1000)
print(attempt(lambda: os.close(os.open('new', os.O_CREAT | os.O_WRONLY))),
      attempt(lambda: os.open('mine', os.O_WRONLY)), attempt(lambda: os.unlink('mine')),
      attempt(lambda: read(os.open('mine', os.O_RDONLY))), attempt(lambda: read(opened)))
`;
      expect(await program('python3', ['-c', script], { cwd: mountpoint })).toBe(`${said}\n`);
      await sh('[ ! -e new ] && rm mine');
      await unmount();
    },
  );
});

const readOnly = 'Read-only file system';
const writes = ['echo x > file', 'rm file', 'mkdir d', 'mv file g', 'ln -s a b', 'chmod 755 file'];

test('--branch mounts one branch at the root, writable', async () => {
  const { sh, unmount, mountpoint } = await mountWith('--branch', 'feature/written');
  expect(await sh('ls -A')).toBe('dir\nfile\n');
  await sh('echo new > new; rm file; sync .');
  expect(await inRepository('ls-tree', '--name-only', 'feature/written')).toBe('dir\nnew\n');
  expect(await shownTree(gitDir, mountpoint)).toEqual(await storedTree(gitDir, 'feature/written'));
  await unmount();
});

test('--branch: a listing goes on where it was, whatever comes and goes meanwhile', async () => {
  const { sh, unmount, mountpoint } = await mountWith('--branch', 'feature/listed');
  const tail = 'x'.repeat(200);
  const make = (kind: string): string => `seq -f ${kind}-%g-${tail} 300 | xargs touch`;
  await sh(`${make('stored')}; sync .; ${make('late')}`);
  const directory = opendirSync(mountpoint);
  const seen: string[] = [];
  const readOn = (count: number): void => {
    while (seen.length < count) {
      const entry = directory.readSync();
      if (entry === null) return;
      seen.push(entry.name);
    }
  };
  const gone = new Set<string>();
  const removeSeen = async (prefix: string, count: number): Promise<void> => {
    const left = seen.filter((name) => name.startsWith(prefix) && !gone.has(name));
    const names = left.slice(0, count);
    for (const name of names) gone.add(name);
    await sh(`rm -f ${names.join(' ')}`);
  };
  readOn(100);
  await removeSeen('stored-', 50);
  await sh('touch new; ls; sync .');
  readOn(450);
  await removeSeen('late-', 100);
  await sh('rm new; touch newer; ls; sync .');
  readOn(Infinity);
  directory.closeSync();
  expect(new Set(seen).size).toBe(seen.length);
  const all = ['stored', 'late'].flatMap((kind) =>
    Array.from({ length: 300 }, (_, index) => `${kind}-${index + 1}-${tail}`),
  );
  expect(all.filter((name) => !gone.has(name) && !seen.includes(name))).toEqual([]);
  expect(await shownTree(gitDir, mountpoint)).toEqual(await storedTree(gitDir, 'feature/listed'));
  await fsck(gitDir);
  await unmount();
});

test.for([
  ['--tag', 'v1', 'v1'],
  ['--ref', 'v2', 'v2'],
  ['--ref', 'main', 'main'],
  ['--ref', 'main~2', 'v1'],
])('%s %s mounts one snapshot, read-only', async ([option, name, treeish]) => {
  const { refusal, unmount, mountpoint } = await mountWith(option!, name!);
  expect(await shownTree(gitDir, mountpoint)).toEqual(await storedTree(gitDir, treeish!));
  for (const write of writes) expect(await refusal(write)).toContain(readOnly);
  await unmount();
});

test('--ref takes a commit, and stays there when branches move', async () => {
  const commit = (await inRepository('rev-parse', 'v1^{commit}')).trim();
  const { sh, unmount } = await mountWith('--ref', commit.slice(0, 10));
  expect(await sh('cat file')).toBe('1\n');
  await unmount();
});

test.for(['--read-only', '-oro'])('%s serves everything read-only', async (option) => {
  const { sh, refusal, unmount } = await mountWith(option);
  expect(await sh('cat main/file feature/x/file .tags/v1/file')).toBe('3\n2\n1\n');
  for (const write of writes) expect(await refusal(`cd main && ${write}`)).toContain(readOnly);
  for (const write of ['mkdir topic', 'mv feature g', 'rmdir main']) {
    expect(await refusal(write)).toContain(readOnly);
  }
  await unmount();
});

test('special directories are found, and listed only when asked for', async () => {
  const hidden = await mountWith();
  expect(await hidden.sh('ls -A; ls .tags')).toBe('feature\nmain\nv1\nv2\nv3\n');
  await hidden.unmount();
  const visible = await mountWith('-o', 'snapdir=visible');
  const names = (await visible.sh('ls -A')).trim().split('\n');
  expect(names).toEqual(expect.arrayContaining(['.tags', '.commits', '.vost', 'main']));
  await visible.unmount();
});

test('--uid and --gid own the files', async () => {
  const { sh, unmount } = await mountWith('--uid', '1234', '--gid', '2345');
  expect(await sh('stat -c %u:%g main main/file .tags/v1/file')).toBe('1234:2345\n'.repeat(3));
  await unmount();
});

test('--allow-other lets others in, and the kernel checks the modes', async () => {
  const other = (script: string): string =>
    `setpriv --reuid 65534 --clear-groups sh -c '${script}'`;
  const closed = await mountWith();
  expect(await closed.refusal(other('ls main'))).toContain('Permission denied');
  await closed.unmount();
  const open = await mountWith('--allow-other');
  await shell(`chmod 755 "$(dirname "${open.mountpoint}")"`);
  expect(await open.sh(other('cat main/file'))).toBe('3\n');
  expect(await open.refusal(other('echo x > main/file'))).toContain('Permission denied');
  await open.unmount();
});

test('--message, --author and --email mark the commits', async () => {
  const args = ['--message', 'saved {default}', '--author', 'Zoë', '--email', 'zoe@example.com'];
  const { sh, unmount } = await mountWith(...args, '-b', 'main');
  await sh('echo x > marked; sync .');
  expect(await inRepository('log', '-1', '--format=%an <%ae> %s', 'main')).toBe(
    'Zoë <zoe@example.com> saved + marked\n',
  );
  await unmount();
});

test('--max-file-size refuses what is larger', async () => {
  const { sh, refusal, unmount } = await mountWith('--max-file-size', '1M');
  await sh('head -c 1048576 /dev/zero > main/fits');
  expect(await refusal('head -c 1048577 /dev/zero > main/larger')).toContain('File too large');
  expect(await refusal('truncate -s 2M main/fits')).toContain('File too large');
  await unmount();
});

test('--scratch takes the place of the built-in patterns', async () => {
  const { sh, unmount } = await mountWith('--scratch', '*.tmp', '--scratch', 'cache', '-b', 'main');
  await sh('mkdir -p s; cd s; echo 1 > a.tmp; mkdir cache; echo 1 > cache/x; echo 1 > b~; sync .');
  expect(await inRepository('ls-tree', '-r', '--name-only', 'main:s')).toBe('b~\n');
  await unmount();
});

test('--gitignore leaves out what the branch says', async () => {
  const { sh, unmount } = await mountWith('--gitignore', '-b', 'main');
  await sh(
    'mkdir g; cd g; echo "*.log" > .gitignore; echo 1 > a.log; echo 1 > kept; sync .; cat a.log',
  );
  expect(await inRepository('ls-tree', '--name-only', 'main:g')).toBe('.gitignore\nkept\n');
  await unmount();
});

test('--log-file and --debug record every request', async () => {
  const log = join(await temporaryDirectory(), 'log');
  const { sh, unmount } = await mountWith('--debug', '--log-file', log);
  await sh('cat main/file');
  await unmount();
  expect(await shell(`grep -ci lookup ${log}`)).not.toBe('0\n');
});

test('--commit-on manual waits for the command, and keeps what is staged for the next mount', async () => {
  const first = await mountWith('--commit-on', 'manual', '-b', 'main');
  const tip = await inRepository('rev-parse', 'main');
  await first.sh('echo x > later; sync later; sleep 0.3');
  await first.unmount();
  expect(await inRepository('rev-parse', 'main')).toBe(tip);
  const second = await mountWith('--commit-on', 'manual', '-b', 'main');
  expect(await second.sh('cat later')).toBe('x\n');
  expect(await vostMount(['commit', second.mountpoint, '-m', 'At last'])).toMatchObject({
    exitCode: 0,
  });
  expect(await inRepository('log', '-1', '--format=%s', 'main')).toBe('At last\n');
  await second.unmount();
});

test('--commit-on fsync waits for a sync', async () => {
  const { sh, unmount } = await mountWith('--commit-on', 'fsync', '-b', 'main');
  const tip = await inRepository('rev-parse', 'main');
  await sh('echo x > waits; sleep 0.5');
  expect(await inRepository('rev-parse', 'main')).toBe(tip);
  await unmount();
  expect(await inRepository('show', 'main:waits')).toBe('x\n');
});
