import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import {
  CorruptRefError,
  FileNotFoundError,
  GitStore,
  InvalidArgumentError,
  InvalidRefNameError,
  KeyExistsError,
  KeyNotFoundError,
  validateRefName,
} from '../../src/index.ts';
import { collect, describeOnEveryRepository } from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const badNames = [
  '',
  'a b',
  'a..b',
  '.a',
  'a/.b',
  'a.lock',
  'a:b',
  'a~1',
  'a^',
  'a?',
  'a*',
  'a[',
  'a\\b',
  '/a',
  'a/',
  'a//b',
  'a.',
  '@',
  'a@{b',
  '-a',
  'HEAD',
  'a\tb',
  'a\u00a0b',
];

describeOnEveryRepository('branches and tags', (it) => {
  it('are not there under names that are too long, or no text', async ({ store, main }) => {
    for (const name of ['x'.repeat(252), 'x'.repeat(300), '\ud800']) {
      expect(await store.branches.has(name)).toBe(false);
      await expect(store.branches.get(name)).rejects.toBeInstanceOf(KeyNotFoundError);
      await expect(store.branches.delete(name)).rejects.toBeInstanceOf(KeyNotFoundError);
      await expect(store.fs(name)).rejects.toBeInstanceOf(KeyNotFoundError);
      await expect(main.copyFromRef(name)).rejects.toBeInstanceOf(KeyNotFoundError);
      await expect(store.branches.set(name, main)).rejects.toBeInstanceOf(InvalidRefNameError);
      await expect(store.tags.set(name, main)).rejects.toBeInstanceOf(InvalidRefNameError);
    }
  });

  it('are deleted once, whoever else does so, and also when they are broken', async (fixture) => {
    const { store, main, gitDir, git } = fixture;
    await store.branches.set('often', main);
    const deletions = Array.from({ length: 5 }, () => store.branches.delete('often'));
    const outcomes = await Promise.allSettled(deletions);
    const reasons = outcomes.flatMap((one) =>
      one.status === 'rejected' ? [one.reason as unknown] : [],
    );
    expect(reasons).toHaveLength(4);
    for (const reason of reasons) expect(reason).toBeInstanceOf(KeyNotFoundError);
    await writeFile(join(gitDir, 'refs/heads/broken'), 'nothing that git knows');
    await expect(store.branches.get('broken')).rejects.toBeInstanceOf(CorruptRefError);
    await store.branches.delete('broken');
    expect(await git('branch', '--list', 'broken', 'often')).toBe('');
    await git('symbolic-ref', 'refs/heads/alias', 'refs/heads/main');
    await store.branches.delete('alias');
    expect(await git('rev-parse', 'main')).toBe(main.commitHash);
  });

  it('are of one repository, by whatever way it is opened', async ({ store, gitDir }) => {
    const link = join(await temporaryDirectory(), 'link');
    await symlink(gitDir, link);
    const other = await GitStore.open(link);
    await store.branches.set('by-link', await other.branches.get('main'));
    await other.close();
    expect(await store.branches.has('by-link')).toBe(true);
  });

  it('are found by name', async ({ store, main, git }) => {
    expect((await store.branches.get('main')).commitHash).toBe(main.commitHash);
    const feature = await store.branches.get('feature/x');
    expect([feature.refName, feature.writable]).toEqual(['feature/x', true]);
    expect(feature.commitHash).toBe(await git('rev-parse', 'feature/x'));
    const tag = await store.tags.get('v1');
    expect([tag.refName, tag.writable]).toEqual(['v1', false]);
    expect((await store.tags.get('annotated')).commitHash).toBe(
      await git('rev-parse', 'annotated^{commit}'),
    );
    expect(await store.branches.has('feature/x')).toBe(true);
    expect(await store.branches.has('feature')).toBe(false);
    expect(await store.branches.has('v1')).toBe(false);
    expect(await store.tags.has('v1')).toBe(true);
    expect(await store.branches.list()).toEqual(['feature/x', 'main']);
    expect(await store.tags.list()).toEqual(['annotated', 'v1']);
    expect(await collect(store.branches)).toEqual(['feature/x', 'main']);
    await expect(store.branches.get('none')).rejects.toBeInstanceOf(KeyNotFoundError);
    await expect(store.tags.get('main')).rejects.toBeInstanceOf(KeyNotFoundError);
  });

  it('are seen when git makes, moves, packs and deletes them', async ({ store, git }) => {
    await git('branch', 'by-git', 'v1');
    expect(await store.branches.list()).toEqual(['by-git', 'feature/x', 'main']);
    await git('pack-refs', '--all', '--prune');
    await git('update-ref', 'refs/heads/by-git', 'main');
    expect((await store.branches.get('by-git')).commitHash).toBe(await git('rev-parse', 'main'));
    await git('branch', '-D', 'by-git');
    expect(await store.branches.has('by-git')).toBe(false);
  });

  it('are made, moved and deleted', async ({ store, main, git }) => {
    const old = await store.fs('v1');
    await store.branches.set('topic/a', old);
    expect(await git('rev-parse', 'topic/a')).toBe(old.commitHash);
    const bound = await store.branches.setAndGet('topic/a', main);
    expect([bound.refName, bound.writable, bound.commitHash]).toEqual([
      'topic/a',
      true,
      main.commitHash,
    ]);
    expect(await git('log', '-g', '--format=%H %gs', 'topic/a')).toBe(
      `${main.commitHash} branch: set to main\n${old.commitHash} branch: set to v1`,
    );
    await store.branches.delete('topic/a');
    expect(await git('for-each-ref', 'refs/heads/topic')).toBe('');
    await expect(store.branches.delete('topic/a')).rejects.toBeInstanceOf(KeyNotFoundError);
    await store.tags.set('v2', main);
    expect(await git('rev-parse', 'v2')).toBe(main.commitHash);
    await expect(store.tags.set('v2', main)).rejects.toBeInstanceOf(KeyExistsError);
    await expect(store.tags.set('v1', main)).rejects.toBeInstanceOf(KeyExistsError);
    await store.tags.delete('v1');
    await store.tags.delete('annotated');
    expect(await git('tag', '--list')).toBe('v2');
    expect((await store.tags.setAndGet('v1', main)).writable).toBe(false);
    const elsewhere = await GitStore.open(join(await temporaryDirectory(), 'other.git'));
    const stranger = await elsewhere.branches.get('main');
    await expect(store.branches.set('x', stranger)).rejects.toBeInstanceOf(InvalidArgumentError);
    await elsewhere.close();
  });

  it('have names that git takes', async ({ store, main }) => {
    for (const name of badNames) {
      expect(() => validateRefName(name)).toThrow(InvalidRefNameError);
      await expect(store.branches.set(name, main)).rejects.toBeInstanceOf(InvalidRefNameError);
      await expect(store.tags.set(name, main)).rejects.toBeInstanceOf(InvalidRefNameError);
      expect(await store.branches.has(name)).toBe(false);
      await expect(store.branches.get(name)).rejects.toBeInstanceOf(KeyNotFoundError);
      await expect(store.branches.delete(name)).rejects.toBeInstanceOf(KeyNotFoundError);
      await expect(store.fs(name)).rejects.toBeInstanceOf(KeyNotFoundError);
    }
    for (const name of ['a', 'a/b/c', 'ünï☃', 'v1.0-rc+1', 'head', '#1']) {
      validateRefName(name);
      await store.branches.set(name === 'a' ? 'plain' : name, main);
    }
    expect(await store.branches.has('ünï☃')).toBe(true);
  });

  it('know the current branch', async ({ store, main, git }) => {
    expect(await store.branches.getCurrentName()).toBe('main');
    expect((await store.branches.getCurrent())?.commitHash).toBe(main.commitHash);
    await store.branches.setCurrent('feature/x');
    expect(await git('symbolic-ref', 'HEAD')).toBe('refs/heads/feature/x');
    expect(await store.branches.getCurrentName()).toBe('feature/x');
    await expect(store.branches.setCurrent('none')).rejects.toBeInstanceOf(KeyNotFoundError);
    await git('symbolic-ref', 'HEAD', 'refs/heads/unborn');
    expect(await store.branches.getCurrentName()).toBeNull();
    expect(await store.branches.getCurrent()).toBeNull();
    await git('update-ref', '--no-deref', 'HEAD', 'main');
    expect(await store.branches.getCurrentName()).toBeNull();
    await git('symbolic-ref', 'HEAD', 'refs/heads/main');
  });

  it('have a reflog', async ({ store, main, git }) => {
    const before = Math.floor(Date.now() / 1000);
    const fs = await main.write('a', Buffer.from('1'));
    const entries = await store.branches.reflog('main');
    const last = entries.at(-1);
    expect(last).toMatchObject({
      oldSha: main.commitHash,
      newSha: fs.commitHash,
      committer: 'vost <vost@localhost>',
      message: 'commit: + a',
    });
    expect(last?.timestamp).toBeGreaterThanOrEqual(before);
    const gitEntries = await git('log', '-g', '--format=%H %gs', 'main');
    expect(entries.map(({ newSha, message }) => `${newSha} ${message}`)).toEqual(
      gitEntries.split('\n').reverse(),
    );
    await expect(store.branches.reflog('none')).rejects.toBeInstanceOf(KeyNotFoundError);
    await git('branch', '--no-create-reflog', 'unlogged');
    await git('reflog', 'expire', '--expire=all', '--all');
    await expect(store.branches.reflog('unlogged')).rejects.toBeInstanceOf(FileNotFoundError);
  });

  it('leave some questions to branches', async ({ store }) => {
    await expect(store.tags.getCurrent()).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(store.tags.getCurrentName()).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(store.tags.setCurrent('v1')).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(store.tags.reflog('v1')).rejects.toBeInstanceOf(InvalidArgumentError);
  });

  it('come before hashes, and branches before tags', async ({ store, main, git }) => {
    const old = await store.fs('v1');
    expect((await store.fs(main.commitHash.slice(0, 7))).commitHash).toBe(main.commitHash);
    expect((await store.fs(main.commitHash.toUpperCase())).commitHash).toBe(main.commitHash);
    expect((await store.fs(await git('rev-parse', 'annotated'))).commitHash).toBe(old.commitHash);
    await store.tags.set('feature/x', main);
    expect((await store.fs('feature/x')).writable).toBe(true);
    const short = main.commitHash.slice(0, 7);
    await store.tags.set(short, old);
    expect((await store.fs(short)).commitHash).toBe(old.commitHash);
    for (const name of ['none', 'abc', '0'.repeat(40), main.treeHash, 'HEAD', 'main~1', '']) {
      await expect(store.fs(name)).rejects.toBeInstanceOf(KeyNotFoundError);
    }
  });

  it('may lead to something else than a commit', async ({ store, git }) => {
    await git('tag', 'tree-tag', 'main^{tree}');
    await expect(store.tags.get('tree-tag')).rejects.toBeInstanceOf(KeyNotFoundError);
    expect(await store.tags.has('tree-tag')).toBe(true);
  });
});
