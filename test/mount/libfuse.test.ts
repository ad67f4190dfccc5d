import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { isMounted, mountRepository, vostMount, freshMountpoint } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { program, programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// The other transport, by the package fuse-native. All of test/mount runs over it by hand, with
// VOST_TEST_TRANSPORT=fuse-native; what cannot hold there is listed below and in platforms.md.

const transport = ['--transport', 'fuse-native'];

async function mountOverLibfuse(...args: string[]): Promise<MountedRepository> {
  return mountRepository(join(await temporaryDirectory(), 'a repo,with=comma.git'), {
    args: [...transport, ...args],
  });
}

test('writes, renames, links and listings reach git', async () => {
  const mounted = await mountOverLibfuse('--author', 'Fay', '--email', 'f@example.com');
  const output = await shell(
    `
    mkdir -p main/deep/er; echo hello > main/deep/er/ü; ln -s er main/deep/link
    echo 'echo ran' > main/run; chmod 755 main/run; ln main/run main/again
    mv main/deep main/moved; truncate -s 3 main/moved/link/ü; cat main/moved/er/ü; echo
    sh main/run; dd if=/dev/urandom of=main/big bs=100000 count=30 status=none
    cp main/big main/copy; cmp main/big main/copy; rm main/copy
    stat -c %h,%s main/again; find main -type f | sort
    sync main; rm -r main/moved; sync main
    ls .history/main/~1/moved/er; cat .vost/status.json | grep -c mountpoint
    grep -c vost_operation_duration_seconds_count .vost/metrics >/dev/null
    `,
    { cwd: mounted.mountpoint },
  );
  expect(output).toBe('hel\nran\n2,9\nmain/again\nmain/big\nmain/moved/er/ü\nmain/run\nü\n1\n');
  await mounted.unmount();
  await fsck(mounted.gitDir);
  const tree = await git([
    '--git-dir',
    mounted.gitDir,
    'ls-tree',
    '-r',
    'main',
    '--format=%(objectmode) %(path)',
  ]);
  expect(tree).toBe('100755 again\n100644 big\n100755 run\n');
  const log = await git(['--git-dir', mounted.gitDir, 'log', '-1', '--format=%an <%ae>', 'main']);
  expect(log).toBe('Fay <f@example.com>\n');
});

test('inode numbers stay, and what others commit is seen', async () => {
  const mounted = await mountOverLibfuse();
  const { gitDir, mountpoint } = mounted;
  await shell('mkdir main/d; seq 2000 > main/d/f; sync main', { cwd: mountpoint });
  const numbers = (): Promise<string> =>
    shell('stat -c %i main main/d main/d/f; ls -i main/d', { cwd: mountpoint });
  expect(await numbers()).toBe(await numbers());
  const clone = join(await temporaryDirectory(), 'clone');
  await git(['clone', '--quiet', gitDir, clone]);
  await shell(
    'echo outside > d/f; git -c user.name=o -c user.email=o@o commit -qam o; git push -q',
    { cwd: clone },
  );
  await eventually(async () => {
    expect(await program('cat', [join(mountpoint, 'main/d/f')])).toBe('outside\n');
  });
  await mounted.unmount();
  await fsck(gitDir);
});

test('a mount ends by a verb, by umount(8), and while it is in use', async () => {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  const mountpoint = await freshMountpoint();
  const start = async (): Promise<number> => {
    expect(await vostMount([gitDir, mountpoint, ...transport])).toMatchObject({
      exitCode: 0,
      stderr: '',
    });
    const { stdout } = await vostMount(['status', mountpoint, '--json']);
    return (JSON.parse(stdout) as { pid: number }).pid;
  };
  const gone = (pid: number): Promise<void> =>
    eventually(async () => {
      expect((await programResult('kill', ['-0', String(pid)])).exitCode).not.toBe(0);
      expect(await isMounted(mountpoint)).toBe(false);
    }, 10_000);
  let pid = await start();
  await shell('echo 1 > main/verb', { cwd: mountpoint });
  expect(await vostMount(['unmount', mountpoint])).toMatchObject({ exitCode: 0, stderr: '' });
  await gone(pid);
  pid = await start();
  await shell('echo 2 > main/outside', { cwd: mountpoint });
  await program('umount', [mountpoint]);
  await gone(pid);
  pid = await start();
  await shell(
    `cd ${mountpoint}; echo 3 > main/used; exec 9< main/used; cd /
     ${process.execPath} ${fileURLToPath(new URL('../../dist/bin/vost-mount.js', import.meta.url))} unmount ${mountpoint}`,
  );
  await gone(pid);
  const names = await git(['--git-dir', gitDir, 'ls-tree', '--name-only', 'main']);
  expect(names).toBe('outside\nused\nverb\n');
  await fsck(gitDir);
});

test('a tag is read-only for good', async () => {
  const mounted = await mountOverLibfuse();
  await shell('echo tagged > main/file; sync main', { cwd: mounted.mountpoint });
  await mounted.unmount();
  await git(['--git-dir', mounted.gitDir, 'tag', 'v1', 'main']);
  const tagged = await mountRepository(mounted.gitDir, { args: [...transport, '--tag', 'v1'] });
  expect(await program('cat', [join(tagged.mountpoint, 'file')])).toBe('tagged\n');
  const write = await programResult('touch', [join(tagged.mountpoint, 'file')]);
  expect(write.stderr).toContain('Read-only file system');
  await tagged.unmount();
});

test('names that are no UTF-8 are left out of listings; attributes have the room they are given', async () => {
  const mounted = await mountOverLibfuse();
  const { gitDir } = mounted;
  await mounted.unmount();
  await shell(
    `
    blob=$(echo x | git hash-object -w --stdin)
    tree=$(printf '100644 blob %s\\tbad\\377\\000100644 blob %s\\tgood\\000' $blob $blob | git mktree -z)
    git update-ref refs/heads/main $(git -c user.name=o -c user.email=o@o commit-tree -m odd $tree)
    `,
    { env: { GIT_DIR: gitDir } },
  );
  const again = await mountRepository(gitDir, { args: transport });
  expect(await program('ls', [join(again.mountpoint, 'main')])).toBe('good\n');
  const attributes = `
import os, ctypes
path = os.fsencode(os.path.join(os.environ['ROOT'], 'main/good'))
print(sorted(os.listxattr(path)), len(os.getxattr(path, 'user.vost.commit')))
libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(4)
print(libc.getxattr(path, b'user.vost.commit', room, 4), os.strerror(ctypes.get_errno()), room.raw)
print(libc.listxattr(path, room, 4), os.strerror(ctypes.get_errno()), room.raw)
`;
  const shown = await program('python3', ['-c', attributes], { env: { ROOT: again.mountpoint } });
  expect(shown).toBe(
    "['user.vost.commit', 'user.vost.oid', 'user.vost.ref', 'user.vost.state'] 40\n" +
      "-1 Numerical result out of range b'\\x00\\x00\\x00\\x00'\n".repeat(2),
  );
  await again.unmount();
});

test('without the package, what to do is said', async () => {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  const mountpoint = await freshMountpoint();
  const checkout = fileURLToPath(new URL('../..', import.meta.url));
  const { exitCode, stderr } = await programResult('unshare', [
    ...['-m', 'sh', '-euc'],
    `mount -t tmpfs none ${checkout}/node_modules/fuse-native
     exec ${process.execPath} ${checkout}/dist/bin/vost-mount.js ${gitDir} ${mountpoint} ${transport.join(' ')}`,
  ]);
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/^vost-mount: .*npm install fuse-native, or use --transport kernel\n$/);
});

/** What fuse-native, libfuse 2.9 or paths instead of inodes do not let through; see platforms.md. */
const limits: readonly RegExp[] = [
  /^utimensat: /,
  /^(fallocate|exchange|rename without replacing): /,
  /^lseek: (SEEK_|sees a hole)/,
  /^times change: with (fallocate|a hole)$/,
  /^setuid and setgid: stay when root punches a hole$/,
  /^readdir: gives (names of bytes|the numbers that stat gives)$/,
  /^symlink: keeps bytes that are no text$/,
  /^open: of another user belongs to him$/,
  /^mknod: a fifo by somebody else$/,
  /^an open file: that was unlinked (can get other times|can be allocated|leaves nothing)/,
  /^rmdir: (the working directory|an open directory can still be read)$/,
  /^O_TMPFILE: /,
  /^locks: hold for the file, not the name$/,
];

/** What goes better there: each write comes with the place that the kernel has found for it. */
const better = new Map<string, unknown>([
  ['read and write: O_APPEND with pwritev2 that is not to append', 'Xontent'],
]);

describe('system calls', () => {
  const suite = fileURLToPath(new URL('../helpers/posix/run.py', import.meta.url));
  interface Outcome {
    readonly name: string;
    readonly expected: unknown;
    readonly actual: unknown;
  }
  let mounted: MountedRepository;
  let outcomes: Outcome[];

  beforeAll(async () => {
    const directory = await temporaryDirectory();
    await chmod(directory, 0o755);
    const mountpoint = join(directory, 'mnt');
    await mkdir(mountpoint);
    mounted = await mountRepository(join(directory, 'repo.git'), {
      ...{ mountpoint, args: ['--allow-other', ...transport] },
    });
    const cases = join(mountpoint, 'main/posix');
    await mkdir(cases);
    const options = { env: { PYTHONDONTWRITEBYTECODE: '1' }, timeoutMs: 170_000 };
    const output = await program('python3', [suite, 'mount', cases], options);
    outcomes = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Outcome);
  }, 180_000);

  test('answer as everywhere, but for what is listed', () => {
    const isListed = ({ name }: Outcome): boolean => limits.some((limit) => limit.test(name));
    const others = outcomes.filter((outcome) => !isListed(outcome));
    expect(others.length).toBeGreaterThan(600);
    for (const { name, expected, actual } of others) {
      expect({ name, outcome: actual }).toEqual({ name, outcome: better.get(name) ?? expected });
    }
  });

  test('and leave the repository sound', async () => {
    await mounted.unmount();
    await fsck(mounted.gitDir);
  });
});
