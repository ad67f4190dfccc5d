import fc from 'fast-check';
import { expect, test } from 'vitest';
import { modeBlob, modeTree } from '../../../../src/git/mode.ts';
import { serializeTree, Tree } from '../../../../src/git/object.ts';
import type { TreeEntry } from '../../../../src/git/object.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import { differingNames } from '../../../../src/mount/branch/differing-names.ts';
import type { ByteString } from '../../../../src/git/byte-string.ts';

const entry = fc.record({
  name: fc.constantFrom('a', 'a.b', 'a0', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
  mode: fc.constantFrom(modeBlob, modeTree),
  oid: fc.constantFrom('1'.repeat(40), '2'.repeat(40)),
});
const tree = fc
  .uniqueArray(entry, { selector: ({ name }) => name })
  .map((entries) => Tree.parse(serializeTree(entries as TreeEntry[], 'sha1'), 'sha1'));

/** What leads nowhere or elsewhere, looked up name by name. */
function expected(before: Tree, after: Tree): ByteString[] {
  const names = new Set([...before, ...after].map(({ name }) => name));
  return [...names].filter((name) => {
    const [one, other] = [before.get(name), after.get(name)];
    return one?.oid !== other?.oid || one?.mode !== other?.mode;
  });
}

test('names that differ are those that a look at each one finds', () => {
  fc.assert(
    fc.property(tree, tree, (before, after) => {
      expect([...differingNames(before, after)].sort()).toEqual(expected(before, after).sort());
    }),
    { numRuns: 2000 },
  );
});

test('equal runs are found wherever they stand, up to their last entry', () => {
  const oid = '1'.repeat(40) as Oid;
  const names = Array.from({ length: 300 }, (_, index) => `n${String(index).padStart(3, '0')}`);
  const of = (some: string[]): Tree =>
    Tree.parse(
      serializeTree(
        some.map((name) => ({ name: name as ByteString, mode: modeBlob, oid })),
        'sha1',
      ),
      'sha1',
    );
  const all = of(names);
  for (let gap = 0; gap < names.length; gap++) {
    const other = of(names.filter((_, index) => index !== gap));
    expect(all.sameRun(0, other, 0)).toBe(gap);
    expect(all.sameRun(gap + 1, other, gap)).toBe(names.length - gap - 1);
  }
});
