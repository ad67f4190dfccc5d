import { constants } from 'node:os';
import { GitStoreError } from '../../errors.ts';

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

/**
 * What the kinds of `GitStoreError` mean to a program that called read(2) or rename(2). Damage and
 * missing objects are EIO; a ref that moved or is locked is EBUSY once the retries are used up. Kinds
 * that no request should meet (a broken configuration, a git program that failed) are not here.
 */
const nameOfKind: Readonly<Record<string, ErrnoName>> = {
  ENOENT: 'ENOENT',
  EISDIR: 'EISDIR',
  ENOTDIR: 'ENOTDIR',
  EPERM: 'EPERM',
  KEY_NOT_FOUND: 'ENOENT',
  KEY_EXISTS: 'EEXIST',
  INVALID_REF_NAME: 'EINVAL',
  INVALID_PATH: 'EINVAL',
  INVALID_ARGUMENT: 'EINVAL',
  OBJECT_NOT_FOUND: 'EIO',
  OBJECT_CORRUPT: 'EIO',
  OBJECT_TOO_LARGE: 'EFBIG',
  REF_CORRUPT: 'EIO',
  REF_CONFLICT: 'EEXIST',
  STALE_SNAPSHOT: 'EBUSY',
  REF_CHANGED: 'EBUSY',
  REF_LOCKED: 'EBUSY',
};

/**
 * Codes of failed system calls that mean to a program on the mount what they mean to us: the disk
 * below is full, or not for us, or the system is out of something. Any other (a spool file that
 * went missing is ENOENT to us) would tell the program something untrue about its own file.
 */
const passedOn: ReadonlySet<unknown> = new Set<ErrnoName>([
  'EACCES',
  'EDQUOT',
  'EFBIG',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'ENOSPC',
  'EPERM',
  'EROFS',
]);

/** The number of an error name on this system. */
export function errnoNumber(name: ErrnoName): number {
  return constants.errno[name];
}

/**
 * The errno that an error stands for: its own (`ErrnoError`), that of a `GitStoreError`'s kind, or
 * the code of a failed system call. `undefined` when nobody foresaw it: answer EIO and log it.
 */
export function errnoNameOf(error: unknown): ErrnoName | undefined {
  if (error instanceof ErrnoError) return error.errno;
  if (error instanceof GitStoreError) return nameOfKind[error.code];
  if (error instanceof Error && 'syscall' in error && 'code' in error) {
    return isPassedOn(error.code) ? error.code : undefined;
  }
  return undefined;
}

function isPassedOn(code: unknown): code is ErrnoName {
  return passedOn.has(code);
}
