import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PageMap } from '../../../../src/mount/branch/page-map.ts';

const limit = 6000;
const range = fc
  .tuple(fc.nat(limit), fc.nat(limit))
  .map(([a, b]) => ({ first: Math.min(a, b), end: Math.max(a, b) }));
const change = fc.record({ range, sets: fc.boolean() });

describe('PageMap', () => {
  test('knows the same pages as a plain set', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), fc.array(range), (changes, probes) => {
        const map = new PageMap();
        const model = new Set<number>();
        for (const { range: pages, sets } of changes) {
          if (sets) map.set(pages.first, pages.end);
          else map.clear(pages.first, pages.end);
          for (let page = pages.first; page < pages.end; page++) {
            if (sets) model.add(page);
            else model.delete(page);
          }
        }
        expect(map.count).toBe(model.size);
        for (const { first, end } of probes) {
          expect(map.has(first)).toBe(model.has(first));
          expect(map.nextSet(first, end)).toBe(search(first, end, (page) => model.has(page)));
          expect(map.nextClear(first, end)).toBe(search(first, end, (page) => !model.has(page)));
        }
      }),
      { numRuns: 150 },
    );
  });

  test('holds pages of a file of many terabytes, and clears to the end of everything', () => {
    const map = new PageMap();
    const far = 2 ** 40;
    map.set(far, far + 3);
    expect(map.has(far + 2)).toBe(true);
    expect(map.has(2)).toBe(false);
    expect(map.nextSet(far - 5, far + 5)).toBe(far);
    map.clear(far + 1, Infinity);
    expect(map.count).toBe(1);
  });
});

function search(from: number, end: number, wanted: (page: number) => boolean): number {
  let page = from;
  while (page < end && !wanted(page)) page += 1;
  return page;
}
