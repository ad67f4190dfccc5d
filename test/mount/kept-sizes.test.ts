import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Oid } from '../../src/git/oid.ts';
import { SizesFile, unknownSize } from '../../src/mount/sizes-file.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import { shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// The sizes of files, kept in the repository from one mount to the next.

/** A repository whose branch has files, a link, and directories; and the listing that `sizes` should give. */
async function repositoryWithFiles(): Promise<{ gitDir: string; listing: string }> {
  const directory = await temporaryDirectory();
  const [gitDir, work] = [join(directory, 'repo.git'), join(directory, 'work')];
  await git(['init', '--quiet', '--initial-branch=main', work]);
  await shell(
    'mkdir -p one/two empty; seq 100 > numbers; echo 1 > one/a; echo 22 > one/two/b; ln -s a one/link',
    { cwd: work },
  );
  await git(['-C', work, 'add', '-A']);
  await git(['-C', work, 'commit', '--quiet', '-m', 'Files']);
  await git(['clone', '--quiet', '--bare', work, gitDir]);
  return { gitDir, listing: '1 link\n2 a\n292 numbers\n3 b\n' };
}

const sizes = (root: string): Promise<string> =>
  shell(`find ${root} ! -type d -printf '%s %f\\n' | LC_ALL=C sort`);

async function listed(gitDir: string, args: readonly string[], inside: string): Promise<string> {
  const { mountpoint, unmount } = await mountRepository(gitDir, { args });
  const listing = await sizes(join(mountpoint, inside));
  await unmount();
  return listing;
}

/** Notes another size than the true one. */
async function plant(gitDir: string, sizesOfRoot: readonly number[]): Promise<void> {
  const failures: unknown[] = [];
  const file = new SizesFile({
    ...{ path: join(gitDir, 'vost', 'sizes'), algorithm: 'sha1', writable: true },
    onFailure: (error) => failures.push(error),
  });
  const root = await git(['--git-dir', gitDir, 'rev-parse', 'main^{tree}']);
  file.note(root.trim() as Oid, Uint32Array.from(sizesOfRoot));
  await file.keepUp();
  expect(failures).toEqual([]);
}

test('a walk leaves sizes behind, with which the next mount shows the same', async () => {
  const { gitDir, listing } = await repositoryWithFiles();
  expect(await listed(gitDir, [], 'main')).toBe(listing);
  const { size } = await stat(join(gitDir, 'vost', 'sizes'));
  expect(size).toBeGreaterThan(100);
  expect(await listed(gitDir, [], 'main')).toBe(listing);
  expect(await listed(gitDir, [], '.history/main/~0')).toBe(listing);
  expect(await listed(gitDir, ['--branch', 'main', '--read-only'], '.')).toBe(listing);
  // All is known, so nothing was added.
  expect((await stat(join(gitDir, 'vost', 'sizes'))).size).toBe(size);
  await fsck(gitDir);
  expect(await git(['--git-dir', gitDir, 'count-objects', '-v'])).toContain('garbage: 0');
});

test('they are used for branches and for snapshots, until the directory changes', async () => {
  const { gitDir, listing } = await repositoryWithFiles();
  await plant(gitDir, [293, unknownSize]);
  const planted = listing.replace('292', '293');
  expect(await listed(gitDir, ['--ref', 'main'], '.')).toBe(planted);
  const { mountpoint, unmount } = await mountRepository(gitDir);
  expect(await sizes(join(mountpoint, 'main'))).toBe(planted);
  await shell('echo new > new; sync new', { cwd: join(mountpoint, 'main') });
  await unmount();
  expect(await listed(gitDir, [], 'main')).toBe(`${listing}4 new\n`);
  await fsck(gitDir);
});

test('a mount that is read-only keeps none', async () => {
  const { gitDir, listing } = await repositoryWithFiles();
  expect(await listed(gitDir, ['--read-only'], 'main')).toBe(listing);
  await expect(stat(join(gitDir, 'vost', 'sizes'))).rejects.toThrow('ENOENT');
});
