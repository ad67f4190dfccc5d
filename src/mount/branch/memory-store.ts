import { BufferPool } from '../vfs/buffer-pool.ts';
import type { MemoryBudget } from './memory-budget.ts';
import { pageSizeBytes } from './page-map.ts';

// A burst of small files would touch fresh memory for each until the collector comes.
const largestKeptBytes = 32 * 1024;
const mostKept = 32;
/** By size. */
const pools = new Map<number, BufferPool>();
const noBytes = Buffer.alloc(0);

function takeZeros(sizeBytes: number): Buffer {
  if (sizeBytes > largestKeptBytes) return Buffer.alloc(sizeBytes);
  let pool = pools.get(sizeBytes);
  if (pool === undefined) pools.set(sizeBytes, (pool = new BufferPool(sizeBytes, mostKept)));
  return pool.take(sizeBytes).fill(0);
}

function giveBack(bytes: Buffer): void {
  pools.get(bytes.length)?.give(bytes);
}

/** Bytes of a small file in memory, each at its offset in the file. */
export class MemoryStore {
  readonly #budget: MemoryBudget;
  readonly #limitBytes: number;
  #bytes: Buffer = noBytes;

  constructor(budget: MemoryBudget, limitBytes: number) {
    this.#budget = budget;
    this.#limitBytes = limitBytes;
  }

  /** Makes room for bytes up to `end`; false when they are too many for memory. */
  reserve(end: number): boolean {
    const before = this.#bytes.length;
    if (end <= before) return true;
    if (end > this.#limitBytes) return false;
    const wholePages = Math.ceil(end / pageSizeBytes) * pageSizeBytes;
    const after = Math.min(this.#limitBytes, Math.max(wholePages, 2 * before));
    if (!this.#budget.take(after - before)) return false;
    const bytes = takeZeros(after);
    this.#bytes.copy(bytes);
    giveBack(this.#bytes);
    this.#bytes = bytes;
    return true;
  }

  /** The bytes themselves, valid until the next `reserve`, `truncate` or `close`. */
  view(offset: number, end: number): Buffer {
    return this.#bytes.subarray(offset, end);
  }

  /** There must be room for the bytes. */
  write(offset: number, data: Uint8Array): void {
    this.#bytes.set(data, offset);
  }

  readInto(target: Buffer, offset: number): void {
    this.#bytes.copy(target, 0, offset, offset + target.length);
  }

  /** Makes what stands from `size` on zero. */
  truncate(size: number): void {
    if (size === 0) this.close();
    else this.#bytes.fill(0, Math.min(size, this.#bytes.length));
  }

  /** Gives the memory back. */
  close(): void {
    this.#budget.give(this.#bytes.length);
    giveBack(this.#bytes);
    this.#bytes = noBytes;
  }
}
