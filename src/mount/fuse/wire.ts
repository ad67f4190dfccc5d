import type { Attr, AttrReply, EntryReply, OpenReply, StatfsReply } from '../vfs/operations.ts';
import { openReplyFlags } from './opcodes.ts';

/*
 * The structs of answers, as in linux/fuse.h: each function writes one at a position (in bytes, a multiple
 * of 8, where all of them stand), every byte of it, since the buffers are used again and again. They go
 * through words of 32 bits in the byte order of the machine, which is that of the kernel: a daemon that
 * has just started makes a listing with sizes in half the time that it takes with `Buffer.writeUInt32LE`.
 */

/** The size of `struct fuse_attr`. */
export const attrSizeBytes = 88;
/** The size of `struct fuse_attr_out`. */
export const attrOutSizeBytes: number = 16 + attrSizeBytes;
/** The size of `struct fuse_entry_out`. */
export const entryOutSizeBytes: number = 40 + attrSizeBytes;
/** The size of `struct fuse_open_out`. */
export const openOutSizeBytes = 16;
/** The size of `struct fuse_statfs_out`. */
export const statfsOutSizeBytes = 80;

const twoTo32 = 0x1_0000_0000;
/** What st_blksize shows, and what the C library buffers at a time. */
const blockSizeBytes = 4096;

/** The memory of a buffer as the words that structs are written in; it has to begin at a multiple of 4. */
export function wordsOf(buffer: Buffer): Uint32Array {
  return new Uint32Array(buffer.buffer, buffer.byteOffset, buffer.length >>> 2);
}

/** A 64-bit number; a negative one (a time before 1970) in two's complement. */
export function writeU64(words: Uint32Array, value: number, at: number): void {
  const word = at >>> 2;
  words[word] = value;
  words[word + 1] = 0;
  if (words[word] === value) return;
  const high = Math.floor(value / twoTo32);
  if ((high | 0) !== high) throw new RangeError(`not a number of 64 bits: ${value}`);
  words[word + 1] = high;
}

/** `struct fuse_attr`. Numbers that are none of 32 or 64 bits are a `RangeError`. */
export function writeAttr(words: Uint32Array, attr: Attr, at: number): void {
  const { mode, nlink, uid, gid, rdev, atime, mtime, ctime } = attr;
  writeU64(words, attr.ino, at);
  writeU64(words, attr.size, at + 8);
  writeU64(words, attr.blocks, at + 16);
  writeU64(words, atime.sec, at + 24);
  writeU64(words, mtime.sec, at + 32);
  writeU64(words, ctime.sec, at + 40);
  const word = at >>> 2;
  words[word + 12] = atime.nsec;
  words[word + 13] = mtime.nsec;
  words[word + 14] = ctime.nsec;
  words[word + 15] = mode;
  words[word + 16] = nlink;
  words[word + 17] = uid;
  words[word + 18] = gid;
  words[word + 19] = rdev;
  words[word + 20] = blockSizeBytes;
  words[word + 21] = 0;
  const isWhole =
    words[word + 12] === atime.nsec &&
    words[word + 13] === mtime.nsec &&
    words[word + 14] === ctime.nsec &&
    words[word + 15] === mode &&
    words[word + 16] === nlink &&
    words[word + 17] === uid &&
    words[word + 18] === gid &&
    words[word + 19] === rdev;
  if (!isWhole) throw new RangeError(`attributes that cannot be: ${JSON.stringify(attr)}`);
}

/** `struct fuse_attr_out` */
export function writeAttrOut(
  words: Uint32Array,
  { attr, attrValidSec }: AttrReply,
  at: number,
): void {
  writeU64(words, attrValidSec, at);
  writeU64(words, 0, at + 8);
  writeAttr(words, attr, at + 16);
}

/** `struct fuse_entry_out`. Node id 0 says that there is no such name, for as long as it is valid. */
export function writeEntryOut(words: Uint32Array, entry: EntryReply, at: number): void {
  const { attr, entryValidSec, attrValidSec } = entry;
  const word = at >>> 2;
  writeU64(words, attr?.ino ?? 0, at);
  // The generation tells apart the files of one number. Numbers are never used again here.
  words[word + 2] = 0;
  words[word + 3] = 0;
  writeU64(words, entryValidSec, at + 16);
  writeU64(words, attrValidSec, at + 24);
  words[word + 8] = 0;
  words[word + 9] = 0;
  if (attr === null) words.fill(0, (at + 40) >>> 2, (at + entryOutSizeBytes) >>> 2);
  else writeAttr(words, attr, at + 40);
}

/** `struct fuse_open_out` */
export function writeOpenOut(
  words: Uint32Array,
  open: OpenReply,
  at: number,
  backingId?: number,
): void {
  writeU64(words, open.fh, at);
  // Beside PASSTHROUGH the kernel takes no flag that is about its cache.
  words[(at + 8) >>> 2] =
    (backingId === undefined ? 0 : openReplyFlags.passthrough) |
    (open.directIo === true ? openReplyFlags.directIo : 0) |
    (open.keepCache === true && backingId === undefined ? openReplyFlags.keepCache : 0) |
    (open.cacheDirectory === true ? openReplyFlags.cacheDirectory : 0) |
    (open.noFlush === true ? openReplyFlags.noFlush : 0);
  words[(at + 12) >>> 2] = backingId ?? 0;
}

/** `struct fuse_statfs_out` */
export function writeStatfsOut(words: Uint32Array, statfs: StatfsReply, at: number): void {
  writeU64(words, statfs.blocks, at);
  writeU64(words, statfs.bfree, at + 8);
  writeU64(words, statfs.bavail, at + 16);
  writeU64(words, statfs.files, at + 24);
  writeU64(words, statfs.ffree, at + 32);
  const word = at >>> 2;
  words[word + 10] = statfs.bsize;
  words[word + 11] = statfs.namelen;
  // The unit of the block counts (frsize), which is the preferred size too.
  words[word + 12] = statfs.bsize;
  words.fill(0, word + 13, word + statfsOutSizeBytes / 4);
}
