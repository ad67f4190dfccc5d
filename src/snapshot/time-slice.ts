import { setImmediate } from 'node:timers/promises';

/** How long work may keep the event loop before others get their turn. */
const sliceMs = 4;

/** Cuts long work, done with what is in memory, into slices between which the event loop runs. */
export class TimeSlice {
  #startedMs = performance.now();

  /** True when it is time to `rest`. */
  get isOver(): boolean {
    return performance.now() - this.#startedMs > sliceMs;
  }

  /** Lets everything else run that waits for the event loop. */
  async rest(): Promise<void> {
    await setImmediate();
    this.#startedMs = performance.now();
  }
}
