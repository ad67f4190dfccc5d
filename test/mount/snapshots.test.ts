import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { buildNpmHistory } from '../fixtures/npm-history.ts';
import { fsck, git } from '../helpers/git.ts';
import { mountRepository } from '../helpers/mount.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';
import { shownTree, storedTree } from '../helpers/tree-listing.ts';

/**
 * By default a package with more than thirty releases, an executable among their files, and little
 * else. Larger ones by hand, all releases or the newest:
 * VOST_TEST_PACKAGE=typescript VOST_TEST_NEWEST=25 npx vitest run test/mount/snapshots.test.ts
 */
const packageName = process.env['VOST_TEST_PACKAGE'] ?? 'which';
const newest = Number(process.env['VOST_TEST_NEWEST'] ?? Infinity);
const timeout = process.env['VOST_TEST_PACKAGE'] === undefined ? 60_000 : 3_600_000;

async function names(directory: string): Promise<string[]> {
  return (await program('ls', ['-A', directory])).split('\n').slice(0, -1).sort();
}

describe('the releases of a package', () => {
  test('each file of every tag, and of every commit, is what git says', { timeout }, async () => {
    const directory = await temporaryDirectory();
    const { gitDir, tags } = await buildNpmHistory(packageName, join(directory, 'repo.git'), {
      newest,
    });
    expect(tags.length).toBeGreaterThan(Math.min(20, newest));
    const before = await git(['--git-dir', gitDir, 'for-each-ref']);
    const { mountpoint, unmount } = await mountRepository(gitDir);

    expect(await names(join(mountpoint, '.tags'))).toEqual([...tags].sort());
    for (const tag of tags) {
      const shown = await shownTree(gitDir, join(mountpoint, '.tags', tag));
      expect(shown, tag).toEqual(await storedTree(gitDir, tag));
    }
    const commits = (await git(['--git-dir', gitDir, 'rev-list', 'main'])).trim().split('\n');
    for (const commit of commits.slice(0, 3)) {
      for (const name of [commit, commit.slice(0, 12)]) {
        const shown = await shownTree(gitDir, join(mountpoint, '.commits', name));
        expect(shown, name).toEqual(await storedTree(gitDir, commit));
      }
    }
    expect(await shownTree(gitDir, join(mountpoint, 'main'))).toEqual(
      await storedTree(gitDir, 'main'),
    );

    await unmount();
    // Looking changes nothing.
    expect(await git(['--git-dir', gitDir, 'for-each-ref'])).toBe(before);
    await fsck(gitDir);
  });
});

describe("this project's own history", () => {
  test('each file of every commit of the last ones is what git says', async () => {
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const gitDir = join(await temporaryDirectory(), 'own.git');
    await git(['clone', '--quiet', '--bare', '--no-hardlinks', root, gitDir], {
      timeoutMs: 60_000,
    });
    const commits = (await git(['--git-dir', gitDir, 'rev-list', '--all'])).trim().split('\n');
    for (const [index, commit] of commits.slice(0, 20).entries()) {
      await git(['--git-dir', gitDir, 'tag', `nested/test-${index}`, commit]);
    }
    const { mountpoint, unmount } = await mountRepository(gitDir);
    for (const index of commits.slice(0, 20).keys()) {
      const tag = `nested/test-${index}`;
      const shown = await shownTree(gitDir, join(mountpoint, '.tags', tag));
      expect(shown, tag).toEqual(await storedTree(gitDir, tag));
    }
    await unmount();
  });
});

test('a submodule shows as an empty directory', async () => {
  const directory = await temporaryDirectory();
  const [gitDir, work] = [join(directory, 'repo.git'), join(directory, 'work')];
  await git(['init', '--quiet', '--bare', gitDir]);
  await mkdir(work);
  const at = ['--git-dir', gitDir, '--work-tree', work];
  const commit = 'c'.repeat(40);
  await git([...at, 'update-index', '--add', '--cacheinfo', `160000,${commit},vendor/module`]);
  await git([...at, 'commit', '--quiet', '-m', 'Add a submodule']);
  await git([...at, 'tag', 'v1']);
  const { mountpoint, unmount } = await mountRepository(gitDir);
  for (const place of ['.tags/v1', 'main']) {
    expect(await names(join(mountpoint, place, 'vendor'))).toEqual(['module']);
    expect(await names(join(mountpoint, place, 'vendor/module'))).toEqual([]);
  }
  await unmount();
  expect(await git(['--git-dir', gitDir, 'ls-tree', '-r', 'main'])).toContain(commit);
});
