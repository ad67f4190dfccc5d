import { CorruptObjectError } from '../../errors.ts';
import type { PagedFile } from './paged-file.ts';

/** A part of a file. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const entrySizeBytes = 12;

/**
 * The chunks of a file (git's gitformat-chunk): a table of an id of four letters and an offset each,
 * then one more offset where the last one ends. Throws a `Fault` when it needs a page that is not in
 * memory, and a `CorruptObjectError` for chunks that are out of order or leave the file.
 */
export class ChunkTable {
  readonly #path: string;
  readonly #chunks = new Map<string, ByteRange>();

  constructor(file: PagedFile, offset: number, count: number) {
    this.#path = file.path;
    const table = file.slice(offset, (count + 1) * entrySizeBytes);
    for (let at = 0; at < count * entrySizeBytes; at += entrySizeBytes) {
      const start = Number(table.readBigUInt64BE(at + 4));
      const end = Number(table.readBigUInt64BE(at + 4 + entrySizeBytes));
      if (start > end || end > file.sizeBytes) {
        throw new CorruptObjectError(`${file.path} has chunks that are out of order`);
      }
      this.#chunks.set(table.toString('latin1', at, at + 4), { start, end });
    }
  }

  get(id: string): ByteRange | undefined {
    return this.#chunks.get(id);
  }

  /** A chunk that has to be there, with so many bytes at least. */
  require(id: string, leastBytes: number): ByteRange {
    const range = this.#chunks.get(id);
    if (range !== undefined && range.end - range.start >= leastBytes) return range;
    throw new CorruptObjectError(`${this.#path} has no whole ${id} chunk`);
  }
}
