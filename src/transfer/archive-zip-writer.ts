import { isAscii, isUtf8 } from 'node:buffer';
import { Readable, pipeline } from 'node:stream';
import { promisify } from 'node:util';
import { crc32, createDeflateRaw, deflateRaw } from 'node:zlib';
import { InvalidPathError } from '../errors.ts';
import { textFromBytes } from '../git/byte-string.ts';
import { collectContent } from './archive-entry.ts';
import type { ArchiveEntry } from './archive-entry.ts';

const deflateWhole = promisify<Buffer, Buffer>(deflateRaw);

// What is larger is compressed as it comes, and its sizes follow it.
const wholeBytes = 1024 * 1024;
const longestNameBytes = 0xffff;
const most16 = 0xffff;
const most32 = 0xffffffff;
const madeByUnix = (3 << 8) | 45;
const methodStore = 0;
const methodDeflate = 8;
const flagSizesFollow = 0x0008;
const flagUtf8 = 0x0800;

/** From where on numbers are written as zip64; lower than has to be only to test that. */
export interface Zip64Limits {
  /** The size of an entry. */
  readonly sizeBytes: number;
  /** Where something starts in the file. */
  readonly offset: number;
}

// Deflate can make content a little longer, so room is left below four GiB.
const usualLimits: Zip64Limits = { sizeBytes: 0xf0000000, offset: most32 };

/** What the headers of an entry say; both of them say nearly the same. */
interface Member {
  readonly name: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly storedBytes: number;
  readonly sizeBytes: number;
  readonly isZip64: boolean;
}

/**
 * A zip file of these entries, last changed at one time, with modes and symbolic links as Info-ZIP
 * stores them, and zip64 where numbers need it. Names that are no UTF-8 are stored as they are.
 *
 * Format: PKWARE's APPNOTE.TXT; Info-ZIP's `proginfo/extrafld.txt` for times.
 */
export async function* writeZip(
  entries: AsyncIterable<ArchiveEntry>,
  mtimeSec: number,
  limits: Zip64Limits = usualLimits,
): AsyncGenerator<Buffer, void, undefined> {
  const directory: Buffer[] = [];
  let offset = 0;
  for await (const entry of entries) {
    const start = offset;
    for await (const item of writeMember(entry, mtimeSec, limits)) {
      if (Buffer.isBuffer(item)) {
        offset += item.length;
        yield item;
      } else {
        directory.push(centralHeader(item, { entry, mtimeSec, start: offsetField(start, limits) }));
      }
    }
  }
  let directoryBytes = 0;
  for (const header of directory) {
    directoryBytes += header.length;
    yield header;
  }
  yield endOfDirectory({
    count: directory.length,
    directoryBytes,
    start: offsetField(offset, limits),
  });
}

/** The bytes of an entry, and last what has to be known of it for the directory. */
async function* writeMember(
  entry: ArchiveEntry,
  mtimeSec: number,
  limits: Zip64Limits,
): AsyncGenerator<Buffer | Member, void, undefined> {
  const path = entry.kind === 'directory' ? `${entry.path}/` : entry.path;
  const name = Buffer.from(path, 'latin1');
  if (name.length > longestNameBytes) {
    const text = textFromBytes(entry.path);
    throw new InvalidPathError(`too long a path for a zip file: ${text}`, { path: text });
  }
  const flags = !isAscii(name) && isUtf8(name) ? flagUtf8 : 0;
  const { sizeBytes } = entry;
  if (sizeBytes <= wholeBytes) {
    const content = await collectContent(entry.content());
    // An empty file is not worth a trip to the thread pool.
    const deflated = content.length === 0 ? content : await deflateWhole(content);
    const isSmaller = deflated.length < content.length;
    const stored = isSmaller ? deflated : content;
    const method = isSmaller ? methodDeflate : methodStore;
    const sizes = { storedBytes: stored.length, sizeBytes: content.length, isZip64: false };
    const member = { name, flags, method, crc: crc32(content), ...sizes };
    yield Buffer.concat([localHeader(member, mtimeSec), stored]);
    yield member;
    return;
  }
  const isZip64 = sizeBytes >= limits.sizeBytes;
  const announced = { crc: 0, storedBytes: 0, sizeBytes: 0, isZip64 };
  const member = { name, flags: flags | flagSizesFollow, method: methodDeflate, ...announced };
  yield localHeader(member, mtimeSec);
  let crc = 0;
  let storedBytes = 0;
  const summed = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of entry.content()) {
      crc = crc32(chunk, crc);
      yield chunk;
    }
  };
  const deflating = pipeline(Readable.from(summed()), createDeflateRaw(), () => undefined);
  for await (const chunk of deflating) {
    storedBytes += (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  const finished = { ...member, crc, storedBytes, sizeBytes };
  yield sizesAfter(finished);
  yield finished;
}

function localHeader(member: Member, mtimeSec: number): Buffer {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(member.isZip64 ? 45 : 20, 4);
  writeCommonFields(header.subarray(6), member, mtimeSec);
  // With zip64 the sizes after the content have eight bytes each; this field says so.
  const zip64 = member.isZip64 ? zip64Field([member.sizeBytes, member.storedBytes]) : noBytes;
  const extra = Buffer.concat([zip64, timeField(mtimeSec)]);
  header.writeUInt16LE(extra.length, 28);
  return Buffer.concat([header, member.name, extra]);
}

function sizesAfter({ crc, storedBytes, sizeBytes, isZip64 }: Member): Buffer {
  const sizes = Buffer.alloc(isZip64 ? 24 : 16);
  sizes.writeUInt32LE(0x08074b50, 0);
  sizes.writeUInt32LE(crc, 4);
  if (isZip64) {
    sizes.writeBigUInt64LE(BigInt(storedBytes), 8);
    sizes.writeBigUInt64LE(BigInt(sizeBytes), 16);
  } else {
    sizes.writeUInt32LE(storedBytes, 8);
    sizes.writeUInt32LE(sizeBytes, 12);
  }
  return sizes;
}

/** A place in the file, and what its field of 32 bits holds: all ones when it stands elsewhere. */
interface Offset {
  readonly value: number;
  readonly field: number;
}

function offsetField(value: number, { offset }: Zip64Limits): Offset {
  return { value, field: value < offset ? value : most32 };
}

interface Placement {
  readonly entry: ArchiveEntry;
  readonly mtimeSec: number;
  readonly start: Offset;
}

function centralHeader(member: Member, { entry, mtimeSec, start }: Placement): Buffer {
  const header = Buffer.alloc(46);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(madeByUnix, 4);
  const isZip64 = member.isZip64 || start.field === most32;
  header.writeUInt16LE(isZip64 ? 45 : 20, 6);
  writeCommonFields(header.subarray(8), member, mtimeSec);
  const zip64 = [...(member.isZip64 ? [member.sizeBytes, member.storedBytes] : [])];
  if (start.field === most32) zip64.push(start.value);
  const extra = Buffer.concat([zip64Field(zip64), timeField(mtimeSec)]);
  header.writeUInt16LE(extra.length, 30);
  header.writeUInt32LE(attributesOf(entry), 38);
  header.writeUInt32LE(start.field, 42);
  return Buffer.concat([header, member.name, extra]);
}

/** What both headers hold in the same order, from the flags to the length of the name. */
function writeCommonFields(fields: Buffer, member: Member, mtimeSec: number): void {
  fields.writeUInt16LE(member.flags, 0);
  fields.writeUInt16LE(member.method, 2);
  fields.writeUInt32LE(dosTime(mtimeSec), 4);
  fields.writeUInt32LE(member.crc, 8);
  fields.writeUInt32LE(member.isZip64 ? most32 : member.storedBytes, 12);
  fields.writeUInt32LE(member.isZip64 ? most32 : member.sizeBytes, 16);
  fields.writeUInt16LE(member.name.length, 20);
}

const noBytes = Buffer.alloc(0);

function zip64Field(numbers: readonly number[]): Buffer {
  if (numbers.length === 0) return noBytes;
  const field = Buffer.alloc(4 + 8 * numbers.length);
  field.writeUInt16LE(0x0001, 0);
  field.writeUInt16LE(8 * numbers.length, 2);
  numbers.forEach((number, index) => field.writeBigUInt64LE(BigInt(number), 4 + 8 * index));
  return field;
}

/** The time in seconds since 1970, where it fits; the field of DOS knows no time zone. */
function timeField(mtimeSec: number): Buffer {
  if (mtimeSec < 0 || mtimeSec > 0x7fffffff) return noBytes;
  const field = Buffer.alloc(9);
  field.writeUInt16LE(0x5455, 0);
  field.writeUInt16LE(5, 2);
  field.writeUInt8(1, 4);
  field.writeUInt32LE(Math.floor(mtimeSec), 5);
  return field;
}

/** The date in the upper half, the time in the lower, in steps of two seconds from 1980 to 2107. */
function dosTime(mtimeSec: number): number {
  const time = new Date(1000 * Math.min(Math.max(mtimeSec, 315532800), 4354819198));
  const date =
    ((time.getUTCFullYear() - 1980) << 9) | ((time.getUTCMonth() + 1) << 5) | time.getUTCDate();
  const clock =
    (time.getUTCHours() << 11) | (time.getUTCMinutes() << 5) | (time.getUTCSeconds() >> 1);
  return date * 0x10000 + clock;
}

function attributesOf({ kind, isExecutable }: ArchiveEntry): number {
  if (kind === 'link') return 0o120777 * 0x10000;
  if (kind === 'directory') return 0o040755 * 0x10000 + 0x10;
  return (isExecutable ? 0o100755 : 0o100644) * 0x10000;
}

interface DirectoryPlace {
  readonly count: number;
  readonly directoryBytes: number;
  readonly start: Offset;
}

function endOfDirectory({ count, directoryBytes, start }: DirectoryPlace): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(count, most16), 8);
  end.writeUInt16LE(Math.min(count, most16), 10);
  end.writeUInt32LE(Math.min(directoryBytes, most32), 12);
  end.writeUInt32LE(start.field, 16);
  if (count < most16 && directoryBytes < most32 && start.field < most32) return end;
  const large = Buffer.alloc(56 + 20);
  large.writeUInt32LE(0x06064b50, 0);
  large.writeBigUInt64LE(44n, 4);
  large.writeUInt16LE(madeByUnix, 12);
  large.writeUInt16LE(45, 14);
  large.writeBigUInt64LE(BigInt(count), 24);
  large.writeBigUInt64LE(BigInt(count), 32);
  large.writeBigUInt64LE(BigInt(directoryBytes), 40);
  large.writeBigUInt64LE(BigInt(start.value), 48);
  // And where to find it.
  large.writeUInt32LE(0x07064b50, 56);
  large.writeBigUInt64LE(BigInt(start.value + directoryBytes), 64);
  large.writeUInt32LE(1, 72);
  return Buffer.concat([large, end]);
}
