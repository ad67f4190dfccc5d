import { readdir, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { GitStore, StaleSnapshotError, retryWrite } from '../../src/index.ts';
import { fsck, git, gitResult } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

async function newStore(): Promise<{ store: GitStore; path: string }> {
  const path = join(await temporaryDirectory(), 'shared.git');
  return { store: await GitStore.open(path), path };
}

const isLeftover = (name: string): boolean => name.startsWith('tmp_') || name.endsWith('.keep');

describe('beside git', () => {
  test('no commit of either is lost', async () => {
    const { store, path } = await newStore();
    const byGit = async (): Promise<number> => {
      let made = 0;
      for (let attempt = 0; attempt < 40; attempt++) {
        const tip = (await git(['rev-parse', 'main'], { cwd: path })).trim();
        const args = ['commit-tree', '-p', tip, '-m', `git ${attempt}`, `${tip}^{tree}`];
        const commit = (await git(args, { cwd: path })).trim();
        const update = ['update-ref', 'refs/heads/main', commit, tip];
        made += (await gitResult(update, { cwd: path })).exitCode === 0 ? 1 : 0;
      }
      return made;
    };
    const byVost = async (): Promise<number> => {
      for (let index = 0; index < 40; index++) {
        const data = Buffer.from(String(index));
        await retryWrite(store, 'main', `file-${index}`, data, { retries: 200 });
      }
      return 40;
    };
    const [gitCommits, vostCommits] = await Promise.all([byGit(), byVost()]);
    expect(gitCommits).toBeGreaterThan(0);
    const count = await git(['rev-list', '--count', '--first-parent', 'main'], { cwd: path });
    expect(Number(count)).toBe(1 + gitCommits + vostCommits);
    const fs = await store.branches.get('main');
    expect(await fs.glob('file-*')).toHaveLength(40);
    await store.close();
    await fsck(path);
  });

  test.each([
    ['gc --prune=now', ['gc', '--quiet', '--prune=now']],
    ['repack -ad', ['repack', '-adq']],
  ])('git %s takes nothing that is committed or staged', async (_, args) => {
    const { store, path } = await newStore();
    let collecting = true;
    // git itself stumbles now and then over what changes under it; what counts is what it leaves.
    const collections = (async () => {
      let runs = 0;
      while (collecting) {
        const { exitCode } = await gitResult(args, { cwd: path, timeoutMs: 60_000 });
        runs += exitCode === 0 ? 1 : 0;
      }
      return runs;
    })();
    let fs = await store.branches.get('main');
    try {
      for (let round = 0; round < 60; round++) {
        const batch = fs.batch();
        for (let index = 0; index < (round % 2 === 0 ? 50 : 3); index++) {
          await batch.writeText(`round-${round}/${index}`, `content ${round} ${index}\n`);
        }
        fs = await batch.commit();
      }
    } finally {
      collecting = false;
    }
    expect(await collections).toBeGreaterThan(0);
    const files = await fs.glob('*/*');
    expect(files).toHaveLength(30 * 50 + 30 * 3);
    for (const file of files) {
      expect(await fs.readText(file)).toBe(`content ${file.slice(6).replace('/', ' ')}\n`);
    }
    expect((await readdir(join(path, 'objects/pack'))).filter(isLeftover)).toEqual([]);
    await store.close();
    await fsck(path);
  });

  test('a git gc that takes the index of a new pack for a leftover takes nothing with it', async () => {
    const { store, path } = await newStore();
    await writeFile(join(path, 'gc.pid'), `${process.pid} ${hostname()}`);
    await retryWrite(store, 'main', 'directory/file', Buffer.from('content'));
    // As `git gc` does when it is nearly done, and has listed the index, but not the pack.
    const packs = join(path, 'objects/pack');
    const indexes = (await readdir(packs)).filter((name) => name.endsWith('.idx'));
    expect(indexes).not.toEqual([]);
    for (const name of indexes) await rm(join(packs, name));
    await rm(join(path, 'gc.pid'));
    await store.close();
    expect(await git(['show', 'main:directory/file'], { cwd: path })).toBe('content');
    await fsck(path);
  });

  test('a branch that is locked is not moved, and not waited for without end', async () => {
    const { store, path } = await newStore();
    const fs = await store.branches.get('main');
    const lock = join(path, 'refs/heads/main.lock');
    await writeFile(lock, '');
    const write = fs.write('a', Buffer.from('1'));
    await expect(write).rejects.toMatchObject({ code: 'REF_LOCKED' });
    await rm(lock);
    expect(await (await fs.write('a', Buffer.from('1'))).readText('a')).toBe('1');
    await store.close();
    await fsck(path);
  });

  test('of many writes on one snapshot one is made', async () => {
    const { store, path } = await newStore();
    const other = await GitStore.open(path);
    const snapshots = await Promise.all([store, other].map((some) => some.branches.get('main')));
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) =>
        snapshots[index % 2]!.write(`file-${index}`, Buffer.from('x')),
      ),
    );
    const failures = results.filter((result) => result.status === 'rejected');
    expect(failures).toHaveLength(9);
    for (const { reason } of failures) expect(reason).toBeInstanceOf(StaleSnapshotError);
    expect(await git(['rev-list', '--count', 'main'], { cwd: path })).toBe('2\n');
    for (const open of [store, other]) await open.close();
    await fsck(path);
  });
});
