import { ErrnoError } from './errno.ts';
import type { Fh } from './operations.ts';

/** What is open, by number. Numbers start at 1 and are never given twice. */
export class HandleTable<T> {
  readonly #open = new Map<Fh, T>();
  #next = 1;

  get size(): number {
    return this.#open.size;
  }

  add(handle: T): Fh {
    const fh = this.#next as Fh;
    this.#next += 1;
    this.#open.set(fh, handle);
    return fh;
  }

  /** What is open under a number; EBADF when nothing is. */
  get(fh: Fh | undefined): T {
    const handle = fh === undefined ? undefined : this.#open.get(fh);
    if (handle === undefined) throw new ErrnoError('EBADF', `no handle ${String(fh)} is open`);
    return handle;
  }

  /** Takes a handle out of the table, for its release; EBADF when it is not there. */
  remove(fh: Fh): T {
    const handle = this.get(fh);
    this.#open.delete(fh);
    return handle;
  }

  /** Takes everything out of the table. */
  removeAll(): T[] {
    const handles = [...this.#open.values()];
    this.#open.clear();
    return handles;
  }
}
