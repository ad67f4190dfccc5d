import { whenReady } from './maybe-promise.ts';
import type { MaybePromise } from './operations.ts';
import type { FileHandle } from './vnode.ts';

/** How much is moved in one step, and in one call; the caller asks again for the rest. */
const stepBytes = 256 * 1024;
const callLimitBytes = 8 * 1024 * 1024;

/** A part of an open file. */
export interface FileRange {
  readonly handle: FileHandle;
  readonly offset: number;
}

/**
 * Copies from one open file to another, by hash where the target can do that, else byte by byte.
 * Gives the number of bytes copied, which may be fewer than asked for; 0 at the end of the source.
 */
export function copyRange(
  source: FileRange,
  target: FileRange,
  lengthBytes: number,
): MaybePromise<number> {
  const stored = source.handle.stored?.();
  if (stored === undefined || target.handle.copyStored === undefined) {
    return copyBytes(source, target, lengthBytes);
  }
  const copied = target.handle.copyStored(stored, source.offset, target.offset, lengthBytes);
  return whenReady(copied, (bytes) => bytes ?? copyBytes(source, target, lengthBytes));
}

async function copyBytes(
  source: FileRange,
  target: FileRange,
  lengthBytes: number,
): Promise<number> {
  const wanted = Math.min(lengthBytes, callLimitBytes);
  let copied = 0;
  while (copied < wanted) {
    const size = Math.min(stepBytes, wanted - copied);
    const data = await source.handle.read(source.offset + copied, size);
    if (data.length === 0) break;
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
    const written = await target.handle.write(target.offset + copied, bytes);
    copied += written;
    if (written < data.length) break;
  }
  return copied;
}
