import { randomBytes } from 'node:crypto';
import { deflateSync, inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { deflateWhole, pieceBytes, smallContentBytes } from '../../../../src/git/odb/deflate.ts';
import { looseStream } from '../../../../src/git/odb/loose-stream.ts';

const contents = [0, 1, 2, 65_520, 65_521, 65_522, 131_042, smallContentBytes, pieceBytes].flatMap(
  (sizeBytes) => [
    randomBytes(sizeBytes),
    Buffer.alloc(sizeBytes, 0xff),
    Buffer.alloc(sizeBytes, 'ab '),
  ],
);

test.each(['blob', 'tree'] as const)('the stream of a %s has header and content', async (type) => {
  for (const content of contents) {
    const deflated = await deflateWhole(content, 6, type);
    const expected = Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content]);
    // Wherever the parts meet, also within the head and the tail.
    for (const edges of [[], [1], [2], [deflated.length - 3], [1, 1, 5, deflated.length - 1]]) {
      const starts = [0, ...edges];
      const parts = starts.map((start, index) => deflated.subarray(start, edges[index]));
      const stream = Buffer.concat(looseStream(type, content.length, parts));
      expect(inflateSync(stream).equals(expected)).toBe(true);
    }
  }
});

test('a stream that does not hold what it says is found out by its checksum', () => {
  const deflated = deflateSync(Buffer.from('content'));
  deflated[deflated.length - 1]! ^= 1;
  expect(() => inflateSync(Buffer.concat(looseStream('blob', 7, [deflated])))).toThrow(
    'incorrect data check',
  );
});
