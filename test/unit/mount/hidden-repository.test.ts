import { beforeEach, expect, test } from 'vitest';
import type { Oid } from '../../../src/git/oid.ts';
import { serializeTree } from '../../../src/git/object.ts';
import type { ByteString } from '../../../src/git/byte-string.ts';
import { modeBlob, modeTree } from '../../../src/git/mode.ts';
import { rootIno } from '../../../src/mount/vfs/operations.ts';
import { BranchMount } from './branch/branch-mount.ts';
import { caller, name } from './helpers/fake-nodes.ts';
import { MountedNamespace } from './helpers/mounted.ts';
import { TestRepository } from './helpers/repositories.ts';

// A tree that git would not have made: whoever calls git below it would run what its configuration
// names. Shown are the disguises that git on this system does not fall for.

let repository: TestRepository;
let commit: Oid;

async function treeWith(config: string): Promise<Oid> {
  const blob = await repository.blob(config);
  const git = await repository.tree([`100644 blob ${blob}\tconfig`]);
  const only = await repository.object('tree', rawTree([['.git', modeTree, git]]));
  const entries = [
    ['.GIT', modeBlob, blob],
    ['.git', modeTree, git],
    ['.gita', modeBlob, blob],
    ['only', modeTree, only],
  ] as const;
  return repository.object('tree', rawTree(entries));
}

function rawTree(entries: readonly (readonly [string, number, Oid])[]): Buffer {
  return serializeTree(
    entries.map(([text, mode, oid]) => ({ name: text as ByteString, mode, oid })),
    'sha1',
  );
}

beforeEach(async () => {
  repository = await TestRepository.create();
  commit = await repository.commit(await treeWith('[alias]'));
  await repository.branch('main', commit);
  await repository.git(['tag', 'v1', commit]);
});

const shown = ['.GIT', '.gita', 'only'];

test('a repository in the tree of a snapshot is not shown', async () => {
  const mounted = await MountedNamespace.open(repository);
  for (const path of ['.tags/v1', `.commits/${commit}`, '.history/main/~0', '.versions/main']) {
    expect((await mounted.ls(path)).sort(), path).toEqual(shown);
    expect(await mounted.find(`${path}/.git`), path).toBeNull();
    expect(await mounted.ls(`${path}/only`), path).toEqual([]);
  }
  expect((await mounted.stat('.tags/v1')).nlink).toBe(3);
  expect((await mounted.stat('.tags/v1/only')).nlink).toBe(2);
});

test('nor is one in a branch, and one that a user makes there is his own', async () => {
  const mount = await BranchMount.open({ gitDir: repository.gitDir });
  expect((await mount.ls()).sort()).toEqual(shown);
  expect(await mount.find('.git')).toBeNull();
  expect((await mount.stat('only')).nlink).toBe(2);
  const { attr } = await mount.vfs.getattr(rootIno, undefined);
  expect(attr.nlink).toBe(3);

  await mount.mkdir('.git');
  await mount.write('.git/own', 'mine');
  expect((await mount.ls()).sort()).toEqual(['.GIT', '.git', '.gita', 'only']);
  expect(await mount.ls('.git')).toEqual(['own']);
  await mount.write('file', 'text');
  await mount.commit();
  // What git has there stays, as everything that nobody changed.
  expect(await mount.git('cat-file', 'blob', 'main:.git/config')).toBe('[alias]');
  expect(await mount.git('ls-tree', '--name-only', 'main:.git')).toBe('config');

  const other = await repository.commit(await treeWith('[core]'), 'another');
  await repository.git(['update-ref', 'refs/heads/main', other]);
  await mount.branch.follow();
  expect(await mount.ls('.git')).toEqual(['own']);
  await mount.vfs.unlink(await mount.get('.git'), name('own'));
  await mount.rmdir('.git');
  expect(await mount.find('.git')).toBeNull();
});

test('a directory in which nothing else is can be removed', async () => {
  const mount = await BranchMount.open({ gitDir: repository.gitDir });
  expect(await mount.ls('only')).toEqual([]);
  await mount.rmdir('only');
  await mount.commit();
  expect(await mount.git('ls-tree', '--name-only', 'main')).toBe('.GIT\n.git\n.gita');
  expect((await mount.vfs.mkdir(rootIno, name('only'), 0o755, caller)).attr?.nlink).toBe(2);
});
