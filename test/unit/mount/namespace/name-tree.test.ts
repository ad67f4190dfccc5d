import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NameDirectory } from '../../../../src/mount/namespace/name-directory.ts';
import type { NameLeaf } from '../../../../src/mount/namespace/name-directory.ts';
import { NameTree } from '../../../../src/mount/namespace/name-tree.ts';
import type { DirectoryStream } from '../../../../src/mount/vfs/vnode.ts';
import { MemoryNotifier, name, newContext } from '../helpers/fake-nodes.ts';

const rootIno = 1 as never;

function newTree() {
  const context = newContext();
  const notifier = new MemoryNotifier();
  const place = { ino: rootIno, parent: null, path: name('') };
  const root = new NameDirectory<NameLeaf>(context, place);
  const tree = new NameTree(
    root,
    (below) => new NameDirectory(context, { ...below, ino: context.inos.next() }),
    notifier,
  );
  const leaf = (): NameLeaf => ({
    ino: context.inos.next(),
    isShown: true,
    findOut: () => Promise.resolve(),
    open: () => null,
  });
  return { tree, root, notifier, leaf };
}

function pathsIn(directory: NameDirectory<NameLeaf>): string[] {
  return [...directory.children].flatMap(([childName, child]) =>
    child instanceof NameDirectory ? pathsIn(child) : [directory.path + childName],
  );
}

function namesIn(directory: NameDirectory<NameLeaf>): string[] {
  const stream = directory.entries() as DirectoryStream;
  const names: string[] = [];
  for (let position = 0; ; position++) {
    const entry = stream.entry(position);
    if (entry === undefined || entry instanceof Promise) return names;
    names.push(entry.name);
  }
}

describe('NameTree', () => {
  it('makes a directory for each slash, and takes it away with its last name', () => {
    const { tree, root, leaf } = newTree();
    tree.put(name('feature/x'), leaf, 'others');
    tree.put(name('feature/deep/y'), leaf, 'others');
    tree.put(name('main'), leaf, 'others');
    expect(namesIn(root)).toEqual(['feature', 'main']);
    const feature = root.children.get(name('feature')) as NameDirectory<NameLeaf>;
    expect(namesIn(feature)).toEqual(['x', 'deep']);
    expect(feature.path).toBe('feature/');
    expect(feature.getattr()).toMatchObject({ nlink: 4 });
    tree.remove(name('feature/deep/y'), 'others');
    expect(namesIn(feature)).toEqual(['x']);
    expect(feature.isPruned).toBe(false);
    tree.remove(name('feature/x'), 'others');
    expect(namesIn(root)).toEqual(['main']);
    expect(feature.isPruned).toBe(true);
    tree.remove(name('main'), 'others');
    expect(root.isPruned).toBe(false);
  });

  it('tells the kernel of each name that it did not change itself', () => {
    const { tree, root, leaf, notifier } = newTree();
    tree.put(name('before'), leaf, 'others');
    expect(notifier.entries).toEqual([]);
    tree.show();
    tree.put(name('a/b'), leaf, 'others');
    const a = root.children.get(name('a'))!;
    expect(notifier.entries).toEqual(['1/a', `${a.ino}/b`]);
    expect(notifier.inodes).toEqual([1, a.ino]);
    notifier.clear();
    tree.put(name('a/c'), leaf, 'kernel');
    expect(notifier.entries).toEqual([]);
    tree.remove(name('a/c'), 'kernel');
    expect(notifier.entries).toEqual([]);
    // The kernel asked for the removal of `b`, and cannot know that `a` goes with it.
    tree.remove(name('a/b'), 'kernel');
    expect(notifier.entries).toEqual(['1/a']);
  });

  it('keeps what is there first when one ref stands in the way of another', () => {
    const { tree, root, leaf } = newTree();
    expect(tree.put(name('a'), leaf, 'others')).toBe(true);
    expect(tree.put(name('a/b'), leaf, 'others')).toBe(false);
    expect(tree.put(name('c/d'), leaf, 'others')).toBe(true);
    expect(tree.put(name('c'), leaf, 'others')).toBe(false);
    expect(pathsIn(root)).toEqual(['a', 'c/d']);
    tree.remove(name('c'), 'others');
    tree.remove(name('a/b'), 'others');
    tree.remove(name('nothing/here'), 'others');
    expect(pathsIn(root)).toEqual(['a', 'c/d']);
    expect(tree.get(name('c'))).toBeUndefined();
    expect(tree.get(name('a/b'))).toBeUndefined();
  });

  it('puts a new leaf in the place of the old one without touching the directory', () => {
    const { tree, root, leaf } = newTree();
    tree.put(name('v/1'), leaf, 'others');
    const before = root.children.get(name('v'));
    const old = tree.get(name('v/1'));
    tree.put(name('v/1'), leaf, 'others');
    expect(root.children.get(name('v'))).toBe(before);
    expect(tree.get(name('v/1'))).not.toBe(old);
  });

  it('holds what was put and not removed, in directories that are never empty', () => {
    const path = fc
      .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
      .map((names) => name(names.join('/')));
    const step = fc.record({ path, put: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { tree, root, leaf } = newTree();
        const expected = new Set<string>();
        for (const { path: at, put } of steps) {
          const isInTheWay = [...expected].some(
            (other) => other.startsWith(`${at}/`) || at.startsWith(`${other}/`),
          );
          if (put) {
            expect(tree.put(at, leaf, 'others')).toBe(!isInTheWay);
            if (!isInTheWay) expected.add(at);
          } else {
            tree.remove(at, 'others');
            expected.delete(at);
          }
        }
        expect(pathsIn(root).sort()).toEqual([...expected].sort());
        expectNoEmptyDirectory(root);
      }),
    );
  });
});

function expectNoEmptyDirectory(directory: NameDirectory<NameLeaf>): void {
  for (const child of directory.children.values()) {
    if (!(child instanceof NameDirectory)) continue;
    expect(child.children.size).toBeGreaterThan(0);
    expectNoEmptyDirectory(child);
  }
}
