import type { LRUCache } from 'lru-cache';
import { CorruptObjectError } from '../../errors.ts';
import type { Oid } from '../oid.ts';
import type { BlobContent } from './blob-content.ts';

/** Blobs are read and kept in blocks of this size; the last one of a blob is shorter. */
export const blobBlockSizeBytes: number = 256 * 1024;

/** Goes through a blob block by block. */
export class BlobCursor {
  readonly #content: BlobContent;
  readonly #chunks: AsyncGenerator<Buffer, void, undefined>;
  #chunk: Buffer = Buffer.alloc(0);
  #position = 0;

  constructor(content: BlobContent) {
    this.#content = content;
    this.#chunks = content.chunks();
  }

  /** Where the next block starts. */
  get position(): number {
    return this.#position;
  }

  async nextBlock(): Promise<Buffer> {
    const length = Math.min(blobBlockSizeBytes, this.#content.sizeBytes - this.#position);
    const block = Buffer.allocUnsafeSlow(length);
    for (let filled = 0; filled < length;) {
      if (this.#chunk.length === 0) this.#chunk = await this.#nextChunk();
      const count = this.#chunk.copy(block, filled);
      this.#chunk = this.#chunk.subarray(count);
      filled += count;
    }
    this.#position += length;
    // The sizes and the checksum are looked at behind the last byte, so the last block waits for it.
    if (this.#position === this.#content.sizeBytes) await this.#chunks.next();
    return block;
  }

  async close(): Promise<void> {
    await this.#chunks.return();
    await this.#content.close();
  }

  async #nextChunk(): Promise<Buffer> {
    const next = await this.#chunks.next();
    if (next.done === true) throw new CorruptObjectError('a blob is shorter than it says');
    return next.value;
  }
}

/** A part of a blob, put together out of blocks: some of them in the cache, the others offered as they come. */
export class BlockRange {
  readonly #cache: LRUCache<string, Buffer>;
  readonly #oid: Oid;
  readonly #offset: number;
  readonly #length: number;
  readonly #firstBlock: number;
  readonly #blocks: (Buffer | undefined)[] = [];

  /** The range has to be within the blob, and not empty. */
  constructor(cache: LRUCache<string, Buffer>, oid: Oid, offset: number, length: number) {
    this.#cache = cache;
    this.#oid = oid;
    this.#offset = offset;
    this.#length = length;
    this.#firstBlock = Math.floor(offset / blobBlockSizeBytes);
    const lastBlock = Math.floor((offset + length - 1) / blobBlockSizeBytes);
    for (let index = this.#firstBlock; index <= lastBlock; index++) {
      this.#blocks.push(cache.get(this.#key(index)));
    }
  }

  /** Where the first block starts that is still needed; undefined when there is none. */
  get missingOffset(): number | undefined {
    const missing = this.#blocks.indexOf(undefined);
    return missing < 0 ? undefined : (this.#firstBlock + missing) * blobBlockSizeBytes;
  }

  /** Takes the block that starts at `position`, and puts it into the cache. */
  offer(position: number, block: Buffer): void {
    const index = position / blobBlockSizeBytes;
    this.#cache.set(this.#key(index), block);
    const at = index - this.#firstBlock;
    if (at >= 0 && at < this.#blocks.length) this.#blocks[at] = block;
  }

  /** The bytes of the range; nothing may be missing. */
  content(): Buffer {
    const blocks = this.#blocks.filter((block) => block !== undefined);
    const start = this.#offset - this.#firstBlock * blobBlockSizeBytes;
    const [only] = blocks;
    const joined = only !== undefined && blocks.length === 1 ? only : Buffer.concat(blocks);
    return joined.subarray(start, start + this.#length);
  }

  /** The bytes of the range out of the whole blob. */
  of(whole: Buffer): Buffer {
    return whole.subarray(this.#offset, this.#offset + this.#length);
  }

  #key(index: number): string {
    return `${this.#oid}:${index}`;
  }
}
