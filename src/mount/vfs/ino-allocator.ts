import { rootIno } from './operations.ts';
import type { Ino } from './operations.ts';

/** Short rows of numbers begin at multiples of this. */
export const inoPageSize = 64;

/** Long rows begin at multiples of this. */
export const longInoPageSize = 65_536;

const longestShortRow = 4096;

/** Which of the two a row of so many numbers has for its pages. */
export function pageSizeFor(count: number): number {
  return count > longestShortRow ? longInoPageSize : inoPageSize;
}

/**
 * Hands out inode numbers, each once in the life of a mount: the kernel may still speak of a number
 * long after its file is gone, and must never mean another file by it. Numbers above the root's are
 * given in turn; 2^53 of them outlive every mount.
 */
export class InoAllocator {
  #next: number;

  /** @param first the first number to give; numbers below it are taken, or another's to give */
  constructor(first: number = rootIno + 1) {
    this.#next = first;
  }

  next(): Ino {
    const ino = this.#next as Ino;
    this.#next += 1;
    return ino;
  }

  /** The first of `count` numbers in a row, a multiple of the size of their pages. */
  reserve(count: number): Ino {
    const pageSize = pageSizeFor(count);
    const first = Math.ceil(this.#next / pageSize) * pageSize;
    this.#next = first + count;
    return first as Ino;
  }
}
