import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository, vostMount, vostMountProgram } from '../helpers/mount.ts';
import type { MountedRepository } from '../helpers/mount.ts';
import { programResult, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// What repositories are like that others have made, and what others do to one while it is mounted.

const identity = ['-c', 'user.name=o', '-c', 'user.email=o@o'];

async function newRepository(...args: string[]): Promise<string> {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '--quiet', '--bare', '--initial-branch=main', ...args, gitDir]);
  return gitDir;
}

/** Mounts, and makes commits of a file that holds their number. */
async function mountWithCommits(gitDir: string, count: number): Promise<MountedRepository> {
  const mount = await mountRepository(gitDir);
  const script = `mkdir main; for i in $(seq ${count}); do echo $i > main/file; sync main; done`;
  await shell(script, { cwd: mount.mountpoint });
  return mount;
}

test('a submodule moves, within a branch and to another one', async () => {
  const gitDir = await newRepository();
  const oid = '2'.repeat(40);
  const cwd = gitDir;
  const input = `160000 commit ${oid}\tsub\n`;
  const tree = (await git(['mktree', '--missing'], { cwd, input })).trim();
  const commit = (await git([...identity, 'commit-tree', '-m', 'sub', tree], { cwd })).trim();
  await git(['update-ref', 'refs/heads/main', commit], { cwd });
  const mount = await mountRepository(gitDir);
  await shell('mv main/sub main/moved; echo new > main/file; sync main', { cwd: mount.mountpoint });
  expect(await git(['ls-tree', 'main', 'moved'], { cwd })).toBe(`160000 commit ${oid}\tmoved\n`);
  await shell('mkdir other; mv main/moved other/sub; sync main other', { cwd: mount.mountpoint });
  await mount.unmount();
  expect(await git(['ls-tree', 'other'], { cwd })).toBe(`160000 commit ${oid}\tsub\n`);
  expect(await git(['ls-tree', '--name-only', 'main'], { cwd })).toBe('file\n');
  await fsck(gitDir);
});

test('a read-only mount leaves alone what an earlier one has staged', async () => {
  const gitDir = await newRepository();
  const manual = await mountRepository(gitDir, { args: ['--commit-on', 'manual'] });
  await shell('mkdir main; echo draft > main/draft', { cwd: manual.mountpoint });
  await manual.unmount();
  const refs = await git(['for-each-ref'], { cwd: gitDir });
  expect(refs).toContain('refs/vost/staged/main');
  for (const args of [['--read-only'], ['-o', 'ro'], ['--read-only', '--branch', 'main']]) {
    const mount = await mountRepository(gitDir, { args });
    await shell('ls -R', { cwd: mount.mountpoint });
    await mount.unmount();
    expect(await git(['for-each-ref'], { cwd: gitDir })).toBe(refs);
  }
  const again = await mountRepository(gitDir);
  expect(await shell('cat main/draft', { cwd: again.mountpoint })).toBe('draft\n');
  await again.unmount();
  await fsck(gitDir);
});

test('packs are read whatever they are called', async () => {
  const gitDir = await newRepository();
  const first = await mountWithCommits(gitDir, 3);
  // The first time they are packed, the second time the loose ones are removed.
  for (let round = 0; round < 2; round++) {
    await git(['maintenance', 'run', '--task=loose-objects'], { cwd: gitDir });
  }
  const shown = 'cat main/file .history/main/~1/file';
  expect(await shell(shown, { cwd: first.mountpoint })).toBe('3\n2\n');
  await first.unmount();
  const second = await mountRepository(gitDir);
  expect(await shell(shown, { cwd: second.mountpoint })).toBe('3\n2\n');
  await second.unmount();
  await fsck(gitDir);
});

test('a shared repository stays one', async () => {
  const gitDir = await newRepository('--shared=group');
  await shell(`chgrp -R nogroup ${gitDir}`);
  const mount = await mountRepository(gitDir);
  await shell('mkdir main; echo 1 > main/file; sync main', { cwd: mount.mountpoint });
  await mount.unmount();
  const made = ['logs', 'logs/refs/heads', 'vost', 'vost/locks'];
  for (const name of [...made, 'logs/refs/heads/main', 'refs/heads/main']) {
    const { mode, gid } = await stat(join(gitDir, name));
    const { gid: shared } = await stat(gitDir);
    expect([name, gid, mode & 0o060]).toEqual([name, shared, 0o060]);
  }
  await fsck(gitDir);
});

test('history ends where a shallow repository does', async () => {
  const gitDir = await newRepository();
  const full = await mountWithCommits(gitDir, 3);
  await full.unmount();
  const shallow = join(await temporaryDirectory(), 'shallow.git');
  await git(['clone', '--quiet', '--bare', '--depth=2', `file://${gitDir}`, shallow]);
  const mount = await mountRepository(shallow);
  const count =
    'ls .history/main | wc -l; ls .versions/main/file | wc -l; cat .history/main/~1/file';
  expect(await shell(count, { cwd: mount.mountpoint })).toBe('2\n2\n2\n');
  const beyond = await programResult('ls', [join(mount.mountpoint, '.history/main/~2')]);
  expect(beyond.stderr).toContain('No such file');
  await mount.unmount();
  await fsck(shallow);
});

test('a commit that is missing far back spoils what needs it alone', async () => {
  const gitDir = await newRepository();
  const first = await mountWithCommits(gitDir, 4);
  await first.unmount();
  const missing = (await git(['rev-parse', 'main~3'], { cwd: gitDir })).trim();
  await rm(join(gitDir, 'objects', missing.slice(0, 2), missing.slice(2)));
  const mount = await mountRepository(gitDir);
  expect(
    await shell('cat .history/main/~0/file .history/main/~2/file .history/main/@now/file', {
      cwd: mount.mountpoint,
    }),
  ).toBe('4\n2\n4\n');
  const beyond = await programResult('ls', [join(mount.mountpoint, '.history/main/~3')]);
  expect(beyond.stderr).toContain('Input/output error');
  await mount.unmount();
});

test('commits go on when somebody has removed what the mount keeps in the repository', async () => {
  const gitDir = await newRepository();
  const mount = await mountRepository(gitDir);
  await shell('mkdir main; echo 1 > main/one; sync main', { cwd: mount.mountpoint });
  await rm(join(gitDir, 'vost'), { recursive: true });
  await shell('echo 2 > main/two; sync main', { cwd: mount.mountpoint });
  await mount.unmount();
  const names = await git(['ls-tree', '--name-only', 'main'], { cwd: gitDir });
  expect(names).toBe('one\ntwo\n');
  await fsck(gitDir);
});

test('a repository that is away for a while is missed, and nothing is made in its place', async () => {
  const gitDir = await newRepository();
  const away = `${gitDir}.away`;
  const mount = await mountRepository(gitDir);
  await shell('mkdir main; echo 1 > main/one; sync main; echo 2 > main/two', {
    cwd: mount.mountpoint,
  });
  await rename(gitDir, away);
  await eventually(async () => {
    const { stdout } = await vostMount(['status', mount.mountpoint]);
    expect(stdout).toContain('the repository is not there any more');
  }, 30_000);
  await expect(stat(gitDir)).rejects.toMatchObject({ code: 'ENOENT' });
  await rename(away, gitDir);
  await eventually(async () => {
    await shell('sync main', { cwd: mount.mountpoint });
  }, 30_000);
  await mount.unmount();
  const names = await git(['ls-tree', '--name-only', 'main'], { cwd: gitDir });
  expect(names).toBe('one\ntwo\n');
  expect(await git(['for-each-ref', '--format=%(refname)'], { cwd: gitDir })).toBe(
    'refs/heads/main\n',
  );
  await fsck(gitDir);
});

test('on a disk that is read-only, what to do is said', async () => {
  const place = await temporaryDirectory();
  const mountpoint = join(await temporaryDirectory(), 'mnt');
  await mkdir(mountpoint);
  const { stdout } = await programResult('unshare', [
    ...['-m', 'sh', '-euc'],
    `mount -t tmpfs none ${place}; git init --quiet --bare ${place}/repo.git
     mount -o remount,ro ${place}
     ${process.execPath} ${vostMountProgram} ${place}/repo.git ${mountpoint} 2>&1 || echo code $?`,
  ]);
  expect(stdout).toMatch(/^vost-mount: .*read-only.*--read-only alone\ncode 1\n$/);
});
