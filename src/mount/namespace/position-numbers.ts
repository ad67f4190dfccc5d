import type { InoAllocator } from '../vfs/ino-allocator.ts';
import { inoPageSize } from '../vfs/ino-allocator.ts';
import type { Ino } from '../vfs/operations.ts';

/**
 * Inode numbers of what has a position in a history, a page of them for positions that follow each
 * other: a listing of a hundred thousand commits costs no number each to remember.
 */
export class PositionNumbers {
  readonly #inos: InoAllocator;
  readonly #pages = new Map<number, Ino>();

  constructor(inos: InoAllocator) {
    this.#inos = inos;
  }

  inoAt(position: number): Ino {
    const page = Math.floor(position / inoPageSize);
    let first = this.#pages.get(page);
    if (first === undefined) {
      first = this.#inos.reserve(inoPageSize);
      this.#pages.set(page, first);
    }
    return (first + position - page * inoPageSize) as Ino;
  }
}
