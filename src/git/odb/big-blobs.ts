import { LRUCache } from 'lru-cache';
import { CorruptObjectError } from '../../errors.ts';
import type { Oid } from '../oid.ts';
import { BlobCursor, BlockRange, blobBlockSizeBytes } from './blob-cursor.ts';
import type { BlobContent } from './blob-content.ts';
import type { BlobSpool, SpooledBlob } from './blob-spool.ts';

const mostCursors = 8;
// Going on to a place that is so near costs less than writing the blob to disk.
const nearBytes = 4 * 1024 * 1024;
// A spool without room is not tried again for each read.
const spoolPauseMs = 30_000;

/**
 * Reads parts of big blobs, which are compressed streams: what stands in front of a part has to be
 * inflated first. Whoever reads on gets the next blocks from a cursor that waits where the last read
 * ended; whoever jumps about makes the blob go to the spool, where each read costs the same. Where
 * the spool cannot take it, a jump backwards starts again from the front.
 */
export class BigBlobs {
  readonly #open: (oid: Oid) => Promise<BlobContent>;
  readonly #spool: BlobSpool;
  readonly #blocks: LRUCache<string, Buffer>;
  /** Those that nobody uses at the moment. */
  readonly #cursors: LRUCache<Oid, BlobCursor>;
  /** Reads that need the cursor of a blob go one after the other. */
  readonly #turns = new Map<Oid, Promise<unknown>>();
  #noSpoolBeforeMs = 0;

  constructor(options: {
    readonly open: (oid: Oid) => Promise<BlobContent>;
    readonly spool: BlobSpool;
    readonly maxBlocksSizeBytes: number;
  }) {
    this.#open = options.open;
    this.#spool = options.spool;
    this.#blocks = new LRUCache({
      maxSize: Math.max(options.maxBlocksSizeBytes, 4 * blobBlockSizeBytes),
      sizeCalculation: (block) => block.length,
    });
    this.#cursors = new LRUCache({
      max: mostCursors,
      dispose: (cursor, _, reason) => {
        if (reason === 'evict') closeQuietly(cursor);
      },
    });
  }

  /** A part of a blob, not empty and within the blob. The bytes are shared, and not to be written to. */
  async read(oid: Oid, offset: number, length: number): Promise<Buffer> {
    return (
      (await this.#readSpooled(oid, offset, length)) ??
      new BlockRange(this.#blocks, oid, offset, length).content() ??
      this.#inTurn(oid, () => this.#readInTurn(oid, offset, length))
    );
  }

  /** The blob in the spool, where it may still be on its way; undefined when the spool cannot take it. */
  spooled(oid: Oid): Promise<SpooledBlob | undefined> {
    return this.#inTurn(oid, () => this.#addToSpool(oid));
  }

  /** Lets go of the files behind the cursors, which may be gone from the repository. */
  closeCursors(): void {
    for (const cursor of this.#cursors.values()) closeQuietly(cursor);
    this.#cursors.clear();
  }

  async #readInTurn(oid: Oid, offset: number, length: number): Promise<Buffer> {
    // Whoever had the turn before may have brought what is needed here.
    const spooled = await this.#readSpooled(oid, offset, length);
    if (spooled !== undefined) return spooled;
    const range = new BlockRange(this.#blocks, oid, offset, length);
    let cursor = this.#cursors.get(oid);
    const ahead = (range.missingOffset ?? 0) - (cursor?.position ?? 0);
    if (ahead < 0 || ahead > nearBytes) {
      await this.#addToSpool(oid);
      const part = await this.#readSpooled(oid, offset, length);
      if (part !== undefined) return part;
    }
    this.#cursors.delete(oid);
    if (ahead < 0 && cursor !== undefined) {
      await cursor.close();
      cursor = undefined;
    }
    if (cursor === undefined) {
      const content = await this.#open(oid);
      if (content.whole !== undefined) {
        await this.#addToSpool(oid, content);
        return content.whole.subarray(offset, offset + length);
      }
      cursor = new BlobCursor(content);
    }
    return this.#readWith(cursor, oid, range);
  }

  async #readWith(cursor: BlobCursor, oid: Oid, range: BlockRange): Promise<Buffer> {
    try {
      for (;;) {
        const content = range.content();
        if (content !== undefined) {
          this.#cursors.set(oid, cursor);
          return content;
        }
        const { position } = cursor;
        range.offer(position, await cursor.nextBlock());
      }
    } catch (error) {
      closeQuietly(cursor);
      throw error;
    }
  }

  async #readSpooled(oid: Oid, offset: number, length: number): Promise<Buffer | undefined> {
    const blob = this.#spool.get(oid);
    if (blob === undefined) return undefined;
    try {
      return await blob.read(offset, length);
    } catch (error) {
      this.#pauseSpool(error);
      return undefined;
    }
  }

  async #addToSpool(oid: Oid, opened?: BlobContent): Promise<SpooledBlob | undefined> {
    const there = this.#spool.get(oid);
    if (there !== undefined) return there;
    const content = opened ?? (await this.#open(oid));
    try {
      if (this.#spool.takes(content.sizeBytes) && Date.now() >= this.#noSpoolBeforeMs) {
        return await this.#spool.add(oid, content.sizeBytes, closingAfter(content));
      }
    } catch (error) {
      this.#pauseSpool(error);
    }
    await content.close();
    return undefined;
  }

  /** A disk without room makes reads slower, it does not make them fail; a damaged blob does. */
  #pauseSpool(error: unknown): void {
    if (error instanceof CorruptObjectError) throw error;
    this.#noSpoolBeforeMs = Date.now() + spoolPauseMs;
  }

  #inTurn<T>(oid: Oid, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(oid) ?? Promise.resolve();
    const result = before.then(work);
    const turn = result
      .catch(() => undefined)
      .finally(() => {
        if (this.#turns.get(oid) === turn) this.#turns.delete(oid);
      });
    this.#turns.set(oid, turn);
    return result;
  }
}

/** Nobody is left who could do anything about an error. */
function closeQuietly(cursor: BlobCursor): void {
  cursor.close().catch(() => undefined);
}

async function* closingAfter(content: BlobContent): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* content.chunks();
  } finally {
    await content.close();
  }
}
