import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MostlyEmptyMap, MostlyEmptySet } from '../../../../src/mount/branch/mostly-empty.ts';

const steps = fc.array(
  fc.tuple(fc.constantFrom('put', 'delete', 'ask'), fc.integer({ min: 0, max: 5 })),
);

test('a map that is mostly empty is a map', () => {
  fc.assert(
    fc.property(steps, (calls) => {
      const ours = new MostlyEmptyMap<number, number>();
      const real = new Map<number, number>();
      for (const [at, [what, key]] of calls.entries()) {
        if (what === 'put') {
          ours.set(key, at);
          real.set(key, at);
        } else if (what === 'delete') expect(ours.delete(key)).toBe(real.delete(key));
        expect(ours.get(key)).toBe(real.get(key));
        expect(ours.has(key)).toBe(real.has(key));
        expect(ours.size).toBe(real.size);
      }
      expect([...ours]).toEqual([...real]);
      expect([...ours.keys()]).toEqual([...real.keys()]);
      expect([...ours.values()]).toEqual([...real.values()]);
    }),
  );
});

test('a set that is mostly empty is a set', () => {
  fc.assert(
    fc.property(steps, (calls) => {
      const ours = new MostlyEmptySet<number>();
      const real = new Set<number>();
      for (const [what, item] of calls) {
        if (what === 'put') {
          ours.add(item);
          real.add(item);
        } else if (what === 'delete') expect(ours.delete(item)).toBe(real.delete(item));
        expect(ours.has(item)).toBe(real.has(item));
        expect(ours.size).toBe(real.size);
      }
      expect([...ours]).toEqual([...real]);
    }),
  );
});

test('what comes and goes while one walks through it is met, or not, as in a map', () => {
  const map = new MostlyEmptyMap<string, number>();
  const set = new MostlyEmptySet<string>();
  for (const name of ['a', 'b', 'c']) {
    map.set(name, 1);
    set.add(name);
  }
  const seen: string[] = [];
  for (const name of map.keys()) {
    seen.push(name);
    map.delete('b');
    if (seen.length === 1) map.set('d', 1);
  }
  for (const name of set) {
    seen.push(name);
    set.delete(name);
    if (name === 'c') set.add('e');
  }
  expect(seen).toEqual(['a', 'c', 'd', 'a', 'b', 'c', 'e']);
  expect(set.size).toBe(0);
});
