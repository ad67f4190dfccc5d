import { constants, inflateRawSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { deflateAtOnce } from '../../../../src/git/odb/deflate-at-once.ts';
import { noise } from '../../../helpers/git-objects.ts';

const partly = { finishFlush: constants.Z_SYNC_FLUSH };
const content = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }),
  // Few letters, so that it shrinks.
  fc
    .array(fc.constantFrom('a', 'b', 'ab ', 'content '), { maxLength: 3000 })
    .map((words) => Buffer.from(words.join(''))),
  fc.nat(48 * 1024).map((sizeBytes) => noise(sizeBytes, sizeBytes)),
);

describe('deflating with a context that is used again', () => {
  test('gives what inflates to the content, whatever was deflated before', () => {
    fc.assert(
      fc.property(
        content,
        fc.integer({ min: -1, max: 9 }),
        fc.constantFrom(10, 15),
        (data, level, windowBits) => {
          const settings = { level, windowBits, chunkSize: 1024 };
          const whole = deflateAtOnce('zlib', data, settings);
          expect(inflateSync(whole!).equals(data)).toBe(true);
          const part = deflateAtOnce('part', data, settings);
          expect(inflateRawSync(part!, partly).equals(data)).toBe(true);
          // Blocks that end at a byte, and refer to nothing before them.
          const twice = Buffer.concat([part!, part!]);
          expect(inflateRawSync(twice, partly).equals(Buffer.concat([data, data]))).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('leaves alone what has no room, and goes on after it', () => {
    const settings = { level: 1, windowBits: 15, chunkSize: 1024 };
    expect(deflateAtOnce('zlib', noise(64 * 1024, 1), settings)).toBeUndefined();
    const data = noise(60 * 1024, 2);
    expect(inflateSync(deflateAtOnce('zlib', data, settings)!).equals(data)).toBe(true);
  });

  test('gives memory that nothing else is written to, and no more than it takes', () => {
    const settings = { level: 1, windowBits: 15, chunkSize: 1024 };
    const data = Buffer.alloc(32 * 1024, 'content ');
    const deflated = deflateAtOnce('zlib', data, settings)!;
    deflateAtOnce('zlib', noise(32 * 1024, 3), settings);
    expect(inflateSync(deflated).equals(data)).toBe(true);
    // As all small ones, it shares the pool of Node.
    expect(deflated.buffer.byteLength).toBe(Buffer.poolSize);
  });
});

describe('where Node has other handles', () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.resetModules();
  });

  test.each(['no', 'a useless', 'a failing'])('(%s handle) its streams do it', async (kind) => {
    vi.resetModules();
    const { ZlibContext } = await import('../../../../src/git/odb/zlib-context.ts');
    if (kind === 'no') vi.spyOn(ZlibContext, 'tried').mockReturnValue(null);
    vi.spyOn(ZlibContext.prototype, 'run').mockImplementation(() => {
      if (kind === 'a failing') throw new TypeError('other arguments');
      return true;
    });
    const roomLeft = vi.spyOn(ZlibContext.prototype, 'roomLeft', 'get').mockReturnValue(1);
    const { deflateTreePart, deflateWhole } = await import('../../../../src/git/odb/deflate.ts');
    const { inflateExactly } = await import('../../../../src/git/odb/inflate.ts');
    const data = Buffer.alloc(20_000, 'content ');
    const deflated = await deflateWhole(data, 6);
    expect(inflateSync(deflated).equals(data)).toBe(true);
    expect(inflateExactly(deflated, data.length)?.equals(data)).toBe(true);
    const part = await deflateTreePart(data, false);
    expect(inflateRawSync(part, partly).equals(data)).toBe(true);
    expect(roomLeft.mock.calls.length > 0).toBe(kind === 'a useless');
  });
});
