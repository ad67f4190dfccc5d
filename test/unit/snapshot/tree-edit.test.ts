import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesFromText } from '../../../src/git/byte-string.ts';
import type { ByteString } from '../../../src/git/byte-string.ts';
import { modeBlob, modeExecutable, modeTree } from '../../../src/git/mode.ts';
import { emptyTreeOid } from '../../../src/git/object.ts';
import type { Oid } from '../../../src/git/oid.ts';
import { Repository } from '../../../src/git/repository.ts';
import { diffTrees } from '../../../src/snapshot/tree-diff.ts';
import { changesFromPaths, editTree, putChange } from '../../../src/snapshot/tree-edit.ts';
import type { TreeChange, TreeEdit } from '../../../src/snapshot/tree-edit.ts';
import { entryAt, walkTree } from '../../../src/snapshot/tree.ts';
import { git } from '../../helpers/git.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

let repository: Repository;
let one: Oid;
let two: Oid;
let base: Oid;

const name = bytesFromText;
const set = (oid: Oid, mode = modeBlob): TreeChange => ({ kind: 'set', mode, oid });
const edit = (children: Readonly<Record<string, TreeChange>>, from?: Oid | null): TreeEdit => ({
  kind: 'edit',
  ...(from !== undefined && { base: from }),
  children: new Map(Object.entries(children).map(([key, change]) => [name(key), change])),
});
const gone: TreeChange = { kind: 'delete' };

async function apply(root: Oid | null, change: TreeChange, pruneEmpty = true): Promise<Oid> {
  const staging = repository.odb.stage();
  const { oid, written } = await editTree(repository.odb, staging, root, change, { pruneEmpty });
  await staging.publish(written, { fsync: false });
  await staging.discard();
  return oid;
}

async function listing(tree: Oid): Promise<string[]> {
  const args = ['ls-tree', '-r', '-t', '--format=%(objectmode) %(path)', tree];
  const output = await git(args, { cwd: repository.gitDir });
  return output.split('\n').filter((line) => line !== '');
}

beforeAll(async () => {
  const path = join(await temporaryDirectory(), 'edit.git');
  repository = await Repository.create(path, { initialBranch: null });
  one = await repository.odb.write('blob', Buffer.from('1'));
  two = await repository.odb.write('blob', Buffer.from('2'));
  base = await apply(
    null,
    changesFromPaths(
      ['a', 'dir/x', 'dir/sub/y', 'dir.c', 'other/z'].map((path) => [
        name(path),
        { mode: modeBlob, oid: one },
      ]),
    ),
  );
});

afterAll(() => repository.close());

describe('editing a tree', () => {
  test('sets, replaces and deletes', async () => {
    expect(await listing(base)).toEqual([
      ...['100644 a', '100644 dir.c', '040000 dir', '040000 dir/sub', '100644 dir/sub/y'],
      ...['100644 dir/x', '040000 other', '100644 other/z'],
    ]);
    const change = edit({
      a: gone,
      dir: edit({ sub: set(two), x: set(one, modeExecutable), new: edit({ n: set(one) }) }),
      'dir.c': edit({ inner: set(two) }),
    });
    expect(await listing(await apply(base, change))).toEqual([
      ...['040000 dir.c', '100644 dir.c/inner', '040000 dir', '040000 dir/new', '100644 dir/new/n'],
      ...['100644 dir/sub', '100755 dir/x', '040000 other', '100644 other/z'],
    ]);
  });

  test('makes again the tree that git makes', async () => {
    const input = `100644 blob ${one}\ta\n100644 blob ${one}\ta.b\n100644 blob ${one}\ta0\n`;
    const expected = await git(['mktree'], { cwd: repository.gitDir, input });
    expect(await apply(null, edit({ a0: set(one), 'a.b': set(one), a: set(one) }))).toBe(
      expected.trim(),
    );
  });

  test('leaves alone what does not change', async () => {
    const { odb } = repository;
    const staging = odb.stage();
    const change = edit({
      a: set(one),
      none: gone,
      dir: edit({ none: gone, sub: edit({}) }),
      new: edit({}),
    });
    const { oid, written } = await editTree(odb, staging, base, change, { pruneEmpty: true });
    expect([oid, written]).toEqual([base, []]);
    await staging.discard();
  });

  test('prunes emptied directories, or keeps them as empty trees', async () => {
    const change = edit({ dir: edit({ sub: edit({ y: gone }) }), other: edit({ z: gone }) });
    expect(await listing(await apply(base, change))).toEqual([
      ...['100644 a', '100644 dir.c', '040000 dir', '100644 dir/x'],
    ]);
    expect(await listing(await apply(base, change, false))).toEqual([
      ...[
        '100644 a',
        '100644 dir.c',
        '040000 dir',
        '040000 dir/sub',
        '100644 dir/x',
        '040000 other',
      ],
    ]);
    const all = edit({ a: gone, dir: gone, 'dir.c': gone, other: gone });
    expect(await apply(base, all)).toBe(emptyTreeOid('sha1'));
    expect(await apply(base, gone)).toBe(emptyTreeOid('sha1'));
    expect(await repository.odb.has(emptyTreeOid('sha1'))).toBe(true);
  });

  test('makes empty directories where they are real', async () => {
    const made = edit({ empty: edit({}), nested: edit({ deep: edit({}) }) });
    expect(await listing(await apply(null, made, false))).toEqual([
      ...['040000 empty', '040000 nested', '040000 nested/deep'],
    ]);
    expect(await apply(null, made, true)).toBe(emptyTreeOid('sha1'));
  });

  test('keeps an empty directory beside which something changes', async () => {
    const kept = await apply(base, edit({ empty: edit({}) }), false);
    const after = await apply(kept, edit({ a: gone, empty: edit({ none: gone }) }));
    expect(await listing(after)).toContain('040000 empty');
  });

  test('starts a directory from another tree', async () => {
    const dir = (await entryAt(repository.odb, base, name('dir')))?.oid ?? base;
    const moved = edit({ dir: gone, renamed: edit({ x: set(two), sub: gone }, dir) });
    expect(await listing(await apply(base, moved))).toEqual([
      ...[
        '100644 a',
        '100644 dir.c',
        '040000 other',
        '100644 other/z',
        '040000 renamed',
        '100644 renamed/x',
      ],
    ]);
    const untouched = await apply(base, edit({ copy: edit({}, dir) }));
    expect((await entryAt(repository.odb, untouched, name('copy')))?.oid).toBe(dir);
    const cleared = await apply(base, edit({ dir: edit({ new: set(one) }, null) }));
    expect((await listing(cleared)).filter((line) => line.includes('dir/'))).toEqual([
      '100644 dir/new',
    ]);
    expect(await apply(base, { kind: 'set', mode: modeTree, oid: dir })).toBe(dir);
  });

  test('takes the last change of a path', () => {
    const root = changesFromPaths([
      [name('a'), { mode: modeBlob, oid: one }],
      [name('a/b'), { mode: modeBlob, oid: two }],
      [name('c/d'), { mode: modeBlob, oid: one }],
      [name('c'), null],
      [name('c/e'), { mode: modeBlob, oid: two }],
    ]);
    expect(root.children.get(name('a'))).toEqual(edit({ b: set(two) }, null));
    expect(root.children.get(name('c'))).toEqual(edit({ e: set(two) }, null));
    putChange(root, name('t'), { kind: 'set', mode: modeTree, oid: base });
    putChange(root, name('t/u'), gone);
    expect(root.children.get(name('t'))).toEqual(edit({ u: gone }, base));
    expect(() => {
      putChange(root, '' as ByteString, gone);
    }).toThrow(RangeError);
  });
});

describe('comparing trees', () => {
  test('tells files that came, changed and went', async () => {
    const change = edit({
      a: edit({ inner: set(one) }, null),
      dir: set(two),
      'dir.c': set(one, modeExecutable),
      other: edit({ z: set(two), new: set(one) }),
    });
    const after = await apply(base, change);
    const expected = {
      add: ['a/inner', 'dir', 'other/new'],
      update: ['dir.c', 'other/z'],
      delete: ['a', 'dir/sub/y', 'dir/x'],
    };
    for (const hint of [undefined, change]) {
      const report = await diffTrees(repository.odb, base, after, hint);
      const paths = (['add', 'update', 'delete'] as const).map((kind) => [
        kind,
        report[kind].map(({ path }) => path),
      ]);
      expect(Object.fromEntries(paths)).toEqual(expected);
    }
    const all = await diffTrees(repository.odb, null, base);
    expect(all.add.map(({ path }) => path)).toEqual([
      'a',
      'dir.c',
      'dir/sub/y',
      'dir/x',
      'other/z',
    ]);
    expect((await diffTrees(repository.odb, base, null)).delete).toHaveLength(5);
    expect((await diffTrees(repository.odb, base, base)).add).toEqual([]);
  });

  test('sees a directory that was moved and changed', async () => {
    const dir = (await entryAt(repository.odb, base, name('dir')))?.oid ?? base;
    const change = edit({ dir: gone, renamed: edit({ x: set(two) }, dir) });
    const report = await diffTrees(repository.odb, base, await apply(base, change), change);
    expect(report.add.map(({ path }) => path)).toEqual(['renamed/sub/y', 'renamed/x']);
    expect(report.delete.map(({ path }) => path)).toEqual(['dir/sub/y', 'dir/x']);
  });
});

describe('walking a tree', () => {
  test('goes where it is let', async () => {
    const visited: string[] = [];
    for await (const { path, subdirectories } of walkTree(repository.odb, base)) {
      visited.push(path);
      if (path === 'dir') subdirectories.length = 0;
    }
    expect(visited).toEqual(['', 'dir', 'other']);
  });

  test('finds entries, and nothing below files', async () => {
    expect(await entryAt(repository.odb, base, name('dir/x'))).toMatchObject({ oid: one });
    expect(await entryAt(repository.odb, base, name('a/x'))).toBeNull();
    expect(await entryAt(repository.odb, base, name('none/x'))).toBeNull();
    expect(await entryAt(repository.odb, base, name(''))).toMatchObject({
      oid: base,
      mode: modeTree,
    });
  });
});
