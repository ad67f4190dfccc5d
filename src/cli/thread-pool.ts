/**
 * Each `fsync` holds a thread of libuv's pool for as long as the disk takes, and a save of one file has five
 * at a time, which are one for the disk when all have begun. Libuv's four threads would also be those that
 * inflate large objects meanwhile.
 */
const threads = '8';

/** Gives this process a larger pool, unless somebody has said how large it is to be. Only before its first use. */
export function widenThreadPool(): void {
  process.env['UV_THREADPOOL_SIZE'] ??= threads;
}
