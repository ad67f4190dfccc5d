import { InvalidArgumentError } from '../errors.ts';

interface Encoding {
  readonly encode: (text: string) => Buffer;
  readonly decode: (bytes: Buffer) => string;
}

// The same names mean the same as in Node's buffers, so latin1 is ISO-8859-1 and not windows-1252
// as it is for TextDecoder. What cannot be converted is an error: text that comes back changed is
// damage that nobody sees.
const utf8: Encoding = {
  encode: (text) => Buffer.from(wellFormed(text), 'utf8'),
  decode: (bytes) => decoded('utf-8', bytes),
};
const utf16: Encoding = {
  encode: (text) => Buffer.from(text, 'utf16le'),
  decode: (bytes) => decoded('utf-16le', bytes),
};
const latin1: Encoding = singleByte('latin1', 0xff);
const ascii: Encoding = singleByte('ascii', 0x7f);

const encodings: ReadonlyMap<string, Encoding> = new Map([
  ...['utf8', 'utf-8'].map((name) => [name, utf8] as const),
  ...['utf16le', 'utf-16le', 'ucs2', 'ucs-2'].map((name) => [name, utf16] as const),
  ...['latin1', 'latin-1', 'iso-8859-1', 'binary'].map((name) => [name, latin1] as const),
  ...['ascii', 'us-ascii'].map((name) => [name, ascii] as const),
]);

/** The bytes of a text. An `InvalidArgumentError` for an unknown encoding, or one that lacks a character. */
export function encodeText(text: string, encoding = 'utf-8'): Buffer {
  return find(encoding).encode(text);
}

/** The text of some bytes. An `InvalidArgumentError` for an unknown encoding, or bytes that are not in it. */
export function decodeText(bytes: Buffer, encoding = 'utf-8'): string {
  return find(encoding).decode(bytes);
}

function find(name: string): Encoding {
  const encoding = encodings.get(name.toLowerCase());
  if (encoding !== undefined) return encoding;
  const known = [...encodings.keys()].join(', ');
  throw new InvalidArgumentError(`not a text encoding: ${JSON.stringify(name)} (one of ${known})`);
}

function wellFormed(text: string): string {
  if (text.isWellFormed()) return text;
  throw new InvalidArgumentError('a text with a lone surrogate cannot be stored as utf-8');
}

function decoded(label: string, bytes: Buffer): string {
  try {
    return new TextDecoder(label, { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new InvalidArgumentError(`the content is not ${label}`, { cause });
  }
}

function singleByte(name: 'latin1' | 'ascii', largest: number): Encoding {
  const check = (isGood: boolean): void => {
    if (!isGood) throw new InvalidArgumentError(`the text is not ${name}`);
  };
  return {
    encode: (text) => {
      for (let at = 0; at < text.length; at++) check(text.charCodeAt(at) <= largest);
      return Buffer.from(text, 'latin1');
    },
    decode: (bytes) => {
      check(largest === 0xff || bytes.every((byte) => byte <= largest));
      return bytes.toString('latin1');
    },
  };
}
