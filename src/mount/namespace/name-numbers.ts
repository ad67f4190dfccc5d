import type { NodeContext } from '../vfs/node-context.ts';
import type { Ino } from '../vfs/operations.ts';

/** Numbers of names that nobody uses any more are dropped when there are more than this. */
const numbersKept = 1000;

/**
 * Inode numbers of what is found by name alone, where nothing else could keep them: the same name
 * has the same number as long as the kernel knows it.
 */
export class NameNumbers {
  readonly #context: NodeContext;
  readonly #inos = new Map<string, Ino>();
  #sweepAt = numbersKept;

  constructor(context: NodeContext) {
    this.#context = context;
  }

  /** The number of a name, if it has one. */
  get(name: string): Ino | undefined {
    return this.#inos.get(name);
  }

  inoOf(name: string): Ino {
    let ino = this.#inos.get(name);
    if (ino === undefined) {
      if (this.#inos.size >= this.#sweepAt) this.#sweep();
      ino = this.#context.inos.next();
      this.#inos.set(name, ino);
    }
    return ino;
  }

  #sweep(): void {
    const { inodes } = this.#context;
    for (const [name, ino] of this.#inos) {
      if (inodes.get(ino) === undefined) this.#inos.delete(name);
    }
    this.#sweepAt = Math.max(numbersKept, 2 * this.#inos.size);
  }
}
