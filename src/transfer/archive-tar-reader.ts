import { InvalidArchiveError } from '../errors.ts';
import { byteStringFromBuffer } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { noContent } from './archive-entry.ts';
import type { ArchiveEntry } from './archive-entry.ts';
import { ByteReader } from './byte-reader.ts';
import { parsePaxRecords } from './pax-records.ts';

/** Everything in a tar file comes in blocks of this size. */
export const tarBlockBytes = 512;

const mostExtensionBytes = 1024 * 1024;
const mostExtensionsOfAnEntry = 16;
// tar fills its last record with zeros; the largest records that it can be told to write are of this order.
const mostPaddingBytes = 64 * 1024 * 1024;
// Kinds whose size field says nothing about bytes that follow: links, devices, directories, FIFOs.
const kindsWithoutContent = '123456';

/** What an extension says about the entry after it, by the names of pax. */
type Extensions = ReadonlyMap<string, ByteString>;

/**
 * The entries of a tar file: POSIX ustar and pax, GNU's long names and sizes, and what was there
 * before either. Damage, a missing end and sparse files are an `InvalidArchiveError`.
 *
 * Formats: POSIX.1-2017, "pax"; the manual of GNU tar, "Basic Tar Format".
 */
export async function* readTar(
  input: AsyncIterable<Buffer>,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  const bytes = new ByteReader(input);
  try {
    let global: Extensions = new Map();
    let own = new Map<string, ByteString>();
    for (let extensionCount = 0; ;) {
      const header = await bytes.exactly(tarBlockBytes);
      if (header.every((byte) => byte === 0)) break;
      checkSum(header);
      const type = header.toString('latin1', 156, 157);
      if ('xgLKV'.includes(type)) {
        if (++extensionCount > mostExtensionsOfAnEntry) throw damaged('too many extensions');
        const data = await readExtension(bytes, header);
        if (type === 'x') own = new Map([...own, ...parsePaxRecords(data)]);
        if (type === 'g') global = new Map([...global, ...parsePaxRecords(data)]);
        if (type === 'L') own.set('path', untilNul(data));
        if (type === 'K') own.set('linkpath', untilNul(data));
        continue;
      }
      yield* readEntry(bytes, header, new Map([...global, ...own]));
      own = new Map();
      extensionCount = 0;
    }
    // To the end, for the checksum of whatever compressed it comes last.
    await bytes.drain(mostPaddingBytes);
  } finally {
    await bytes.close();
  }
}

async function readExtension(bytes: ByteReader, header: Buffer): Promise<Buffer> {
  const sizeBytes = readNumber(header, 124, 12);
  if (sizeBytes > mostExtensionBytes) throw damaged(`an extension of ${sizeBytes} bytes`);
  const data = await bytes.exactly(sizeBytes);
  await bytes.skip(paddingAfter(sizeBytes));
  return data;
}

async function* readEntry(
  bytes: ByteReader,
  header: Buffer,
  extensions: Extensions,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  if ([...extensions.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
    throw damaged('a sparse file, which is not read');
  }
  const type = header.toString('latin1', 156, 157);
  const fullPath = extensions.get('path') ?? pathOf(header);
  const isDirectory = type === '5' || type === 'D' || (isFile(type) && fullPath.endsWith('/'));
  const path = fullPath.replace(/\/+$/, '') as ByteString;
  // An absolute path of nothing but slashes has to stay one.
  const entry = { path: path === '' ? fullPath : path, isExecutable: isExecutable(header) };
  const sizeBytes = kindsWithoutContent.includes(type) ? 0 : sizeOf(header, extensions);
  const target = extensions.get('linkpath') ?? untilNul(header.subarray(157, 257));
  const rest = bytes.section(sizeBytes);
  if (type === '1') {
    yield { ...entry, kind: 'hard link', sizeBytes: 0, target, content: noContent };
  } else if (type === '2') {
    const bytesOfTarget = Buffer.from(target, 'latin1');
    const content = (): AsyncIterable<Buffer> => single(bytesOfTarget);
    yield { ...entry, kind: 'link', sizeBytes: bytesOfTarget.length, content };
  } else if (isDirectory) {
    yield { ...entry, kind: 'directory', sizeBytes: 0, content: noContent };
  } else if (isFile(type)) {
    yield { ...entry, kind: 'file', sizeBytes, content: () => rest.chunks() };
  } else if (type === 'S') {
    throw damaged('a sparse file, which is not read');
  } else {
    yield { ...entry, kind: 'other', sizeBytes: 0, content: noContent };
  }
  await rest.finish();
  await bytes.skip(paddingAfter(sizeBytes));
}

/** How many zeros fill the last block of some content. */
export function paddingAfter(sizeBytes: number): number {
  return (tarBlockBytes - (sizeBytes % tarBlockBytes)) % tarBlockBytes;
}

function isFile(type: string): boolean {
  return type === '0' || type === '\0' || type === '7';
}

function isExecutable(header: Buffer): boolean {
  return (readNumber(header, 100, 8) & 0o100) !== 0;
}

function pathOf(header: Buffer): ByteString {
  const name = untilNul(header.subarray(0, 100));
  // Only POSIX has a prefix there; GNU's own format keeps times at that place.
  const hasPrefix = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = hasPrefix ? untilNul(header.subarray(345, 500)) : '';
  return (prefix === '' ? name : `${prefix}/${name}`) as ByteString;
}

function sizeOf(header: Buffer, extensions: Extensions): number {
  const size = extensions.get('size');
  if (size === undefined) return readNumber(header, 124, 12);
  if (!/^\d{1,15}$/.test(size)) throw damaged(`a size of ${JSON.stringify(size)}`);
  return Number(size);
}

/** A number in octal digits, or as GNU writes large ones: 0x80 and then in binary. */
function readNumber(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  if (field[0] === 0x80) {
    const value = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0);
    if (Number.isSafeInteger(value)) return value;
    throw damaged('a number that is too large');
  }
  const [, digits] = /^ *([0-7]*)[ \0]*$/.exec(field.toString('latin1')) ?? [];
  if (digits === undefined) throw damaged('a number that is none');
  return digits === '' ? 0 : parseInt(digits, 8);
}

function checkSum(header: Buffer): void {
  let sum = 0;
  for (const [at, byte] of header.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte;
  if (readNumber(header, 148, 8) !== sum) throw damaged('a header with a wrong checksum');
}

function untilNul(field: Buffer): ByteString {
  const end = field.indexOf(0);
  return byteStringFromBuffer(field, 0, end < 0 ? field.length : end);
}

// eslint-disable-next-line @typescript-eslint/require-await -- it has to be an async iterable
async function* single(data: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield data;
}

function damaged(what: string): InvalidArchiveError {
  return new InvalidArchiveError(`the tar file cannot be read: ${what}`);
}
