import type { constants } from 'node:os';

/** The name of an error number, as in errno(3). */
export type ErrnoName = keyof typeof constants.errno | 'ESTALE';

/** An error that already knows its number: what the filesystem answers on purpose. */
export class ErrnoError extends Error {
  readonly errno: ErrnoName;

  constructor(errno: ErrnoName, message: string = errno, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ErrnoError';
    this.errno = errno;
  }
}
