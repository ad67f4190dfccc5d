// What is in memory is read within some 30 µs.
const slowMs = 0.5;
const callsAfterSlow = 64;

/**
 * Decides which short calls to the disk are made in this thread: those that are near (`isNear`) and, by all
 * that is known, only touch memory. To ask another thread takes longer than most of these. Once a call
 * was slow the next ones are left to the pool, where several can wait for the disk at a time.
 */
export class ThreadPace {
  #callsLeftToPool = 0;

  /** Whether the next call is to be made in this thread; to be asked once for each. */
  takeNext(): boolean {
    if (this.#callsLeftToPool === 0) return true;
    this.#callsLeftToPool -= 1;
    return false;
  }

  /** Makes a call that may have to wait for the disk. */
  run<Result>(call: () => Result): Result {
    const startMs = performance.now();
    try {
      return call();
    } finally {
      if (performance.now() - startMs > slowMs) this.#callsLeftToPool = callsAfterSlow;
    }
  }
}
