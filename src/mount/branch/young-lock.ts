import { stat } from 'node:fs/promises';
import { RefLockedError } from '../../errors.ts';
import { isNothingThere } from '../../git/system-error.ts';

/** Whoever holds a lock for longer is more likely to have been killed than to be at work. */
const youngMs = 30_000;

/**
 * Whether a commit failed on a lock that its holder will likely give up: it is not old, or gone by now.
 * A `git gc` that expires a long reflog holds the lock of its ref for many seconds on a busy machine.
 */
export async function isYoungLock(error: unknown): Promise<boolean> {
  if (!(error instanceof RefLockedError) || error.path === undefined) return false;
  try {
    return Date.now() - (await stat(error.path)).mtimeMs < youngMs;
  } catch (failure) {
    return isNothingThere(failure);
  }
}
