import { rootIno } from './operations.ts';
import type { Ino } from './operations.ts';

/**
 * Hands out inode numbers, each once in the life of a mount: the kernel may still speak of a number
 * long after its file is gone, and must never mean another file by it. Numbers above the root's are
 * given in turn; 2^53 of them outlive every mount.
 */
export class InoAllocator {
  #next: number = rootIno + 1;

  next(): Ino {
    return this.reserve(1);
  }

  /** The first of `count` numbers in a row. */
  reserve(count: number): Ino {
    const first = this.#next;
    this.#next += count;
    return first as Ino;
  }
}
