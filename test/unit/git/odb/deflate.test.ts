import { randomBytes } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compressionLevelFor,
  cutIntoPieces,
  deflatePieces,
  deflateWhole,
  inflatePiece,
  pieceBytes,
  smallContentBytes,
} from '../../../../src/git/odb/deflate.ts';

const text = (sizeBytes: number): Buffer => Buffer.alloc(sizeBytes, 'all work and no play ');
// Half of it shrinks, half does not.
const mixed = (sizeBytes: number): Buffer => {
  const content = text(sizeBytes);
  randomBytes(Math.floor(sizeBytes / 2)).copy(content, Math.floor(sizeBytes / 3));
  return content;
};

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('the level', () => {
  test.each([
    ['small content', text(100), 100, 6, 6],
    ['content that shrinks', text(100_000), 100_000, 6, 6],
    ['content that does not shrink', randomBytes(100_000), 100_000, 6, 0],
    ['noise too small to sample', randomBytes(1000), 1000, 6, 6],
    ['a piece of something big', text(pieceBytes), 100 * pieceBytes, 6, 1],
    ['a piece of something big that does not shrink', randomBytes(pieceBytes), 9e9, 6, 0],
    ['the default level', text(100_000), 100_000, -1, -1],
    ['a repository that does not compress', text(pieceBytes), 100 * pieceBytes, 0, 0],
  ])('of %s', (_, data, contentBytes, level, expected) => {
    expect(compressionLevelFor(data, contentBytes, level)).toBe(expected);
  });
});

describe('content in one go', () => {
  test.each([0, 1, 250, 251, 3834, 3835, smallContentBytes, smallContentBytes + 1, pieceBytes])(
    'of %i bytes is a zlib stream',
    async (sizeBytes) => {
      for (const content of [text(sizeBytes), mixed(sizeBytes), randomBytes(sizeBytes)]) {
        expect(inflateSync(await deflateWhole(content, -1)).equals(content)).toBe(true);
      }
    },
  );

  test('of a tree takes no more room at the quickest level', async () => {
    const entries = Array.from({ length: 5000 }, (_, index) =>
      Buffer.concat([Buffer.from(`100644 file-${index}.txt\0`), randomBytes(20)]),
    );
    const tree = Buffer.concat(entries);
    const asTree = await deflateWhole(tree, 6, 'tree');
    expect(inflateSync(asTree).equals(tree)).toBe(true);
    expect(asTree.length).toBeLessThan((await deflateWhole(tree, 6)).length * 1.01);
    expect(inflateSync(await deflateWhole(tree, 0, 'tree')).equals(tree)).toBe(true);
  });

  test('blocks the event loop only when it is small', () => {
    expect(deflateWhole(text(smallContentBytes), 6)).toBeInstanceOf(Buffer);
    expect(deflateWhole(text(smallContentBytes + 1), 6)).toBeInstanceOf(Promise);
  });
});

describe('content in pieces', () => {
  test.each([1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 5 * pieceBytes + 7])(
    'of %i bytes is a zlib stream whose pieces stand for themselves',
    async (sizeBytes) => {
      const content = mixed(sizeBytes);
      const parts = await collect(deflatePieces(cutIntoPieces([content]), sizeBytes, 6));
      expect(inflateSync(Buffer.concat(parts)).equals(content)).toBe(true);
      const pieces = await Promise.all(parts.slice(1, -1).map(inflatePiece));
      expect(Buffer.concat(pieces).equals(content)).toBe(true);
    },
  );

  test('a piece that is the one before again is deflated once', async () => {
    const content = Buffer.alloc(9 * pieceBytes + 100);
    content.fill('x', 2 * pieceBytes + 5, 2 * pieceBytes + 8);
    content.fill('y', 6 * pieceBytes, 8 * pieceBytes);
    const parts = await collect(deflatePieces(cutIntoPieces([content]), content.length, 6));
    expect(inflateSync(Buffer.concat(parts)).equals(content)).toBe(true);
    const pieces = parts.slice(1, -1);
    expect(pieces).toHaveLength(10);
    // Zeros, others, zeros, ys, zeros, and the last one, which is shorter.
    expect(new Set(pieces).size).toBe(6);
  });

  test.each([0, 1])('at level %i may come in buffers that are used again', async (level) => {
    const hole = Buffer.alloc(6 * pieceBytes);
    const content = Buffer.concat([hole, mixed(9 * pieceBytes), hole, text(7)]);
    const pieces = cutIntoPieces([content], true);
    const parts = await collect(deflatePieces(pieces, content.length, level));
    expect(inflateSync(Buffer.concat(parts)).equals(content)).toBe(true);
    const inflated = await Promise.all(parts.slice(1, -1).map(inflatePiece));
    expect(Buffer.concat(inflated).equals(content)).toBe(true);
  });

  test.each([0, 1])('at level %i may give buffers that are used again', async (level) => {
    const same = randomBytes(pieceBytes);
    const content = Buffer.concat([
      mixed(5 * pieceBytes),
      ...Array<Buffer>(9).fill(same),
      mixed(9 * pieceBytes + 1),
    ]);
    const pieces = cutIntoPieces([content], true);
    const parts: Buffer[] = [];
    // The one before is still on its way to the disk when the next one is asked for.
    let before: Buffer | undefined;
    for await (const part of deflatePieces(pieces, content.length, level, 'blob', true)) {
      if (before !== undefined) parts.push(Buffer.from(before));
      before = part;
    }
    expect(inflateSync(Buffer.concat([...parts, before!])).equals(content)).toBe(true);
  });

  test('an error of the source ends it', async () => {
    async function* broken(): AsyncGenerator<Buffer> {
      yield text(pieceBytes);
      await Promise.reject(new Error('the source broke'));
    }
    await expect(collect(deflatePieces(broken(), 3 * pieceBytes, 6))).rejects.toThrow('broke');
  });

  test('who stops reading ends the source', async () => {
    let ended = false;
    async function* endless(): AsyncGenerator<Buffer> {
      try {
        for (;;) yield await Promise.resolve(text(pieceBytes));
      } finally {
        ended = true;
      }
    }
    for await (const part of deflatePieces(endless(), 1e12, 1)) if (part.length > 2) break;
    expect(ended).toBe(true);
  });
});

test('pieces are cut to size, and own their bytes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 1_500_000 }), { maxLength: 6 }),
      async (sizes) => {
        const content = mixed(sizes.reduce((sum, size) => sum + size, 0));
        function* chunks(): Generator<Buffer> {
          let start = 0;
          for (const size of sizes) {
            // A reader that uses its buffer again and again.
            const chunk = Buffer.from(content.subarray(start, start + size));
            yield chunk;
            chunk.fill('!');
            start += size;
          }
        }
        const pieces = await collect(cutIntoPieces(chunks()));
        expect(Buffer.concat(pieces).equals(content)).toBe(true);
        expect(pieces.slice(0, -1).every((piece) => piece.length === pieceBytes)).toBe(true);
        expect(pieces.every((piece) => piece.length > 0)).toBe(true);
      },
    ),
    { numRuns: 20 },
  );
});
