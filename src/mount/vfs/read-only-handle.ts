import { constants } from 'node:fs';
import { ErrnoError } from './errno.ts';
import type { MaybePromise } from './operations.ts';
import type { FileHandle } from './vnode.ts';

const writingFlags = constants.O_WRONLY | constants.O_RDWR | constants.O_TRUNC;
// `SEEK_DATA` and `SEEK_HOLE` of unistd.h; the kernel answers the others itself.
const seekData = 3;
const seekHole = 4;

/** EROFS for the flags of an open(2) that could write. */
export function refuseWriting(flags: number): void {
  if ((flags & writingFlags) !== 0) throw new ErrnoError('EROFS');
}

/** An open file that cannot be written and has no holes. */
export abstract class ReadOnlyHandle implements FileHandle {
  abstract readonly keepCache: boolean;
  readonly noFlush = true;
  abstract readonly sizeBytes: number;

  abstract read(offset: number, sizeBytes: number, lend?: () => Buffer): MaybePromise<Uint8Array>;

  lseek(offset: number, whence: number): number {
    if (whence !== seekData && whence !== seekHole) throw new ErrnoError('EINVAL');
    if (offset >= this.sizeBytes) throw new ErrnoError('ENXIO');
    return whence === seekData ? offset : this.sizeBytes;
  }

  write(): never {
    throw new ErrnoError('EBADF');
  }

  fallocate(): never {
    throw new ErrnoError('EBADF');
  }

  flush(): void {
    // Nothing was written.
  }

  fsync(): void {
    // Nothing was written.
  }

  release(): void {
    // There is nothing to close.
  }
}
