import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { CorruptObjectError } from '../../errors.ts';
import type { Oid } from '../oid.ts';
import { readFully, writeFully } from '../read-write-fully.ts';
import { ByteBudget } from './byte-budget.ts';

/** How much may be on its way from the disk at a time: more waits for a thread with its memory in hand. */
const mostReadBytes = 8 * 1024 * 1024;

/** How a spool is bounded, and where it may be. */
export interface BlobSpoolOptions {
  /** Where its files may be; the first directory that takes one has it. */
  readonly directories: readonly string[];
  readonly maxSizeBytes: number;
}

/**
 * Big blobs inflated to disk, so that each read costs what it reads and not what stands before it.
 * The files have no name: whatever ends the process, the disk has its room back. The sizes together
 * stay below the bound; a blob that nobody has read for the longest time makes way.
 */
export class BlobSpool {
  readonly #directories: readonly string[];
  readonly #blobs: LRUCache<Oid, SpooledBlob>;
  readonly #maxSizeBytes: number;
  readonly #reads = new ByteBudget(mostReadBytes);

  constructor({ directories, maxSizeBytes }: BlobSpoolOptions) {
    this.#directories = directories;
    this.#maxSizeBytes = maxSizeBytes;
    this.#blobs = new LRUCache({
      maxSize: Math.max(1, maxSizeBytes),
      sizeCalculation: ({ sizeBytes }) => Math.max(1, sizeBytes),
      dispose: (blob) => blob.abandon(),
    });
  }

  /** Tells whether a blob of this size may be put here. */
  takes(sizeBytes: number): boolean {
    return sizeBytes <= this.#maxSizeBytes;
  }

  /** A blob that is here, or on its way. */
  get(oid: Oid): SpooledBlob | undefined {
    return this.#blobs.get(oid);
  }

  /**
   * Begins to write a blob, which can be read at once: reads wait for the part that they need. Errors
   * of the disk, here or later in the reads, come as they are; then the blob is not here any more.
   */
  async add(oid: Oid, sizeBytes: number, chunks: AsyncIterable<Buffer>): Promise<SpooledBlob> {
    const blob = new SpooledBlob(await this.#createFile(), sizeBytes, this.#reads);
    this.#blobs.set(oid, blob);
    blob.fill(chunks).catch(() => {
      // Whoever reads it is told why.
      if (this.#blobs.peek(oid) === blob) this.#blobs.delete(oid);
    });
    return blob;
  }

  /** Lets go of everything. */
  close(): void {
    this.#blobs.clear();
  }

  async #createFile(): Promise<FileHandle> {
    let failure: unknown;
    for (const directory of this.#directories) {
      try {
        return await createUnnamed(directory);
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }
}

/** A blob in the spool. */
export class SpooledBlob {
  readonly sizeBytes: number;
  readonly #file: FileHandle;
  readonly #reads: ByteBudget;
  #filledBytes = 0;
  #isWhole = false;
  #failure: { readonly reason: unknown } | undefined;
  #onProgress: (() => void)[] = [];
  // Those that read and the one that writes; the file is closed after the last of them.
  #users = 0;
  #isAbandoned = false;

  /** `reads` bounds the reads of all blobs of the spool. */
  constructor(file: FileHandle, sizeBytes: number, reads: ByteBudget) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.#reads = reads;
  }

  /** The file, once all of the content is in it and was found to be right; it may be closed later. */
  get wholeFile(): number | undefined {
    return this.#isWhole ? this.#file.fd : undefined;
  }

  /** Reads a part, as soon as it is there, into lent memory when there is some; shorter where the blob ends. */
  async read(offset: number, length: number, lend?: () => Buffer): Promise<Buffer> {
    const end = Math.min(offset + length, this.sizeBytes);
    this.#users += 1;
    try {
      await this.#filled(end);
      return await this.#reads.run(end - offset, () =>
        readFully(this.#file, offset, end - offset, lend?.()),
      );
    } finally {
      this.#leave();
    }
  }

  /** Takes in the content; for the spool alone. */
  async fill(chunks: AsyncIterable<Buffer>): Promise<void> {
    this.#users += 1;
    try {
      for await (const chunk of chunks) {
        await writeFully(this.#file, chunk, this.#filledBytes);
        this.#filledBytes += chunk.length;
        this.#wake();
        // Nobody waits for the rest.
        if (this.#isAbandoned && this.#users === 1) return;
      }
      if (this.#filledBytes < this.sizeBytes) {
        throw new CorruptObjectError(`a blob has ${this.#filledBytes} of ${this.sizeBytes} bytes`);
      }
      this.#isWhole = true;
    } catch (reason) {
      this.#failure = { reason };
      throw reason;
    } finally {
      this.#wake();
      this.#leave();
    }
  }

  /** Closes the file when nobody uses it any more. */
  abandon(): void {
    this.#isAbandoned = true;
    if (this.#users === 0) this.#close();
  }

  #leave(): void {
    this.#users -= 1;
    if (this.#users === 0 && this.#isAbandoned) this.#close();
  }

  #close(): void {
    // Nothing in the file is needed any more, so no error can lose anything.
    this.#file.close().catch(() => undefined);
  }

  #wake(): void {
    const waiting = this.#onProgress;
    this.#onProgress = [];
    for (const wake of waiting) wake();
  }

  async #filled(bytes: number): Promise<void> {
    while (this.#filledBytes < bytes) {
      if (this.#failure !== undefined) throw this.#failure.reason;
      await new Promise<void>((resolve) => this.#onProgress.push(resolve));
    }
  }
}

async function createUnnamed(directory: string): Promise<FileHandle> {
  const name = `tmp_blob_vost_${process.pid}_${randomBytes(6).toString('hex')}`;
  const path = join(directory, name);
  const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await unlink(path);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
