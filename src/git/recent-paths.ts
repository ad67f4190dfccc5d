import { statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isNothingThere } from './system-error.ts';

// What was looked at so shortly ago is in the system's memory still.
const recentMs = 5000;
const mostPaths = 256;

/**
 * The paths that were looked at a moment ago. What is there, or that nothing is, the system knows without
 * asking a disk, so to look again takes a tenth of the time in this thread that it takes in another one.
 * Behind filesystems that are not of this machine one waits for somebody all the same: there no path
 * counts.
 */
export class RecentPaths {
  readonly #isNear: boolean;
  readonly #seenMs = new Map<string, number>();

  /** `isNear` tells where the paths are, see the function of that name. */
  constructor(isNear: boolean) {
    this.#isNear = isNear;
  }

  /** Notes that a path is looked at now, and tells whether it was a moment ago. */
  look(path: string): boolean {
    if (!this.#isNear) return false;
    const nowMs = performance.now();
    const seenMs = this.#seenMs.get(path) ?? -Infinity;
    this.#seenMs.delete(path);
    this.#seenMs.set(path, nowMs);
    for (const oldest of this.#seenMs.keys()) {
      if (this.#seenMs.size <= mostPaths) break;
      this.#seenMs.delete(oldest);
    }
    return nowMs - seenMs < recentMs;
  }

  /** What is at a path; `undefined` when nothing is. */
  async stat(path: string): Promise<Stats | undefined> {
    if (this.look(path)) return statSync(path, { throwIfNoEntry: false });
    try {
      return await stat(path);
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  }
}

/** For whoever has none: everything is asked of another thread. */
export const noRecentPaths: RecentPaths = new RecentPaths(false);
