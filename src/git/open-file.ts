import {
  close,
  closeSync,
  fstatSync,
  fsync,
  ftruncate,
  read,
  readSync,
  write,
  writeSync,
  writev,
  writevSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import type { ThreadPace } from './thread-pace.ts';

const closeAsync = promisify(close);
const fsyncAsync = promisify(fsync);
const ftruncateAsync = promisify(ftruncate);
const readAsync = promisify(read);
const writeAsync = promisify(write);
const writevAsync = promisify(writev);

// So much is copied into the system's memory in less time than another thread takes to do it.
const mostBytesInThisThread = 256 * 1024;
// As a rule what is read was written a moment ago; if not, it has to be fetched, and more of it takes longer.
const mostBytesReadInThisThread = 4096;

/**
 * An open file, as `FileHandle` of Node is one; but that cannot be opened and closed in this thread.
 * After `close` every call fails.
 */
export class OpenFile {
  readonly #pace: ThreadPace | undefined;
  #fd: number;
  // Calls in other threads; the descriptor must not be closed under them, for its number is given away
  // again at once.
  #calls = 0;
  #onIdle: (() => void) | undefined;

  /** Made by `Disk.open`. */
  constructor(fd: number, pace: ThreadPace | undefined) {
    this.#fd = fd;
    this.#pace = pace;
  }

  /** The descriptor; -1 after `close`. */
  get fd(): number {
    return this.#fd;
  }

  /** One write; the system may take fewer bytes than there are. */
  async write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<{ readonly bytesWritten: number }> {
    if (length <= mostBytesInThisThread && this.#pace?.takeNext() === true) {
      const bytesWritten = this.#pace.run(() =>
        writeSync(this.#fd, bytes, offset, length, position),
      );
      return { bytesWritten };
    }
    return this.#elsewhere(() => writeAsync(this.#fd, bytes, offset, length, position));
  }

  /** `writev` in this thread, which gives how many bytes were written; `undefined` where that is not the way. */
  writevHere(parts: readonly Uint8Array[], position: number): number | undefined {
    const sizeBytes = parts.reduce((sum, { length }) => sum + length, 0);
    if (sizeBytes > mostBytesInThisThread || this.#pace?.takeNext() !== true) return undefined;
    return this.#pace.run(() => writevSync(this.#fd, parts, position));
  }

  /** One write of several parts. */
  async writev(
    parts: readonly Uint8Array[],
    position: number,
  ): Promise<{ readonly bytesWritten: number }> {
    const bytesWritten = this.writevHere(parts, position);
    if (bytesWritten !== undefined) return { bytesWritten };
    return this.#elsewhere(() => writevAsync(this.#fd, [...parts], position));
  }

  /** One read. */
  async read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }> {
    if (length <= mostBytesReadInThisThread && this.#pace?.takeNext() === true) {
      const bytesRead = this.#pace.run(() => readSync(this.#fd, buffer, offset, length, position));
      return { bytesRead };
    }
    return this.#elsewhere(() => readAsync(this.#fd, buffer, offset, length, position));
  }

  /** Of an open file the system knows it without a look at the disk. */
  stat(): BigIntStats {
    return fstatSync(this.#fd, { bigint: true });
  }

  /** Makes what was written survive a power cut; for a directory, the names in it. */
  sync(): Promise<void> {
    return this.#elsewhere(() => fsyncAsync(this.#fd));
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#elsewhere(() => ftruncateAsync(this.#fd, sizeBytes));
  }

  /** Waits for the calls that are under way. A second time it does nothing. */
  async close(): Promise<void> {
    const fd = this.#fd;
    if (fd === -1) return;
    this.#fd = -1;
    if (this.#calls > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    if (this.#pace?.takeNext() === true) this.#pace.run(() => closeSync(fd));
    else await closeAsync(fd);
  }

  /** Closes it when this thread has nothing else to do; a file that was only read, or synced, loses nothing. */
  closeSoon(): void {
    setImmediate(() => {
      this.close().catch(() => undefined);
    });
  }

  async #elsewhere<Result>(call: () => Promise<Result>): Promise<Result> {
    this.#calls += 1;
    try {
      return await call();
    } finally {
      this.#calls -= 1;
      if (this.#calls === 0) this.#onIdle?.();
    }
  }
}
