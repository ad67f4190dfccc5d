import { availableParallelism } from 'node:os';

const longTurnMs = 1;
const restMs = 1000;

/**
 * A process that asks and a daemon that answers wake each other up, and waking a processor that has
 * gone to sleep takes several times longer than a request. So while requests follow each other
 * closely the event loop is kept from sleeping: each turn asks for another one, in which timers,
 * promises and finished reads of the disk have their turn as always.
 */
export class BusyPoll {
  readonly #windowMs: number;
  #lastRequestMs = -Infinity;
  #lastTurnMs = 0;
  #restUntilMs = -Infinity;
  #isPolling = false;

  /** `windowUs`: how close is closely, and how long the loop is kept awake; 0 never. */
  constructor(windowUs: number, processors: number = availableParallelism()) {
    // With one processor the one who asks could not run meanwhile.
    this.#windowMs = processors > 1 ? windowUs / 1000 : 0;
  }

  /** To be called for each request. */
  requestCame(): void {
    if (this.#windowMs === 0) return;
    const nowMs = performance.now();
    const isClose = nowMs - this.#lastRequestMs < this.#windowMs;
    this.#lastRequestMs = nowMs;
    if (this.#isPolling || !isClose || nowMs < this.#restUntilMs) return;
    this.#isPolling = true;
    this.#lastTurnMs = nowMs;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    const nowMs = performance.now();
    // A turn that took that long was interrupted: other processes need the processor.
    if (nowMs - this.#lastTurnMs > longTurnMs) this.#restUntilMs = nowMs + restMs;
    this.#lastTurnMs = nowMs;
    this.#isPolling = nowMs - this.#lastRequestMs < this.#windowMs && nowMs >= this.#restUntilMs;
    if (this.#isPolling) setImmediate(this.#turn);
  };
}
