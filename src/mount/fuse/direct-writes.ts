import { constants } from 'node:fs';
import { whenReady } from '../vfs/maybe-promise.ts';
import type {
  Fh,
  Ino,
  MaybePromise,
  NewFile,
  OpenReply,
  VfsOperations,
} from '../vfs/operations.ts';
import type { KernelCache } from './operation-table.ts';
import { writeHasOwner } from './opcodes.ts';

/*
 * A handle that can only write gets FOPEN_DIRECT_IO: what is written through it goes past the kernel's
 * cache. That saves the copy, and for each new file the question for `security.capability` that the kernel
 * asks before it writes into its cache. What it leaves to us instead is done here.
 */

/** `O_DSYNC` and `O_SYNC` in asm-generic/fcntl.h; the latter includes the former. */
const dataSync = constants.O_DSYNC;
/** Linux 6.6: before that, a direct write left the pages that it replaces in the cache. */
export const directWritesMinor = 39;
const accessMode = constants.O_WRONLY | constants.O_RDWR;

/** What of the kernel has to do with it. */
type KernelPages = Pick<KernelCache, 'takesDirectWrites' | 'dropContent'>;

/** The answer to an open(2) with these flags: past the cache, unless others may have the file in it. */
export function withDirectWrites(
  flags: number,
  open: OpenReply,
  vfs: VfsOperations,
  kernel: KernelPages,
): OpenReply {
  if ((flags & accessMode) !== constants.O_WRONLY || !kernel.takesDirectWrites()) return open;
  return vfs.isShared(open.fh) ? open : { ...open, directIo: true };
}

/** The same for the answer to an open(2) that makes the file. */
export function newFileWithDirectWrites(
  flags: number,
  made: MaybePromise<NewFile>,
  vfs: VfsOperations,
  kernel: KernelPages,
): MaybePromise<NewFile> {
  return whenReady(made, ({ entry, open }) => ({
    entry,
    open: withDirectWrites(flags, open, vfs, kernel),
  }));
}

/** One WRITE: where it goes, its `write_flags` and the flags of the open file. */
export interface WriteRequest {
  readonly ino: Ino;
  readonly fh: Fh;
  readonly offset: number;
  readonly writeFlags: number;
  readonly openFlags: number;
}

/**
 * Does after a write what the kernel does after one into its cache only. It has dropped the pages that a
 * direct one replaces before it sent that, so who reads meanwhile may have brought the old ones back; and
 * it sends no FSYNC for O_SYNC. The kernel holds none of the pages during a direct write, so to wait for it
 * to let go of them waits for nobody who waits for this answer.
 */
export function afterDirectWrite(
  { ino, fh, offset, writeFlags, openFlags }: WriteRequest,
  vfs: VfsOperations,
  kernel: KernelPages,
  written: MaybePromise<number>,
): MaybePromise<number> {
  if ((writeFlags & writeHasOwner) === 0) return written;
  const wasShared = vfs.isShared(fh);
  // One who has opened, read and closed it again while it was written has left the old pages.
  const timesOpened = vfs.timesOpened(fh);
  return whenReady(written, (count) => {
    const mayBeCached = wasShared || vfs.timesOpened(fh) !== timesOpened;
    const dropped = mayBeCached ? kernel.dropContent(ino, offset, count) : undefined;
    const synced = whenReady(dropped, () => {
      if ((openFlags & dataSync) === 0) return;
      return vfs.fsync(ino, fh, (openFlags & constants.O_SYNC) !== constants.O_SYNC);
    });
    return whenReady(synced, () => count);
  });
}
