import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InoAllocator } from '../../../../src/mount/vfs/ino-allocator.ts';
import { InodeRow, InodeRows } from '../../../../src/mount/vfs/inode-rows.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import type { Vnode } from '../../../../src/mount/vfs/vnode.ts';

const first = 1024 as Ino;
const size = 4;

/** A row whose nodes are what they were made with. */
function newRow(): InodeRow {
  return new InodeRow(first, size, {
    rowNode: (index, isLink) => ({ index, isLink }) as unknown as Vnode,
  });
}

const step = fc.record({
  what: fc.constantFrom('hold', 'hold', 'release', 'take'),
  index: fc.integer({ min: 0, max: size - 1 }),
  // One at a time as a rule, and now and then more than a byte can count.
  references: fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 1, max: 3 }) },
    { weight: 1, arbitrary: fc.integer({ min: 100, max: 1000 }) },
  ),
});

test('a row counts references as a map would, however many they are', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const row = newRow();
      const counts = new Map<number, number>();
      for (const { what, index, references } of steps) {
        const ino = (first + index) as Ino;
        const count = counts.get(index) ?? 0;
        if (what === 'hold') {
          row.hold(ino, index === 1, references);
          counts.set(index, count + references);
        } else if (what === 'release') {
          row.release(ino, references);
          counts.set(index, Math.max(0, count - references));
        } else {
          expect(row.take(ino)).toBe(count);
          counts.set(index, 0);
        }
        for (let at = 0; at < size; at++) {
          const isLive = (counts.get(at) ?? 0) > 0;
          const node = row.get((first + at) as Ino);
          expect(node).toEqual(isLive ? { index: at, isLink: at === 1 } : undefined);
        }
        expect(row.live).toBe([...counts.values()].filter((one) => one > 0).length);
      }
    }),
  );
});

test('a count that is full stays so', () => {
  const row = newRow();
  row.hold(first, true, 0x7fff_ffff);
  row.hold(first, true, 5);
  row.release(first, 0x7fff_ffff);
  expect(row.get(first)).toEqual({ index: 0, isLink: true });
  expect(row.take(first)).toBe(0x7fff_ffff);
  expect(row.live).toBe(0);
});

test('rows of every length are found by their numbers, between numbers that are in none', () => {
  const inos = new InoAllocator();
  const rows = new InodeRows();
  const all = [2, 4097, 64, 200_000, 3, 4096, 65_536, 4097].map((length) => {
    const between = inos.next();
    const row: InodeRow = new InodeRow(inos.reserve(length), length, {
      rowNode: (index) => `${row.first} ${index}` as unknown as Vnode,
    });
    return { between, row, last: (row.first + length - 1) as Ino };
  });
  for (const { row, last } of all) for (const ino of [row.first, last]) rows.hold(row, ino, false);
  for (const { between, row, last } of all) {
    expect(rows.get(between)).toBeUndefined();
    expect(rows.get(row.first)).toBe(`${row.first} 0`);
    expect(rows.get(last)).toBe(`${row.first} ${row.size - 1}`);
    expect(rows.get((last + 1) as Ino)).toBeUndefined();
  }
  expect(rows.size).toBe(2 * all.length);
  for (const { row, last } of all) {
    rows.release(row.first, 1);
    expect(rows.take(last)).toBe(1);
    expect(rows.get(last)).toBeUndefined();
  }
  expect(rows.size).toBe(0);
});
