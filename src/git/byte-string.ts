import { isAscii, isUtf8 } from 'node:buffer';
import { InvalidPathError } from '../errors.ts';

declare const byteStringBrand: unique symbol;

/**
 * Bytes in a string: each character is one byte (latin1). Names and paths inside git and inside the
 * kernel are bytes, so everything between the two carries them in this form; it compares and sorts
 * as bytes do, and can be a Map key. Text from and for people is converted at the edge, below.
 */
export type ByteString = string & { readonly [byteStringBrand]: true };

// eslint-disable-next-line no-control-regex
const asciiOnly = /^[\x00-\x7f]*$/;
// A byte that is no UTF-8 stands in text as a lone surrogate, U+DC80 to U+DCFF (as Python's
// "surrogateescape" does), so that every name has a text and every such text leads back. So does, in
// paths, a backslash that separates nothing (`pathText`).
const escapedByte = /[\udc5c\udc80-\udcff]/;

/** Tells whether a character of a text stands for a byte that is no character. */
export function isEscapedByte(character: string): boolean {
  return character.length === 1 && escapedByte.test(character);
}

/** The bytes of a text: UTF-8, with the lone surrogates U+DC80 to U+DCFF and U+DC5C standing for single bytes. */
export function bytesFromText(text: string): ByteString {
  if (asciiOnly.test(text)) return text as ByteString;
  if (text.isWellFormed()) return Buffer.from(text, 'utf8').toString('latin1') as ByteString;
  let bytes = '';
  for (const character of text) {
    if (isEscapedByte(character)) {
      bytes += String.fromCharCode(character.charCodeAt(0) - 0xdc00);
    } else if (character.isWellFormed()) {
      bytes += Buffer.from(character, 'utf8').toString('latin1');
    } else {
      throw new InvalidPathError(`a lone surrogate cannot be stored: ${JSON.stringify(text)}`);
    }
  }
  return bytes as ByteString;
}

/** The text of some bytes; what is no UTF-8 is escaped so that `bytesFromText` gives it back. */
export function textFromBytes(bytes: ByteString): string {
  if (asciiOnly.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  if (isUtf8(buffer)) return buffer.toString('utf8');
  let text = '';
  for (let start = 0; start < buffer.length;) {
    const length = utf8SequenceLength(buffer, start);
    if (length === 0) {
      text += String.fromCharCode(0xdc00 + (buffer[start] ?? 0));
      start += 1;
    } else {
      text += buffer.toString('utf8', start, start + length);
      start += length;
    }
  }
  return text;
}

function utf8SequenceLength(buffer: Buffer, start: number): number {
  for (let length = 1; length <= 4 && start + length <= buffer.length; length++) {
    const candidate = buffer.subarray(start, start + length);
    if (length === 1 ? isAscii(candidate) : isUtf8(candidate)) return length;
  }
  return 0;
}

/** The bytes of a buffer, or of a part of it, as a byte string. */
export function byteStringFromBuffer(
  buffer: Buffer,
  start = 0,
  end: number = buffer.length,
): ByteString {
  return buffer.toString('latin1', start, end) as ByteString;
}

/** A buffer with the bytes of a byte string. */
export function bufferFromByteString(bytes: ByteString): Buffer {
  return Buffer.from(bytes, 'latin1');
}
