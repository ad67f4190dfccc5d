import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { FakeFile, Gate, newContext } from '../helpers/fake-nodes.ts';

describe('InoAllocator', () => {
  it('gives each number once, above the root, in rows where asked for', () => {
    const { inos } = newContext();
    expect([inos.next(), inos.reserve(3), inos.next(), inos.reserve(0), inos.next()]).toEqual([
      2, 3, 6, 7, 7,
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
