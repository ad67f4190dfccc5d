/**
 * Thrown by code that is written as if all it needs were in memory, when it meets something that is
 * not: `wait` brings that in, and then the code is run again. So what memory can answer is answered
 * without a promise, and no format has to be read by two programs, one of them asynchronous.
 *
 * Code that throws one must not have changed anything that a second run would trip over; long work
 * keeps what it has reached in an object, so that a second run goes on from there.
 */
export abstract class Fault extends Error {
  constructor(message: string) {
    super(message);
    // Nobody reads it, and as long as a file keeps its fault it would keep alive whoever was the
    // first to read that file, with all they held.
    this.stack = '';
  }

  /** Brings in what was missing; rejects when that cannot be had. Called at once after the throw. */
  abstract wait(): Promise<void>;
}

/** Thrown by long work to let others have the event loop for a moment. */
export class YieldFault extends Fault {
  override wait(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** Runs `attempt` until it needs nothing more, waiting in between. */
export async function whenReady<T>(attempt: () => T): Promise<T> {
  for (;;) {
    try {
      return attempt();
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      await fault.wait();
    }
  }
}

/** The result of `attempt`, or undefined when it would have to wait. */
export function ifReady<T>(attempt: () => T): T | undefined {
  try {
    return attempt();
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    return undefined;
  }
}
