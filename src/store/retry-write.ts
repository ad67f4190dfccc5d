import { setTimeout as pause } from 'node:timers/promises';
import { InvalidArgumentError, RefLockedError, StaleSnapshotError } from '../errors.ts';
import type { FS } from '../snapshot/fs.ts';
import type { WriteOptions } from '../snapshot/write-options.ts';
import type { GitStore } from './git-store.ts';

const firstPauseMs = 10;
const longestPauseMs = 200;

/** How `retryWrite` writes. */
export interface RetryWriteOptions extends WriteOptions {
  /** How often it is tried again after the first time. Default 5. */
  retries?: number | undefined;
}

/**
 * Writes a file to a branch, again on its new tip when others moved it meanwhile, or are about to: on a
 * busy machine a branch can be locked for longer than one attempt waits (`core.filesRefLockTimeout`). The
 * last `StaleSnapshotError` or `RefLockedError` is thrown when all attempts fail; a branch that does not
 * exist is a `KeyNotFoundError`.
 */
export function retryWrite(
  store: GitStore,
  branch: string,
  path: string,
  data: Uint8Array,
  options: RetryWriteOptions = {},
): Promise<FS> {
  const { retries = 5, ...writeOptions } = options;
  return retryStale(retries, async () => {
    const fs = await store.branches.get(branch);
    return fs.write(path, data, writeOptions);
  });
}

/**
 * Does something again, at most `retries` times, while it fails because others write too. The
 * pauses double from 10 ms to 200 ms, and are cut at random so that writers fall out of step.
 */
export async function retryStale<T>(retries: number, attempt: () => Promise<T>): Promise<T> {
  if (!Number.isSafeInteger(retries) || retries < 0) {
    throw new InvalidArgumentError(`not a number of retries: ${retries}`);
  }
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      const isOfOthers = error instanceof StaleSnapshotError || error instanceof RefLockedError;
      if (!isOfOthers || failures === retries) throw error;
    }
    const longestMs = Math.min(firstPauseMs * 2 ** failures, longestPauseMs);
    await pause(longestMs * (0.5 + Math.random() / 2));
  }
}
