/** What is in memory is read within some 30 µs. */
const slowReadMs = 0.5;
/** This thread waits for a slow disk a tenth of the time at most. */
const restPerSlowMs = 10;

/**
 * Decides which short calls to the disk are made in this thread: those that are near (`isNear`) and, by all
 * that is known, only touch memory. To ask another thread takes longer than most of these. After a call
 * that was slow they are left to the pool for a while, where several can wait for the disk at a time.
 */
export class ThreadPace {
  readonly #slowMs: number;
  #restsUntilMs: number | undefined;

  /** Slow is a call that takes longer than this. */
  constructor(slowMs: number = slowReadMs) {
    this.#slowMs = slowMs;
  }

  /** Whether the next call is to be made in this thread. */
  takeNext(): boolean {
    if (this.#restsUntilMs === undefined) return true;
    if (performance.now() < this.#restsUntilMs) return false;
    this.#restsUntilMs = undefined;
    return true;
  }

  /** Makes a call that may have to wait for the disk. */
  run<Result>(call: () => Result): Result {
    const startMs = performance.now();
    try {
      return call();
    } finally {
      const nowMs = performance.now();
      const tookMs = nowMs - startMs;
      if (tookMs > this.#slowMs) this.#restsUntilMs = nowMs + restPerSlowMs * tookMs;
    }
  }
}
