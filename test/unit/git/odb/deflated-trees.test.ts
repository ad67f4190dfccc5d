import { randomBytes } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { DeflatedTrees } from '../../../../src/git/odb/deflated-trees.ts';

function treeOf(names: readonly string[], ids: ReadonlyMap<string, Buffer>): Buffer {
  return Buffer.concat(
    names.flatMap((name) => [Buffer.from(`100644 ${name}\0`), ids.get(name) ?? Buffer.alloc(20)]),
  );
}

function manyNames(count: number): { names: string[]; ids: Map<string, Buffer> } {
  const names = Array.from({ length: count }, (_, index) => `file-${10_000_000 + index}`);
  return { names, ids: new Map(names.map((name) => [name, randomBytes(20)])) };
}

/** How many bytes at the start and at the end two streams have in common, without their checksums. */
function commonBytes(first: Buffer, second: Buffer): number {
  const [a, b] = [first.subarray(0, -4), second.subarray(0, -4)];
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  return start + end;
}

async function deflated(trees: DeflatedTrees, raw: Buffer): Promise<Buffer> {
  return Buffer.concat(await trees.deflate(raw));
}

describe('a large tree', () => {
  test.each([0, 1, 777, 2500, 4999])('like the last one but for entry %i', async (changed) => {
    const { names, ids } = manyNames(5000);
    const trees = new DeflatedTrees();
    const before = await deflated(trees, treeOf(names, ids));
    ids.set(names[changed]!, randomBytes(20));
    const raw = treeOf(names, ids);
    const after = await deflated(trees, raw);
    expect(inflateSync(after)).toEqual(raw);
    // All but the part that changed.
    expect(commonBytes(before, after)).toBeGreaterThan(before.length - 35_000);
    expect(after.length).toBeLessThan(0.75 * raw.length);
  });

  test('stays what it is through any changes, and does not fall into crumbs', async () => {
    const trees = new DeflatedTrees();
    const { names, ids } = manyNames(3000);
    for (let round = 0; round < 300; round++) {
      const at = (round * 7919) % names.length;
      const kind = round % 3;
      if (kind === 0) names.splice(at, 1 + (round % 40));
      else if (kind === 1)
        names.splice(at, 0, ...Array<string>(1 + (round % 40)).fill(`added-${round}`));
      else ids.set(names[at]!, randomBytes(20));
      const raw = treeOf(names, ids);
      expect(inflateSync(await deflated(trees, raw)).equals(raw)).toBe(true);
    }
    const raw = treeOf(names, ids);
    const fresh = await deflated(new DeflatedTrees(), raw);
    expect((await deflated(trees, raw)).length).toBeLessThan(1.02 * fresh.length);
  });

  test('of one directory does not push out that of another', async () => {
    const trees = new DeflatedTrees();
    const all = Array.from({ length: 3 }, () => manyNames(4000));
    const first: Buffer[] = [];
    for (const { names, ids } of all) first.push(await deflated(trees, treeOf(names, ids)));
    for (const [index, { names, ids }] of all.entries()) {
      ids.set(names[2000]!, randomBytes(20));
      const raw = treeOf(names, ids);
      const second = await deflated(trees, raw);
      expect(inflateSync(second)).toEqual(raw);
      expect(commonBytes(first[index]!, second)).toBeGreaterThan(second.length - 35_000);
    }
  });

  test('may be the same, shorter or longer than the one before, or empty', async () => {
    const trees = new DeflatedTrees();
    const { names, ids } = manyNames(4000);
    for (const count of [4000, 4000, 2000, 4000, 1, 0, 4000]) {
      const raw = treeOf(names.slice(0, count), ids);
      expect(inflateSync(await deflated(trees, raw))).toEqual(raw);
    }
  });

  test('is one from 64 KiB on', () => {
    expect(DeflatedTrees.isLarge(Buffer.alloc(65_535))).toBe(false);
    expect(DeflatedTrees.isLarge(Buffer.alloc(65_536))).toBe(true);
  });
});
