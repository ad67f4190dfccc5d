// What is in memory is read within some 30 µs.
const slowMs = 0.5;
// A thread that had to make way for another one was slow, too, and that says nothing of the disk.
const fewestAfterSlow = 4;
const mostAfterSlow = 64;
/** After so many calls in a row that were quick, the disk is as good as new. */
const quickCalls = 64;

/**
 * Decides which short calls to the disk are made in this thread: those that are near (`isNear`) and, by all
 * that is known, only touch memory. To ask another thread takes longer than most of these. Once a call
 * was slow the next ones are left to the pool, where several can wait for the disk at a time: a few of
 * them, and twice as many each time that it happens again soon.
 */
export class ThreadPace {
  #callsLeftToPool = 0;
  #nextAfterSlow = fewestAfterSlow;
  #quickCalls = 0;

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
      this.#note(performance.now() - startMs > slowMs);
    }
  }

  #note(isSlow: boolean): void {
    if (!isSlow) {
      this.#quickCalls += 1;
      if (this.#quickCalls === quickCalls) this.#nextAfterSlow = fewestAfterSlow;
      return;
    }
    this.#callsLeftToPool = this.#nextAfterSlow;
    this.#nextAfterSlow = Math.min(mostAfterSlow, 2 * this.#nextAfterSlow);
    this.#quickCalls = 0;
  }
}
