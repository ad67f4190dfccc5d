import { readdir, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { RefStore } from '../../src/git/refs/ref-store.ts';
import { GitStore, StaleSnapshotError, retryWrite } from '../../src/index.ts';
import { eventually } from '../helpers/eventually.ts';
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

  describe('a git gc that takes the index of a pack which is too big for loose copies', () => {
    async function bigCommit(
      store: GitStore,
      files = 1001,
    ): Promise<{ path: string; content: string }> {
      const batch = (await store.branches.get('main')).batch();
      for (let index = 0; index < files; index++) {
        await batch.writeText(`directory/${index}`, `content ${index}`);
      }
      await batch.commit();
      return { path: `directory/${files - 1}`, content: `content ${files - 1}` };
    }

    async function beginGc(path: string): Promise<void> {
      await writeFile(join(path, 'gc.pid'), `${process.pid} ${hostname()}`);
    }

    /** Does what `git gc` does with a pack that it has listed the index of, but not the pack. */
    async function takeIndexes(path: string): Promise<void> {
      const packs = join(path, 'objects/pack');
      const leftovers = (await readdir(packs)).filter((name) => /^pack-.*\.(idx|keep)$/.test(name));
      expect(leftovers).not.toEqual([]);
      for (const name of leftovers) await rm(join(packs, name));
    }

    async function spares(path: string): Promise<string[]> {
      return (await readdir(join(path, 'objects/pack'))).filter((name) => /vost_/.test(name));
    }

    test('takes nothing from readers of the store', async () => {
      const { store, path } = await newStore();
      await beginGc(path);
      const file = await bigCommit(store);
      await takeIndexes(path);
      const other = await GitStore.open(path);
      expect(await (await other.branches.get('main')).readText(file.path)).toBe(file.content);
      for (const open of [store, other]) await open.close();
      await rm(join(path, 'gc.pid'));
      await fsck(path);
    });

    test('gives it back to git while the store is open', async () => {
      const { store, path } = await newStore();
      await beginGc(path);
      const file = await bigCommit(store);
      await takeIndexes(path);
      await eventually(async () => {
        expect(await git(['show', `main:${file.path}`], { cwd: path })).toBe(file.content);
      });
      expect(await spares(path)).toHaveLength(1);
      // Another one has begun later, and sees the pack.
      await writeFile(join(path, 'gc.pid'), `${process.pid} ${hostname()} later`);
      await eventually(async () => {
        expect(await spares(path)).toEqual([]);
      });
      await rm(join(path, 'gc.pid'));
      await store.close();
      await fsck(path);
    });

    test('gives it back when the store is opened again, if it was closed before', async () => {
      const { store, path } = await newStore();
      await beginGc(path);
      const file = await bigCommit(store);
      await store.close();
      await takeIndexes(path);
      await rm(join(path, 'gc.pid'));
      const other = await GitStore.open(path);
      expect(await git(['show', `main:${file.path}`], { cwd: path })).toBe(file.content);
      await other.close();
      expect(await spares(path)).toEqual([]);
      await fsck(path);
    });

    test('takes nothing when a git repack begins before the branch has moved', async () => {
      const { store, path } = await newStore();
      await beginGc(path);
      const packs = join(path, 'objects/pack');
      const seenByRepack: string[] = [];
      const update = Object.getOwnPropertyDescriptor(RefStore.prototype, 'update')
        ?.value as RefStore['update'];
      const spy = vi.spyOn(RefStore.prototype, 'update');
      onTestFinished(() => {
        spy.mockRestore();
      });
      spy.mockImplementation(async function (this: RefStore, change) {
        await takeIndexes(path);
        await rm(join(path, 'gc.pid'));
        await update.call(this, {
          ...change,
          beforeMove: async () => {
            await change.beforeMove?.();
            const names = await readdir(packs);
            const kept = names.filter((name) => name.endsWith('.keep'));
            for (const name of names) {
              const isKept = kept.includes(name.replace(/\.[a-z]+$/, '.keep'));
              if (name.startsWith('pack-') && !isKept) seenByRepack.push(name);
            }
          },
        });
      });
      const file = await bigCommit(store);
      expect(seenByRepack).not.toEqual([]);
      for (const name of seenByRepack) await rm(join(packs, name));
      expect(await git(['show', `main:${file.path}`], { cwd: path })).toBe(file.content);
      await store.close();
      await fsck(path);
    });
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
