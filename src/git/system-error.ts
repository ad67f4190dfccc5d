/** The code of a failed system call, `''` for any other error. */
export function systemErrorCode(error: unknown): string {
  if (!(error instanceof Error) || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

/** What filesystems answer that have no hard links, or none between two places. */
export const withoutLinks: ReadonlySet<string> = new Set([
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
  'EXDEV',
]);

/** What whoever may only read is told, or whoever has no room. */
export const withoutRightOrRoom: ReadonlySet<string> = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOSPC',
  'EDQUOT',
]);

/** Tells whether a system call failed because there is nothing at the path (a file above it included). */
export function isNothingThere(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Tells whether an error is the system's, with this code. */
export function isSystemError(error: unknown, code: string): boolean {
  return systemErrorCode(error) === code;
}

/** A handler for a rejected promise that lets one system error pass. */
export function ignoring(code: string): (error: unknown) => void {
  return (error) => {
    if (!isSystemError(error, code)) throw error;
  };
}
