import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InodeRow } from '../../../../src/mount/vfs/inode-rows.ts';
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
