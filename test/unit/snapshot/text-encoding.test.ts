import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidArgumentError } from '../../../src/errors.ts';
import { decodeText, encodeText } from '../../../src/snapshot/text-encoding.ts';

const characters = (largest: number): fc.Arbitrary<string> =>
  fc.array(fc.integer({ min: 0, max: largest })).map((codes) => String.fromCharCode(...codes));

describe('text encodings', () => {
  test('lead back to the same text', () => {
    const cases: [string, fc.Arbitrary<string>][] = [
      ['utf-8', fc.string({ unit: 'binary' })],
      ['UTF8', fc.constant('\ufeffwith a byte order mark')],
      ['utf-16le', fc.string({ unit: 'binary' })],
      ['latin1', characters(0xff)],
      ['ascii', characters(0x7f)],
    ];
    for (const [encoding, texts] of cases) {
      fc.assert(
        fc.property(texts, (text) => {
          expect(decodeText(encodeText(text, encoding), encoding)).toBe(text);
        }),
      );
    }
  });

  test('are those that Node means by their names', () => {
    expect([...encodeText('aä')]).toEqual([0x61, 0xc3, 0xa4]);
    expect([...encodeText('ä', 'ISO-8859-1')]).toEqual([0xe4]);
    expect(decodeText(Buffer.from([0x80]), 'latin1')).toBe('\u0080');
    expect([...encodeText('a', 'ucs2')]).toEqual([0x61, 0]);
  });

  test('never change a text in silence', () => {
    const failing: (() => unknown)[] = [
      () => encodeText('ä', 'ascii'),
      () => encodeText('☃', 'latin1'),
      () => encodeText('\ud800'),
      () => encodeText('a', 'hex'),
      () => encodeText('a', ''),
      () => decodeText(Buffer.from([0xff])),
      () => decodeText(Buffer.from([0x80]), 'ascii'),
      () => decodeText(Buffer.from([0]), 'utf-16le'),
    ];
    for (const attempt of failing) expect(attempt).toThrow(InvalidArgumentError);
  });
});
