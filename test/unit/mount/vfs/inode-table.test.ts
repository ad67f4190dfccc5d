import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InodeRow } from '../../../../src/mount/vfs/inode-rows.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { SymlinkVnode } from '../../../../src/mount/vfs/vnode.ts';
import type { Vnode } from '../../../../src/mount/vfs/vnode.ts';
import { FakeFile, Gate, newContext } from '../helpers/fake-nodes.ts';

describe('InoAllocator', () => {
  it('gives each number once, above the root, rows beginning on a page of their own', () => {
    const { inos } = newContext();
    expect([inos.next(), inos.reserve(3), inos.next(), inos.reserve(0), inos.next()]).toEqual([
      2, 64, 67, 128, 128,
    ]);
  });
});

describe('InodeTable', () => {
  it('keeps a node until its last reference, then tells it once', () => {
    const context = newContext();
    const file = new FakeFile(context, new Gate());
    context.inodes.hold(file);
    context.inodes.hold(file);
    context.inodes.forget(file.ino, 1);
    expect(context.inodes.get(file.ino)).toBe(file);
    expect(file.timesForgotten).toBe(0);
    context.inodes.drop(file);
    expect(context.inodes.get(file.ino)).toBeUndefined();
    expect(file.timesForgotten).toBe(1);
    context.inodes.forget(file.ino, 1);
    context.inodes.drop(file);
    expect(file.timesForgotten).toBe(1);
  });

  it('keeps what is open, even when the kernel forgets more than it was told', () => {
    const context = newContext();
    const file = new FakeFile(context, new Gate());
    context.inodes.hold(file);
    const opened = context.inodes.open(file);
    context.inodes.forget(file.ino, 1000);
    context.inodes.forget(file.ino, 1);
    expect([context.inodes.get(file.ino), file.timesForgotten]).toEqual([file, 0]);
    context.inodes.close(opened);
    expect([context.inodes.get(file.ino), file.timesForgotten]).toEqual([undefined, 1]);
  });

  it('lets a forgotten node live again', () => {
    const context = newContext();
    const file = new FakeFile(context, new Gate());
    context.inodes.hold(file);
    context.inodes.forget(file.ino, 1);
    context.inodes.hold(file);
    expect(context.inodes.get(file.ino)).toBe(file);
    context.inodes.forget(file.ino, 1);
    expect(file.timesForgotten).toBe(2);
  });

  it('prefers the node that it knows to another one of the same number', () => {
    const context = newContext();
    const file = new FakeFile(context, new Gate());
    const twin = Object.create(file, { references: { value: 0, writable: true } }) as FakeFile;
    expect(context.inodes.hold(file)).toBe(file);
    expect(context.inodes.hold(twin)).toBe(file);
    expect([file.references, twin.references]).toEqual([2, 0]);
  });

  it('tells every node when the kernel is gone', () => {
    const context = newContext();
    const files = [1, 2, 3].map(() => new FakeFile(context, new Gate()));
    for (const file of files) context.inodes.hold(file);
    context.inodes.clear();
    expect(context.inodes.size).toBe(0);
    expect(files.map((file) => file.timesForgotten)).toEqual([1, 1, 1]);
  });

  it('knows exactly the nodes with references left, whatever the order of events', () => {
    const event = fc.record({
      node: fc.nat(3),
      kind: fc.constantFrom('hold', 'drop', 'forget'),
      count: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const context = newContext();
        const files = [0, 1, 2, 3].map(() => new FakeFile(context, new Gate()));
        const counts = [0, 0, 0, 0];
        const forgotten = [0, 0, 0, 0];
        for (const { node, kind, count } of events) {
          const file = files[node]!;
          const before = counts[node]!;
          if (kind === 'hold') {
            context.inodes.hold(file);
            counts[node] = before + 1;
            continue;
          }
          const taken = kind === 'drop' ? 1 : count;
          if (kind === 'drop') context.inodes.drop(file);
          else context.inodes.forget(file.ino, count);
          counts[node] = Math.max(0, before - taken);
          if (before > 0 && before <= taken) forgotten[node]! += 1;
        }
        expect(files.map(({ ino }) => context.inodes.get(ino) !== undefined)).toEqual(
          counts.map((count) => count > 0),
        );
        expect(files.map(({ timesForgotten }) => timesForgotten)).toEqual(forgotten);
        expect(context.inodes.size).toBe(counts.filter((count) => count > 0).length);
        expect(context.inodes.get(99 as Ino)).toBeUndefined();
      }),
    );
  });
});

describe('InodeRow', () => {
  /** Nodes that are made anew at each call: only the number and the kind are to be seen. */
  function newRow(context: ReturnType<typeof newContext>, size: number): InodeRow {
    const row: InodeRow = new InodeRow(context.inos.reserve(size), size, {
      rowNode: (index, isLink) => rowNode(row, index, isLink),
    });
    return row;
  }

  function rowNode(row: InodeRow, index: number, isLink: boolean): Vnode {
    const node = isLink ? new FakeLink() : new FakeFile(newContext(), new Gate());
    return Object.defineProperties(node, {
      ino: { value: row.first + index },
      row: { value: row },
    });
  }

  it('makes nodes of the right kind again, as long as they are referred to', () => {
    const context = newContext();
    const row = newRow(context, 100);
    context.inodes.hold(rowNode(row, 70, true));
    context.inodes.hold(rowNode(row, 70, true));
    context.inodes.hold(rowNode(row, 3, false));
    const [link, file] = [row.first + 70, row.first + 3] as [Ino, Ino];
    expect(context.inodes.get(link)).toBeInstanceOf(FakeLink);
    expect(context.inodes.get(file)).toBeInstanceOf(FakeFile);
    expect(context.inodes.get((row.first + 4) as Ino)).toBeUndefined();
    expect(context.inodes.size).toBe(2);
    context.inodes.forget(link, 1);
    expect(context.inodes.get(link)?.ino).toBe(link);
    context.inodes.drop(rowNode(row, 70, true));
    expect(context.inodes.get(link)).toBeUndefined();
    context.inodes.forget(file, 9);
    expect(context.inodes.size).toBe(0);
    expect(row.live).toBe(0);
  });

  it('is not confused by single numbers on its last page, nor by what was cleared', () => {
    const context = newContext();
    const row = newRow(context, 10);
    context.inodes.hold(rowNode(row, 9, false));
    const single = new FakeFile(context, new Gate());
    expect(single.ino).toBe(row.first + 10);
    context.inodes.hold(single);
    context.inodes.forget(single.ino, 1);
    context.inodes.forget(single.ino, 1);
    expect(single.timesForgotten).toBe(1);
    expect(context.inodes.size).toBe(1);
    context.inodes.clear();
    expect(context.inodes.get((row.first + 9) as Ino)).toBeUndefined();
    context.inodes.forget((row.first + 9) as Ino, 1);
    expect(context.inodes.size).toBe(0);
  });

  it('counts as a table of nodes would', () => {
    const event = fc.record({
      index: fc.nat(130),
      kind: fc.constantFrom('hold', 'drop', 'forget'),
      count: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (events) => {
        const context = newContext();
        const rows = [newRow(context, 65), newRow(context, 66)] as const;
        const counts = new Map<number, number>();
        for (const { index, kind, count } of events) {
          const [row, at] = index < 65 ? [rows[0], index] : [rows[1], index - 65];
          const node = rowNode(row, at, at % 2 === 0);
          const before = counts.get(node.ino) ?? 0;
          if (kind === 'hold') context.inodes.hold(node);
          else if (kind === 'drop') context.inodes.drop(node);
          else context.inodes.forget(node.ino, count);
          const change = kind === 'hold' ? 1 : kind === 'drop' ? -1 : -count;
          counts.set(node.ino, Math.max(0, before + change));
        }
        for (const [ino, count] of counts) {
          expect(context.inodes.get(ino as Ino)?.ino).toBe(count > 0 ? ino : undefined);
        }
        const live = [...counts.values()].filter((count) => count > 0).length;
        expect(context.inodes.size).toBe(live);
      }),
    );
  });
});

class FakeLink extends SymlinkVnode {
  readonly ino = 0 as Ino;
  readonly cache = { entriesValidSec: 0, attrValidSec: 0 };

  getattr(): never {
    throw new Error('not asked for');
  }

  readlink(): never {
    throw new Error('not asked for');
  }
}
