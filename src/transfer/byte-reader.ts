import { InvalidArchiveError } from '../errors.ts';

/** Reads bytes that come in pieces of any size in the portions that a format wants. */
export class ByteReader {
  readonly #iterator: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(input: AsyncIterable<Buffer>) {
    this.#iterator = input[Symbol.asyncIterator]();
  }

  /** So many bytes; an `InvalidArchiveError` when the input ends before. */
  async exactly(length: number): Promise<Buffer> {
    if (this.#rest.length >= length) return this.#takeRest(length);
    const parts: Buffer[] = [];
    for (let missing = length; missing > 0;) {
      const part = await this.#some(missing);
      missing -= part.length;
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  /** Passes over so many bytes. */
  async skip(length: number): Promise<void> {
    for (let missing = length; missing > 0;) missing -= (await this.#some(missing)).length;
  }

  /** A part of the input, to be read in pieces. Nothing else may be read until it is finished. */
  section(length: number): Section {
    let missing = length;
    const next = async (): Promise<Buffer> => {
      const part = await this.#some(missing);
      missing -= part.length;
      return part;
    };
    return {
      async *chunks() {
        while (missing > 0) yield await next();
      },
      finish: () => this.skip(missing),
    };
  }

  /** Reads to the end; an `InvalidArchiveError` when that is further away than it may be. */
  async drain(mostBytes: number): Promise<void> {
    let left = mostBytes - this.#rest.length;
    this.#rest = Buffer.alloc(0);
    for (;;) {
      const next = await this.#iterator.next();
      if (next.done === true) return;
      left -= next.value.length;
      if (left < 0) throw new InvalidArchiveError('the archive goes on after its end');
    }
  }

  /** Ends the input, wherever it is. */
  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #some(atMost: number): Promise<Buffer> {
    while (this.#rest.length === 0) {
      const next = await this.#iterator.next();
      if (next.done === true) throw new InvalidArchiveError('the archive is truncated');
      this.#rest = next.value;
    }
    return this.#takeRest(Math.min(atMost, this.#rest.length));
  }

  #takeRest(length: number): Buffer {
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}

/** A part of what a `ByteReader` reads. */
export interface Section {
  chunks(): AsyncGenerator<Buffer, void, undefined>;
  /** Passes over what is left of it. */
  finish(): Promise<void>;
}
