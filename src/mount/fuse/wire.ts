import type { Attr, AttrReply, EntryReply, OpenReply, StatfsReply } from '../vfs/operations.ts';
import { openReplyFlags } from './opcodes.ts';

/*
 * The structs of answers, as in linux/fuse.h: each function writes one at a position of a buffer,
 * every byte of it, since the buffers are used again and again.
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

/** A 64-bit number; a negative one (a time before 1970) in two's complement. */
export function writeU64(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32LE(value >>> 0, at);
  buffer.writeInt32LE(Math.floor(value / twoTo32), at + 4);
}

/** `struct fuse_attr` */
export function writeAttr(buffer: Buffer, attr: Attr, at: number): void {
  writeU64(buffer, attr.ino, at);
  writeU64(buffer, attr.size, at + 8);
  writeU64(buffer, attr.blocks, at + 16);
  writeU64(buffer, attr.atime.sec, at + 24);
  writeU64(buffer, attr.mtime.sec, at + 32);
  writeU64(buffer, attr.ctime.sec, at + 40);
  buffer.writeUInt32LE(attr.atime.nsec, at + 48);
  buffer.writeUInt32LE(attr.mtime.nsec, at + 52);
  buffer.writeUInt32LE(attr.ctime.nsec, at + 56);
  buffer.writeUInt32LE(attr.mode, at + 60);
  buffer.writeUInt32LE(attr.nlink, at + 64);
  buffer.writeUInt32LE(attr.uid, at + 68);
  buffer.writeUInt32LE(attr.gid, at + 72);
  buffer.writeUInt32LE(attr.rdev, at + 76);
  buffer.writeUInt32LE(blockSizeBytes, at + 80);
  buffer.writeUInt32LE(0, at + 84);
}

/** `struct fuse_attr_out` */
export function writeAttrOut(buffer: Buffer, { attr, attrValidSec }: AttrReply, at: number): void {
  writeU64(buffer, attrValidSec, at);
  writeU64(buffer, 0, at + 8);
  writeAttr(buffer, attr, at + 16);
}

/** `struct fuse_entry_out`. Node id 0 says that there is no such name, for as long as it is valid. */
export function writeEntryOut(buffer: Buffer, entry: EntryReply, at: number): void {
  const { attr, entryValidSec, attrValidSec } = entry;
  writeU64(buffer, attr?.ino ?? 0, at);
  // The generation tells apart the files of one number. Numbers are never used again here.
  writeU64(buffer, 0, at + 8);
  writeU64(buffer, entryValidSec, at + 16);
  writeU64(buffer, attrValidSec, at + 24);
  writeU64(buffer, 0, at + 32);
  if (attr === null) buffer.fill(0, at + 40, at + entryOutSizeBytes);
  else writeAttr(buffer, attr, at + 40);
}

/** `struct fuse_open_out` */
export function writeOpenOut(
  buffer: Buffer,
  open: OpenReply,
  at: number,
  backingId?: number,
): void {
  writeU64(buffer, open.fh, at);
  // Beside PASSTHROUGH the kernel takes no flag that is about its cache.
  buffer.writeUInt32LE(
    (backingId === undefined ? 0 : openReplyFlags.passthrough) |
      (open.directIo === true ? openReplyFlags.directIo : 0) |
      (open.keepCache === true && backingId === undefined ? openReplyFlags.keepCache : 0) |
      (open.cacheDirectory === true ? openReplyFlags.cacheDirectory : 0) |
      (open.noFlush === true ? openReplyFlags.noFlush : 0),
    at + 8,
  );
  buffer.writeUInt32LE(backingId ?? 0, at + 12);
}

/** `struct fuse_statfs_out` */
export function writeStatfsOut(buffer: Buffer, statfs: StatfsReply, at: number): void {
  writeU64(buffer, statfs.blocks, at);
  writeU64(buffer, statfs.bfree, at + 8);
  writeU64(buffer, statfs.bavail, at + 16);
  writeU64(buffer, statfs.files, at + 24);
  writeU64(buffer, statfs.ffree, at + 32);
  buffer.writeUInt32LE(statfs.bsize, at + 40);
  buffer.writeUInt32LE(statfs.namelen, at + 44);
  // The unit of the block counts (frsize), which is the preferred size too.
  buffer.writeUInt32LE(statfs.bsize, at + 48);
  buffer.fill(0, at + 52, at + statfsOutSizeBytes);
}
