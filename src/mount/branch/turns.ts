import type { MaybePromise } from '../vfs/operations.ts';

/**
 * One thing at a time, in the order of asking. Work that finds nothing in its way runs at once, and
 * when it needs no disk its result is there at once too.
 */
export class Turns {
  #last: Promise<void> | undefined;

  /** Nothing is running: work would start before `take` returns. */
  get free(): boolean {
    return this.#last === undefined;
  }

  /** Runs the work when everything taken before has ended, well or badly. */
  take<T>(work: () => MaybePromise<T>): MaybePromise<T> {
    const result = this.#last === undefined ? work() : this.#last.then(work);
    if (!(result instanceof Promise)) return result;
    const ended = (): void => {
      if (this.#last === turn) this.#last = undefined;
    };
    const turn: Promise<void> = result.then(ended, ended);
    this.#last = turn;
    return result;
  }
}
