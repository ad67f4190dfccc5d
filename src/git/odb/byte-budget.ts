interface Waiting {
  readonly sizeBytes: number;
  readonly admit: () => void;
}

/**
 * How much may be on its way at a time, counted in bytes; who comes when it is used up waits, first
 * come first served. Something larger than the whole budget goes alone.
 */
export class ByteBudget {
  readonly #limitBytes: number;
  readonly #queue: Waiting[] = [];
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Runs `work` when there is room for `sizeBytes`; at once when there is some now. */
  async run<Result>(sizeBytes: number, work: () => Promise<Result>): Promise<Result> {
    if (this.#queue.length > 0 || !this.#fits(sizeBytes)) {
      await new Promise<void>((admit) => this.#queue.push({ sizeBytes, admit }));
    } else {
      this.#usedBytes += sizeBytes;
    }
    try {
      return await work();
    } finally {
      this.#usedBytes -= sizeBytes;
      this.#admit();
    }
  }

  #fits(sizeBytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + sizeBytes <= this.#limitBytes;
  }

  #admit(): void {
    for (let next = this.#queue[0]; next !== undefined && this.#fits(next.sizeBytes);) {
      this.#queue.shift();
      this.#usedBytes += next.sizeBytes;
      next.admit();
      next = this.#queue[0];
    }
  }
}
