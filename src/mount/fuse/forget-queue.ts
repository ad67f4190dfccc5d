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
  readonly #batches: { readonly request: RequestReader; next: number; readonly count: number }[] =
    [];
  #length = 0;
  #isScheduled = false;

  constructor(forget: (ino: Ino, lookups: number) => void) {
    this.#forget = forget;
  }

  /** How many inodes are still to be let go of. */
  get length(): number {
    return this.#length;
  }

  /** Takes a BATCH_FORGET: a count, then as many pairs of a node id and a number of lookups. */
  add(request: RequestReader): void {
    const count = request.u32(0);
    // All or nothing: a request that is too short is refused before it has had an effect.
    request.bytes(headerSizeBytes, count * pairSizeBytes);
    this.#batches.push({ request: request.copy(), next: 0, count });
    this.#length += count;
    this.#takeSlice();
    while (this.#length > backlogLimit) this.#takeSlice();
  }

  #takeSlice(): void {
    for (let left = sliceLength; left > 0; left--) {
      const batch = this.#batches[0];
      if (batch === undefined) return;
      if (batch.next === batch.count) {
        this.#batches.shift();
        continue;
      }
      const at = headerSizeBytes + batch.next * pairSizeBytes;
      batch.next += 1;
      this.#length -= 1;
      // A number that we cannot have given is cut to one that nobody has; nothing throws here.
      this.#forget(batch.request.byteCount(at) as Ino, batch.request.byteCount(at + 8));
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#takeSlice();
    });
  }
}
