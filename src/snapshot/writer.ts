import { PassThrough, addAbortSignal } from 'node:stream';
import { InvalidArgumentError, WriterClosedError } from '../errors.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import type { Oid } from '../git/oid.ts';
import { copyOfBytes } from './content.ts';
import type { FS } from './fs.ts';
import { encodeText } from './text-encoding.ts';

/** What a writer is opened for: bytes or text. Both take either; a text is stored as UTF-8. */
export type WriterMode = 'wb' | 'w';

/** Throws an `InvalidArgumentError` unless a writer can be opened with this mode. */
export function checkWriterMode(mode: string): void {
  if (mode === 'wb' || mode === 'w') return;
  throw new InvalidArgumentError(`not a mode of a writer: ${JSON.stringify(mode)} ("wb" or "w")`);
}

/** Content that is staged while it comes in. */
class StreamedBlob {
  readonly #chunks = new PassThrough();
  readonly #oid: Promise<Oid>;

  constructor(staging: StagingArea) {
    // What becomes of it is told by what staging says.
    this.#chunks.on('error', () => undefined);
    addAbortSignal(staging.ending, this.#chunks);
    this.#oid = staging.writeStream('blob', undefined, this.#chunks).catch((error: unknown) => {
      staging.ending.throwIfAborted();
      throw error;
    });
    // Failures are reported by whoever waits next; until then nobody does.
    this.#oid.catch(() => undefined);
  }

  /** Resolves when there is room for more. */
  async write(chunk: Buffer): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#chunks.write(chunk, (error) => {
          if (error) reject(error);
          else resolve();
        });
      });
    } catch (error) {
      // The stream ends early when staging fails, and only staging knows why.
      await this.#oid;
      throw error;
    }
  }

  finish(): Promise<Oid> {
    this.#chunks.end();
    return this.#oid;
  }

  async abort(): Promise<void> {
    this.#chunks.destroy(new Error('the writer was discarded'));
    await this.#oid.catch(() => undefined);
  }
}

/** Where the content of a writer goes once it is complete. */
export interface WriterTarget<Result> {
  /** Asked for at the first byte, or at the close of an empty file. */
  staging(): StagingArea;
  /** Called when the writer is closed, with the complete content as soon as it is stored. */
  finish(blob: Promise<Oid>): Promise<Result>;
  /** Called when the writer is done with, after `finish` or without it. */
  release(): Promise<void>;
}

/** What both kinds of writer are: a file whose content comes in pieces. */
abstract class ContentWriter<Result> {
  readonly #target: WriterTarget<Result>;
  #blob: StreamedBlob | undefined;
  #result: Promise<Result> | undefined;

  /** @internal */
  constructor(target: WriterTarget<Result>) {
    this.#target = target;
  }

  /** Whether no more can be written. */
  get closed(): boolean {
    return this.#result !== undefined;
  }

  /**
   * Adds bytes, or a text as UTF-8. Pieces keep their order whether each is awaited or not; the
   * promise tells when there is room for more, so that memory stays bounded. The data is copied. A
   * failure is reported again by `close`. Throws at once after `close`.
   */
  write(data: Uint8Array | string): Promise<void> {
    if (this.closed) throw new WriterClosedError('the writer is closed');
    const chunk = typeof data === 'string' ? encodeText(data) : copyOfBytes(data);
    const written = this.#open().write(chunk);
    // Who does not await a write hears of its failure at the close.
    written.catch(() => undefined);
    return written;
  }

  protected complete(): Promise<Result> {
    this.#result ??= this.#finish();
    return this.#result;
  }

  /** Gives up what was written, unless the writer was closed before. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.closed) return;
    const result = Promise.reject<Result>(new WriterClosedError('the writer was discarded'));
    result.catch(() => undefined);
    this.#result = result;
    await this.#blob?.abort();
    await this.#target.release();
  }

  #open(): StreamedBlob {
    return (this.#blob ??= new StreamedBlob(this.#target.staging()));
  }

  async #finish(): Promise<Result> {
    try {
      return await this.#target.finish(this.#open().finish());
    } finally {
      await this.#target.release();
    }
  }
}

/** A file being written to a branch; `close` commits it. */
export class FsWriter extends ContentWriter<FS> {
  #fs: FS | null = null;

  /** The snapshot that `close` led to; `null` before. */
  get fs(): FS | null {
    return this.#fs;
  }

  /** Commits the file, with the errors of `FS.write`. Closing again does nothing. */
  async close(): Promise<void> {
    this.#fs = await this.complete();
  }
}

/** A file being written to a batch; `close` stages it. */
export class BatchWriter extends ContentWriter<void> {
  /** Stages the file, with the errors of `Batch.write`. Closing again does nothing. */
  async close(): Promise<void> {
    await this.complete();
  }
}
