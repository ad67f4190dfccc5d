import { availableParallelism } from 'node:os';

/** Requests further apart than this are not of one burst. */
const burstGapMs = 0.5;
/** How many gaps are measured with the loop awake, then asleep, and how many are served as was better. */
const trialLength = 64;
const settledLength = 2048;
/** Being awake must be this much faster, as it costs a processor. */
const worthwhile = 0.8;
/** A turn that takes longer was interrupted: other processes need the processor, for a while. */
const longTurnMs = 1;
const restMs = 1000;

type Phase = 'trial-awake' | 'trial-asleep' | 'settled';

/** How a `BusyPoll` behaves; a test gives its own clock and machine. */
export interface BusyPollOptions {
  /** How long after a request the loop is kept awake, in microseconds; 0 never. */
  readonly windowUs: number;
  readonly processors?: number;
  readonly now?: () => number;
}

/**
 * A process that asks and a daemon that answers wake each other up, and waking a processor that has
 * gone to sleep takes several times longer than a request. So within a burst of requests the event
 * loop can be kept from sleeping: each turn asks for another one, in which timers, promises and
 * finished reads of the disk have their turn as always. Whether that helps depends on where the
 * system lets both processes run (on one processor, waking costs nothing), so it is tried out now
 * and then: some requests with the loop awake, some without, and the better way for a while.
 */
export class BusyPoll {
  readonly #windowMs: number;
  readonly #now: () => number;
  #phase: Phase = 'trial-awake';
  #isAwakeBetter = true;
  #gapCount = 0;
  #gapSumMs = 0;
  #awakeMeanMs = 0;
  #lastRequestMs = -Infinity;
  #lastTurnMs = 0;
  #restUntilMs = -Infinity;
  #isPolling = false;

  constructor(options: BusyPollOptions) {
    const {
      windowUs,
      processors = availableParallelism(),
      now = () => performance.now(),
    } = options;
    // With one processor the one who asks could not run meanwhile.
    this.#windowMs = processors > 1 ? windowUs / 1000 : 0;
    this.#now = now;
  }

  /** Whether the loop is being kept awake. */
  get isPolling(): boolean {
    return this.#isPolling;
  }

  /** To be called for each request. */
  requestCame(): void {
    if (this.#windowMs === 0) return;
    const nowMs = this.#now();
    const gapMs = nowMs - this.#lastRequestMs;
    this.#lastRequestMs = nowMs;
    if (gapMs > burstGapMs || nowMs < this.#restUntilMs) return;
    this.#learn(gapMs);
    if (this.#isPolling || !this.#wantsAwake()) return;
    this.#isPolling = true;
    this.#lastTurnMs = nowMs;
    setImmediate(this.#turn);
  }

  #wantsAwake(): boolean {
    return this.#phase === 'settled' ? this.#isAwakeBetter : this.#phase === 'trial-awake';
  }

  #learn(gapMs: number): void {
    this.#gapSumMs += gapMs;
    this.#gapCount += 1;
    if (this.#gapCount < (this.#phase === 'settled' ? settledLength : trialLength)) return;
    const meanMs = this.#gapSumMs / this.#gapCount;
    this.#gapCount = 0;
    this.#gapSumMs = 0;
    switch (this.#phase) {
      case 'settled':
        this.#phase = 'trial-awake';
        break;
      case 'trial-awake':
        this.#awakeMeanMs = meanMs;
        this.#phase = 'trial-asleep';
        break;
      case 'trial-asleep':
        this.#isAwakeBetter = this.#awakeMeanMs < worthwhile * meanMs;
        this.#phase = 'settled';
        break;
    }
  }

  readonly #turn = (): void => {
    const nowMs = this.#now();
    if (nowMs - this.#lastTurnMs > longTurnMs) this.#restUntilMs = nowMs + restMs;
    this.#lastTurnMs = nowMs;
    this.#isPolling =
      this.#wantsAwake() &&
      nowMs - this.#lastRequestMs < this.#windowMs &&
      nowMs >= this.#restUntilMs;
    if (this.#isPolling) setImmediate(this.#turn);
  };
}
