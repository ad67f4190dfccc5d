/**
 * Buffers that are used again: what a request brings is lent, so bytes that wait for the disk are
 * copied, and a gigabyte of fresh buffers costs more in collecting them than in copying.
 */
export class BufferPool {
  readonly #sizeBytes: number;
  readonly #limit: number;
  readonly #free: Buffer[] = [];

  /** Keeps up to `limit` buffers of `sizeBytes`. */
  constructor(sizeBytes: number, limit: number) {
    this.#sizeBytes = sizeBytes;
    this.#limit = limit;
  }

  /** A buffer of this length, with anything in it. */
  take(lengthBytes: number): Buffer {
    if (lengthBytes > this.#sizeBytes) return Buffer.allocUnsafeSlow(lengthBytes);
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#sizeBytes);
    return buffer.subarray(0, lengthBytes);
  }

  /** Takes a buffer back that `take` gave, and nobody looks at any more. */
  give(buffer: Buffer): void {
    if (buffer.buffer.byteLength !== this.#sizeBytes || this.#free.length >= this.#limit) return;
    this.#free.push(Buffer.from(buffer.buffer));
  }
}
