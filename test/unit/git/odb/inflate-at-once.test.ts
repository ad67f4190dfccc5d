import { constants, deflateSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inflateAtOnce } from '../../../../src/git/odb/inflate-at-once.ts';

// Compared with the functions that Node has for it.

const { Z_FIXED, Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE } = constants;

const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(255), fc.nat(400)).map(([byte, count]) => new Uint8Array(count).fill(byte)),
      fc
        .constantFrom('tree ', 'file-1\0', 'all work and no play ')
        .map((text) => Buffer.from(text)),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts));
const options = fc.record({
  level: fc.integer({ min: 0, max: 9 }),
  windowBits: fc.integer({ min: 9, max: 15 }),
  strategy: fc.constantFrom(Z_FIXED, Z_FIXED, Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE),
});

describe('inflating with a handle that is used again', () => {
  test('gives what was deflated, and its length', () => {
    fc.assert(
      fc.property(content, options, fc.uint8Array(), (data, how, behind) => {
        const deflated = deflateSync(data, how);
        const found = inflateAtOnce(Buffer.concat([deflated, behind]), data.length);
        expect(found?.data.equals(data)).toBe(true);
        expect(found?.compressedSizeBytes).toBe(deflated.length);
      }),
      { numRuns: 2000 },
    );
  });

  test('takes nothing that `inflateSync` does not', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    const cut = fc.option(fc.nat(), { nil: undefined, freq: 3 });
    fc.assert(
      fc.property(content, options, damage, cut, (data, how, damages, end) => {
        let stream = deflateSync(data, how);
        for (const [at, byte] of damages) stream[at % stream.length] = byte;
        if (end !== undefined) stream = stream.subarray(0, end % stream.length);
        const found = inflateAtOnce(stream, data.length);
        if (found !== undefined) expect(inflateSync(stream).equals(found.data)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  test.each([-1, 1])('does not take content of another size (%i)', (difference) => {
    const data = Buffer.from('some content, content, content');
    const deflated = deflateSync(data, { strategy: Z_FIXED });
    expect(inflateAtOnce(deflated, data.length)?.data.equals(data)).toBe(true);
    expect(inflateAtOnce(deflated, data.length + difference)).toBeUndefined();
  });

  test('does not take a stream with a preset dictionary, or without its checksum', () => {
    const data = Buffer.from('some content');
    const preset = deflateSync(data, { dictionary: Buffer.from('content'), strategy: Z_FIXED });
    expect(inflateAtOnce(preset, data.length)).toBeUndefined();
    const whole = deflateSync(data, { strategy: Z_FIXED });
    expect(inflateAtOnce(whole.subarray(0, -1), data.length)).toBeUndefined();
    expect(inflateAtOnce(Buffer.alloc(0), 0)).toBeUndefined();
  });
});
