import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { BatchClosedError, InvalidRefNameError, KeyNotFoundError } from '../../src/index.ts';
import { collect, describeOnEveryRepository } from '../helpers/library-fixture.ts';

describeOnEveryRepository('notes', (it) => {
  it('are written for git and read from git', async ({ store, main, git }) => {
    const notes = store.notes.commits;
    await notes.set(main, 'a nöte\n');
    expect(await git('notes', 'show', 'main')).toBe('a nöte');
    await git('notes', 'add', '-m', 'by git', 'v1');
    expect(await notes.get('v1')).toBe('by git\n');
    const first = await git('rev-parse', 'v1');
    expect(await notes.list()).toEqual([main.commitHash, first].sort());
    expect(await collect(notes)).toEqual(await notes.list());
    expect(await notes.size()).toBe(2);
    expect((await git('notes', 'list')).split('\n')).toHaveLength(2);
  });

  it('are on a hash, a snapshot, or the tip of a branch or tag', async ({ store, main }) => {
    const notes = store.notes.commits;
    await notes.set(main.commitHash, 'one');
    for (const target of ['main', main, main.commitHash, main.commitHash.toUpperCase()]) {
      expect(await notes.get(target)).toBe('one');
      expect(await notes.has(target)).toBe(true);
    }
    await notes.set('annotated', 'two');
    expect(await notes.get('v1')).toBe('two');
    await expect(notes.get('none')).rejects.toBeInstanceOf(KeyNotFoundError);
    expect(await notes.has('none')).toBe(false);
    await expect(notes.set('none', 'x')).rejects.toBeInstanceOf(KeyNotFoundError);
    await expect(notes.set(main.commitHash.slice(0, 7), 'x')).rejects.toBeInstanceOf(
      KeyNotFoundError,
    );
  });

  it('are replaced and deleted', async ({ store, main, git }) => {
    const notes = store.notes.commits;
    await notes.set(main, 'one');
    const tip = await git('rev-parse', 'refs/notes/commits');
    await notes.set(main, 'one');
    expect(await git('rev-parse', 'refs/notes/commits')).toBe(tip);
    await notes.set(main, 'two');
    expect(await git('notes', 'show', 'main')).toBe('two');
    await notes.delete(main);
    expect(await notes.has(main)).toBe(false);
    await expect(notes.get(main)).rejects.toBeInstanceOf(KeyNotFoundError);
    await expect(notes.delete(main)).rejects.toBeInstanceOf(KeyNotFoundError);
    expect(await git('log', '--format=%s', 'refs/notes/commits')).toBe(
      "Notes removed by 'git notes remove'\n" +
        "Notes added by 'git notes add'\nNotes added by 'git notes add'",
    );
  });

  it('have namespaces', async ({ store, main, git }) => {
    await store.notes.namespace('reviews').set(main, 'fine');
    expect(await git('notes', '--ref', 'reviews', 'show', 'main')).toBe('fine');
    expect(await store.notes.commits.has(main)).toBe(false);
    expect(await store.notes.namespace('none').list()).toEqual([]);
    expect(await store.notes.namespace('none').size()).toBe(0);
    expect(() => store.notes.namespace('a b')).toThrow(InvalidRefNameError);
  });

  it('are changed together in one commit', async ({ store, main, git }) => {
    const notes = store.notes.commits;
    const first = await store.fs('v1');
    await notes.set(first, 'old');
    const batch = notes.batch();
    void batch.set(main, 'lost');
    await batch.set('main', 'new');
    await batch.delete(first);
    await expect(batch.delete(first)).rejects.toBeInstanceOf(KeyNotFoundError);
    expect(await notes.has(main)).toBe(false);
    await batch.commit();
    expect(batch.closed).toBe(true);
    expect(await git('rev-list', '--count', 'refs/notes/commits')).toBe('2');
    expect(await notes.list()).toEqual([main.commitHash]);
    expect(await git('notes', 'show', 'main')).toBe('new');
    await expect(batch.set(main, 'x')).rejects.toBeInstanceOf(BatchClosedError);
    await expect(batch.delete(main)).rejects.toBeInstanceOf(BatchClosedError);
    await expect(batch.commit()).rejects.toBeInstanceOf(BatchClosedError);
    {
      await using discarded = notes.batch();
      await discarded.set(main, 'never');
    }
    expect(await notes.get(main)).toBe('new');
  });

  it('are on the current branch', async ({ store, main, git }) => {
    await store.notes.commits.setForCurrentBranch('here');
    expect(await store.notes.commits.getForCurrentBranch()).toBe('here');
    expect(await store.notes.commits.get(main)).toBe('here');
    await git('symbolic-ref', 'HEAD', 'refs/heads/unborn');
    const set = store.notes.commits.setForCurrentBranch('x');
    await expect(set).rejects.toBeInstanceOf(KeyNotFoundError);
    await git('symbolic-ref', 'HEAD', 'refs/heads/main');
  });

  it('are found and kept in the directories that git makes of many', async ({ store, git }) => {
    const notes = store.notes.commits;
    const targets = Array.from({ length: 400 }, (_, index) =>
      createHash('sha1').update(String(index)).digest('hex'),
    );
    const [changed = '', deleted = ''] = targets;
    const batch = notes.batch();
    for (const target of targets) await batch.set(target, `on ${target}`);
    await batch.commit();
    // git reads the flat tree, and writes it anew with its own fan-out.
    await git('notes', 'add', '-m', 'by git', 'main');
    const isFannedOut = async (): Promise<boolean> => {
      const names = await git('ls-tree', '--name-only', 'refs/notes/commits');
      return names.split('\n').every((name) => name.length === 2);
    };
    expect(await isFannedOut()).toBe(true);
    expect(await notes.size()).toBe(401);
    for (const target of targets) expect(await notes.get(target)).toBe(`on ${target}`);
    await notes.set(changed, 'changed');
    await notes.set('v1', 'new');
    await notes.delete(deleted);
    expect(await isFannedOut()).toBe(true);
    expect(await git('notes', 'show', changed)).toBe('changed');
    expect(await git('notes', 'show', 'v1')).toBe('new');
    expect((await git('notes', 'list')).split('\n')).toHaveLength(401);
    expect(await notes.get('main')).toBe('by git\n');
  });

  it('survive writers at the same time', async ({ store, reopen, git }) => {
    const others = [store, await reopen(), await reopen()];
    const targets = (await git('rev-list', '--all')).split('\n');
    await Promise.all(
      others.flatMap(({ notes }, index) =>
        targets.map((target) => notes.namespace('busy').set(target, `by ${index}`)),
      ),
    );
    expect(await store.notes.namespace('busy').list()).toEqual([...new Set(targets)].sort());
  });
});
