import { LRUCache } from 'lru-cache';
import { CorruptObjectError } from '../../errors.ts';
import type { Oid } from '../oid.ts';
import { BlobCursor, BlockRange, blobBlockSizeBytes } from './blob-cursor.ts';
import type { BlobContent } from './blob-content.ts';
import { CountedCache } from './counted-cache.ts';
import type { CacheCounts } from './counted-cache.ts';
import type { BlobSpool, SpooledBlob } from './blob-spool.ts';

/** A blob, with the size that its header tells. */
export interface BlobId {
  readonly oid: Oid;
  readonly sizeBytes: number;
}

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
  readonly #blocks: CountedCache<string, Buffer>;
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
    this.#blocks = new CountedCache({
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

  /**
   * A part of a blob, not empty and within the blob. What comes from the spool is put into memory that
   * is lent; other bytes are shared, and not to be written to.
   */
  async read(blob: BlobId, offset: number, length: number, lend?: () => Buffer): Promise<Buffer> {
    return (
      (await this.#readSpooled(blob.oid, offset, length, lend)) ??
      this.#readCached(blob.oid, offset, length) ??
      this.#inTurn(blob.oid, () => this.#readInTurn(blob, offset, length))
    );
  }

  /** How useful the cache of blocks is. */
  counts(): CacheCounts {
    return this.#blocks.counts('blob-blocks');
  }

  /** Lets go of the files behind the cursors, which may be gone from the repository. */
  closeCursors(): void {
    for (const cursor of this.#cursors.values()) closeQuietly(cursor);
    this.#cursors.clear();
  }

  async #readInTurn(blob: BlobId, offset: number, length: number): Promise<Buffer> {
    const { oid } = blob;
    // Whoever had the turn before may have brought what is needed here.
    const spooled = await this.#readSpooled(oid, offset, length);
    if (spooled !== undefined) return spooled;
    const range = new BlockRange(this.#blocks, oid, offset, length);
    const { missingOffset } = range;
    if (missingOffset === undefined) return range.content();
    const cursor = this.#cursors.get(oid);
    const ahead = missingOffset - (cursor?.position ?? 0);
    if (ahead < 0 || ahead > nearBytes) {
      await this.#addToSpool(blob);
      const part = await this.#readSpooled(oid, offset, length);
      if (part !== undefined) return part;
    }
    return this.#readOn(blob, range, missingOffset);
  }

  /** Goes on from where the last read ended, or starts again when that is too far. */
  async #readOn(blob: BlobId, range: BlockRange, missingOffset: number): Promise<Buffer> {
    const { oid } = blob;
    let cursor = this.#cursors.get(oid);
    // Taken out, so that nobody closes it for room or because its pack is gone.
    this.#cursors.delete(oid);
    try {
      if (cursor !== undefined && cursor.position > missingOffset) {
        await cursor.close();
        cursor = undefined;
      }
      if (cursor === undefined) {
        const content = await this.#open(oid);
        if (content.whole !== undefined) {
          await this.#addToSpool(blob, content);
          return range.of(content.whole);
        }
        cursor = new BlobCursor(content);
      }
      while (range.missingOffset !== undefined) {
        const { position } = cursor;
        range.offer(position, await cursor.nextBlock());
      }
      this.#cursors.set(oid, cursor);
      return range.content();
    } catch (error) {
      if (cursor !== undefined) closeQuietly(cursor);
      throw error;
    }
  }

  #readCached(oid: Oid, offset: number, length: number): Buffer | undefined {
    const range = new BlockRange(this.#blocks, oid, offset, length);
    return range.missingOffset === undefined ? range.content() : undefined;
  }

  async #readSpooled(
    oid: Oid,
    offset: number,
    length: number,
    lend?: () => Buffer,
  ): Promise<Buffer | undefined> {
    const blob = this.#spool.get(oid);
    if (blob === undefined) return undefined;
    try {
      return await blob.read(offset, length, lend);
    } catch (error) {
      this.#pauseSpool(error);
      return undefined;
    }
  }

  async #addToSpool(blob: BlobId, opened?: BlobContent): Promise<SpooledBlob | undefined> {
    const { oid, sizeBytes } = blob;
    const there = this.#spool.get(oid);
    if (there !== undefined) return there;
    if (!this.#spool.takes(sizeBytes) || Date.now() < this.#noSpoolBeforeMs) return undefined;
    const content = opened ?? (await this.#open(oid));
    try {
      const spooled = await this.#spool.add(oid, sizeBytes, closingAfter(content));
      this.#closeCursor(oid);
      return spooled;
    } catch (error) {
      await content.close();
      this.#pauseSpool(error);
      return undefined;
    }
  }

  #closeCursor(oid: Oid): void {
    const cursor = this.#cursors.get(oid);
    this.#cursors.delete(oid);
    if (cursor !== undefined) closeQuietly(cursor);
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
