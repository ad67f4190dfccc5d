import type { Ino } from '../vfs/operations.ts';
import type { RequestReader } from './request-reader.ts';

const pairSizeBytes = 16;
const headerSizeBytes = 8;
/** How many inodes are let go of in one turn of the event loop. */
const sliceLength = 2048;
/** Beyond this many waiting ones there are no more slices: memory is worth more than a pause. */
const backlogLimit = 1 << 18;

/**
 * Lets go of the inodes of BATCH_FORGET requests. One request can name 65 thousand (a dropped cache
 * of the kernel), so they are taken in slices, other requests in between. That a forget comes late
 * does no harm: it only lowers a count, and whatever raises it again adds to the same count.
 */
export class ForgetQueue {
  readonly #forget: (ino: Ino, lookups: number) => void;
  #waiting: { readonly ino: Ino; readonly lookups: number }[] = [];
  #done = 0;
  #isScheduled = false;

  constructor(forget: (ino: Ino, lookups: number) => void) {
    this.#forget = forget;
  }

  /** How many inodes are still to be let go of. */
  get length(): number {
    return this.#waiting.length - this.#done;
  }

  /** Takes a BATCH_FORGET: a count, then as many pairs of a node id and a number of lookups. */
  add(request: RequestReader): void {
    const count = request.u32(0);
    // All or nothing: a request that is too short is refused before it has had an effect.
    request.bytes(headerSizeBytes, count * pairSizeBytes);
    for (let index = 0; index < count; index++) {
      const at = headerSizeBytes + index * pairSizeBytes;
      this.#waiting.push({ ino: request.ino64(at), lookups: request.byteCount(at + 8) });
    }
    this.#takeSlice();
    while (this.length > backlogLimit) this.#takeSlice();
  }

  #takeSlice(): void {
    const end = Math.min(this.#waiting.length, this.#done + sliceLength);
    for (; this.#done < end; this.#done++) {
      const pair = this.#waiting[this.#done];
      if (pair !== undefined) this.#forget(pair.ino, pair.lookups);
    }
    if (this.length === 0) {
      this.#waiting = [];
      this.#done = 0;
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => {
        this.#isScheduled = false;
        this.#takeSlice();
      });
    }
  }
}
