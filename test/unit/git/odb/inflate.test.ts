import { setTimeout as sleep } from 'node:timers/promises';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CorruptObjectError } from '../../../../src/errors.ts';
import { inflateChunks, inflateLarge, wholeInputBytes } from '../../../../src/git/odb/inflate.ts';
import { noise } from '../../../helpers/git-objects.ts';

const content = noise(5 * wholeInputBytes + 4711, 1);
const deflated = deflateSync(content);

/** The bytes in pieces that stand in two buffers by turns. */
async function* inTwoBuffers(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  let [buffer, other] = [Buffer.alloc(wholeInputBytes), Buffer.alloc(wholeInputBytes)];
  for (let at = 0; at < bytes.length; at += wholeInputBytes) {
    await Promise.resolve();
    [buffer, other] = [other, buffer];
    yield buffer.subarray(0, bytes.copy(buffer, 0, at));
  }
}

async function inChunks(input: AsyncIterable<Buffer>, sizeBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of inflateChunks(input, sizeBytes)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe.each([
  ['inflateLarge', inflateLarge],
  ['inflateChunks', inChunks],
])('%s', (_, inflate) => {
  it('is done with a piece of the input when it asks for the one after the next', async () => {
    const data = await inflate(inTwoBuffers(deflated), content.length);
    expect(data.equals(content)).toBe(true);
  });

  it('leaves alone what stands behind the stream', async () => {
    let isOver = false;
    const input = async function* (): AsyncGenerator<Buffer, void, undefined> {
      try {
        yield* inTwoBuffers(Buffer.concat([deflated, noise(3 * wholeInputBytes, 2)]));
      } finally {
        isOver = true;
      }
    };
    const data = await inflate(input(), content.length);
    expect(data.equals(content)).toBe(true);
    await expect.poll(() => isOver).toBe(true);
  });

  it('gives what is empty', async () => {
    expect(await inflate(inTwoBuffers(deflateSync(Buffer.alloc(0))), 0)).toHaveLength(0);
  });

  it.each([
    ['is longer than declared', deflated, content.length - 1],
    ['is much longer than declared', deflated, 1000],
    ['is shorter than declared', deflated, content.length + 1],
    ['has no end', deflated.subarray(0, -5), content.length],
    ['is nothing', Buffer.alloc(0), content.length],
    ['is no stream', noise(1000, 3), 1000],
    [
      'has another checksum',
      Buffer.concat([deflated.subarray(0, -1), Buffer.of(deflated.at(-1)! ^ 1)]),
      content.length,
    ],
  ])('refuses what %s', async (_what, bytes, sizeBytes) => {
    await expect(inflate(inTwoBuffers(bytes), sizeBytes)).rejects.toThrow(CorruptObjectError);
  });

  it('passes on an error of the input', async () => {
    const failure = new Error('the disk');
    const input = async function* (): AsyncGenerator<Buffer, void, undefined> {
      yield* inTwoBuffers(deflated.subarray(0, 2 * wholeInputBytes));
      throw failure;
    };
    await expect(inflate(input(), content.length)).rejects.toBe(failure);
  });
});

describe('inflateLarge', () => {
  it('copies nothing', async () => {
    const data = await inflateLarge(inTwoBuffers(deflated), content.length);
    expect(data.buffer.byteLength).toBe(content.length + 1);
  });

  it('shows what is there while it inflates the rest, more each time', async () => {
    const lengths: number[] = [];
    const data = await inflateLarge(inTwoBuffers(deflated), content.length, (start) => {
      expect(start.equals(content.subarray(0, start.length))).toBe(true);
      lengths.push(start.length);
      return false;
    });
    expect(data.equals(content)).toBe(true);
    expect(lengths.length).toBeGreaterThan(1);
    expect(lengths.toSorted((a, b) => a - b)).toEqual(lengths);
    expect(lengths.at(-1)).toBeLessThan(content.length);
  });

  it('shows it again, in another turn, to who has not seen all of it', async () => {
    let seen = 0;
    // The rest does not come before it was shown more often than it has parts.
    const input = async function* (): AsyncGenerator<Buffer, void, undefined> {
      yield deflated.subarray(0, wholeInputBytes);
      for (let turn = 0; turn < 5000 && seen <= 6; turn++) await sleep(1);
      yield deflated.subarray(wholeInputBytes);
    };
    const data = await inflateLarge(input(), content.length, () => {
      seen += 1;
      return true;
    });
    expect(data.equals(content)).toBe(true);
    expect(seen).toBeGreaterThan(6);
    // Not once it is whole.
    const seenBefore = seen;
    await sleep(20);
    expect(seen).toBe(seenBefore);
  });
});
