import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bufferFromByteString,
  bytesFromText,
  byteStringFromBuffer,
  textFromBytes,
} from '../../../src/git/byte-string.ts';

describe('byte strings', () => {
  test('bytes that are no UTF-8 become lone surrogates', () => {
    const bytes = byteStringFromBuffer(Buffer.from([0x61, 0xff, 0xc3, 0xa4]));
    expect(textFromBytes(bytes)).toBe('a\udcffä');
    expect(bytesFromText('a\udcffä')).toBe(bytes);
  });

  test('any bytes survive the way to text and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (array) => {
        const bytes = byteStringFromBuffer(Buffer.from(array));
        expect(bytesFromText(textFromBytes(bytes))).toBe(bytes);
      }),
    );
  });

  test('text is stored as UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(bufferFromByteString(bytesFromText(text))).toEqual(Buffer.from(text, 'utf8'));
      }),
    );
  });

  test('a surrogate that stands for no byte is refused', () => {
    expect(() => bytesFromText('\ud800')).toThrow('lone surrogate');
  });
});
