import { join } from 'node:path';
import { expect } from 'vitest';
import { GitStore, InvalidArgumentError, KeyNotFoundError } from '../../src/index.ts';
import type { FS } from '../../src/index.ts';
import { git as runGit } from '../helpers/git.ts';
import { collect, describeOnEveryRepository } from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const hashes = async (commits: AsyncIterable<FS>): Promise<string[]> =>
  (await collect(commits)).map(({ commitHash }) => commitHash);

describeOnEveryRepository('history', (it) => {
  it('ends where a shallow repository does', async ({ main, gitDir }) => {
    const path = join(await temporaryDirectory(), 'shallow.git');
    await runGit(['clone', '--quiet', '--bare', '--depth=2', `file://${gitDir}`, path]);
    const store = await GitStore.open(path);
    try {
      const fs = await store.branches.get('main');
      const inClone = (await runGit(['rev-list', 'main'], { cwd: path })).trim().split('\n');
      expect(inClone).toHaveLength(2);
      expect(await hashes(fs.log())).toEqual(inClone);
      expect(await hashes(fs.log({ path: 'docs' }))).toEqual([inClone[1]]);
      const first = await fs.back(1);
      expect(await first.getParent()).toBeNull();
      await expect(fs.back(2)).rejects.toBeInstanceOf(InvalidArgumentError);
      await expect(fs.undo(2)).rejects.toBeInstanceOf(InvalidArgumentError);
      expect((await fs.undo()).commitHash).toBe(first.commitHash);
      expect(main.commitHash).toBe(fs.commitHash);
    } finally {
      await store.close();
    }
  });

  it('leads from a snapshot to those before it', async ({ main, git }) => {
    const [second, first, empty] = (await git('rev-list', 'main')).split('\n');
    const parent = await main.getParent();
    expect(parent?.commitHash).toBe(first);
    expect([parent?.refName, parent?.writable]).toEqual(['main', true]);
    expect((await main.back()).commitHash).toBe(first);
    expect((await main.back(2)).commitHash).toBe(empty);
    expect((await main.back(0)).commitHash).toBe(second);
    expect(await (await main.back(2)).getParent()).toBeNull();
    await expect(main.back(3)).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.back(-1)).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.back(0.5)).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  it('can be opened some commits back', async ({ store, main, git }) => {
    expect((await store.fs('main', { back: 1 })).commitHash).toBe(await git('rev-parse', 'main~1'));
    expect((await store.fs(main.commitHash, { back: 2 })).commitHash).toBe(
      await git('rev-parse', 'main~2'),
    );
    await expect(store.fs('v1', { back: 2 })).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(store.fs('none', { back: 2 })).rejects.toBeInstanceOf(KeyNotFoundError);
  });

  it('is logged along first parents, newest first', async ({ store, main, git }) => {
    expect(await hashes(main.log())).toEqual((await git('rev-list', 'main')).split('\n'));
    const side = await (await store.branches.get('feature/x')).write('side', Buffer.from('1'));
    const merged = await main.write('m', Buffer.from('2'), { parents: [side] });
    expect(await hashes(merged.log())).toEqual(
      (await git('rev-list', '--first-parent', 'main')).split('\n'),
    );
    for await (const fs of merged.log()) expect([fs.refName, fs.writable]).toEqual(['main', true]);
  });

  it('is logged for a path', async ({ main, git }) => {
    let fs = await main.write('docs/guide.md', Buffer.from('changed'));
    fs = await fs.write('docs/guide.md', Buffer.from('changed'), { mode: 'executable' });
    fs = await fs.write('unrelated', Buffer.from('1'));
    fs = await fs.remove('docs/guide.md');
    fs = await fs.writeText('docs/guide.md', 'back again');
    for (const path of ['docs/guide.md', 'docs', 'README.md', 'unrelated', 'none', 'docs/none/x']) {
      const expected = await git('log', '--first-parent', '--format=%H', 'main', '--', path);
      expect([path, await hashes(fs.log({ path }))]).toEqual([
        path,
        expected === '' ? [] : expected.split('\n'),
      ]);
    }
  });

  it('is logged for a message and a time', async ({ main }) => {
    let fs = await main.write('a', Buffer.from('1'), { message: 'fix: a [x]\n\ndetails' });
    fs = await fs.write('a', Buffer.from('2'), { message: 'feat: b' });
    const messages = async (match: string): Promise<string[]> =>
      Promise.all((await collect(fs.log({ match }))).map((found) => found.getMessage()));
    expect(await messages('f*: ?*')).toEqual(['feat: b', 'fix: a [x]\n\ndetails']);
    expect(await messages('*[x]*')).toEqual(['fix: a [x]\n\ndetails']);
    expect(await messages('feat')).toEqual([]);
    expect(await messages('f?at: b')).toEqual(['feat: b']);
    const now = await fs.getTime();
    expect(await hashes(fs.log({ before: now }))).toHaveLength(5);
    expect(await hashes(fs.log({ before: new Date(0) }))).toEqual([]);
    expect(await hashes(fs.log({ path: 'a', match: 'f*', before: now }))).toHaveLength(2);
    await expect(fs.log({ before: new Date(NaN) }).next()).rejects.toBeInstanceOf(
      InvalidArgumentError,
    );
  });

  it('is undone and redone', async ({ store, main, git }) => {
    const a = await main.write('a', Buffer.from('1'));
    const b = await a.write('b', Buffer.from('2'));
    const undone = await b.undo(2);
    expect(undone.commitHash).toBe(main.commitHash);
    expect([undone.writable, undone.refName]).toEqual([true, 'main']);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
    const redone = await undone.redo();
    expect(redone.commitHash).toBe(b.commitHash);
    expect(await git('rev-parse', 'main')).toBe(b.commitHash);
    expect(await git('log', '-g', '-2', '--format=%gs', 'main')).toBe(
      'redo: move forward 1\nundo: move back 2',
    );
    expect((await store.branches.get('main')).commitHash).toBe(b.commitHash);
  });

  it('is redone step by step, as it was undone', async ({ main }) => {
    const a = await main.write('a', Buffer.from('1'));
    const b = await a.write('b', Buffer.from('2'));
    let fs = await (await b.undo()).undo();
    expect(fs.commitHash).toBe(main.commitHash);
    fs = await fs.redo();
    expect(fs.commitHash).toBe(a.commitHash);
    fs = await fs.redo();
    expect(fs.commitHash).toBe(b.commitHash);
    await expect(fs.redo()).rejects.toBeInstanceOf(InvalidArgumentError);
    fs = await (await fs.undo()).undo();
    fs = await fs.redo(2);
    expect(fs.commitHash).toBe(b.commitHash);
    fs = await (await fs.undo()).redo();
    expect(fs.commitHash).toBe(b.commitHash);
  });

  it('is not redone past a new commit', async ({ main, git }) => {
    const a = await main.write('a', Buffer.from('1'));
    const other = await (await a.undo()).write('b', Buffer.from('2'));
    await expect(other.redo()).rejects.toBeInstanceOf(InvalidArgumentError);
    expect(await git('rev-parse', 'main')).toBe(other.commitHash);
  });

  it('is not redone past commits that came at once', async ({ store, main, git }) => {
    const tree = await git('rev-parse', 'main^{tree}');
    const one = await git('commit-tree', '-p', main.commitHash, '-m', 'one', tree);
    const two = await git('commit-tree', '-p', one, '-m', 'two', tree);
    await git('update-ref', '-m', 'push', 'refs/heads/main', two);
    const fs = await store.branches.get('main');
    await expect(fs.redo()).rejects.toBeInstanceOf(InvalidArgumentError);
    expect(await git('rev-parse', 'main')).toBe(two);
  });

  it('brings back what the branch was reset from', async ({ store, main, git }) => {
    const a = await main.write('a', Buffer.from('1'));
    await store.branches.set('main', await store.fs('v1'));
    const fs = await (await store.branches.get('main')).redo();
    expect(fs.commitHash).toBe(a.commitHash);
    expect(await git('rev-parse', 'main')).toBe(a.commitHash);
  });

  it('refuses to undo or redo more than there is', async ({ main, git }) => {
    await expect(main.undo(3)).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.redo()).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.undo(0)).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(main.redo(-1)).rejects.toBeInstanceOf(InvalidArgumentError);
    const undone = await main.undo();
    await expect(undone.redo(2)).rejects.toThrow('only 1');
    expect(await git('rev-parse', 'main')).toBe(undone.commitHash);
  });

  it('is squashed into a commit without it', async ({ store, main, git }) => {
    const alone = await main.squash({ message: 'all of it' });
    expect([alone.treeHash, alone.writable, alone.refName]).toEqual([main.treeHash, false, null]);
    expect(await git('log', '-1', '--format=%P|%B', alone.commitHash)).toBe('|all of it\n');
    expect(await alone.getParent()).toBeNull();
    const base = await store.fs('v1');
    const onTop = await main.squash({ parent: base });
    expect((await onTop.getParent())?.commitHash).toBe(base.commitHash);
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
    const kept = await store.branches.setAndGet('squashed', alone);
    expect(await (await kept.write('x', Buffer.from('1'))).exists('README.md')).toBe(true);
  });
});
