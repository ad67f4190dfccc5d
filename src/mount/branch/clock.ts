import type { Timespec } from '../vfs/operations.ts';

/** How far the two clocks may drift apart before they are brought together again. */
const driftLimitNs = 2_000_000n;

/**
 * The time of day to the nanosecond. `Date.now` has only milliseconds, within which make(1) could
 * not tell what was written first; so the time since is taken from the monotonic clock, until
 * somebody sets the time of day.
 */
export class Clock {
  #offsetNs = wallNs() - process.hrtime.bigint();

  now(): Timespec {
    const monotonicNs = process.hrtime.bigint();
    let nowNs = monotonicNs + this.#offsetNs;
    const driftNs = nowNs - wallNs();
    if (driftNs > driftLimitNs || driftNs < -driftLimitNs) {
      this.#offsetNs = wallNs() - monotonicNs;
      nowNs = monotonicNs + this.#offsetNs;
    }
    return { sec: Number(nowNs / 1_000_000_000n), nsec: Number(nowNs % 1_000_000_000n) };
  }
}

function wallNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
