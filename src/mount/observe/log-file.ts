import { write as writeFd } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { LogTarget } from './log.ts';

const writeAsync = promisify(writeFd);

/** Lines that wait for a slow disk or pipe; what comes beyond that is counted and left out. */
const queueLimitBytes = 1024 * 1024;
/** A pipe that somebody else made non-blocking says EAGAIN while it is full. */
const fullPipeWaitMs = 20;

/**
 * A file (or the standard error) that takes lines without ever holding up the caller: they wait in
 * a bounded queue, and one write is under way at a time. Nothing is written by `process.exit`, so
 * `close` must be awaited before.
 */
export class LogFile implements LogTarget {
  readonly #fd: number;
  readonly #handle: FileHandle | undefined;
  #queue: string[] = [];
  #queuedBytes = 0;
  #lostLines = 0;
  #writing: Promise<void> | undefined;

  private constructor(fd: number, handle?: FileHandle) {
    this.#fd = fd;
    this.#handle = handle;
  }

  /** Appends to a file, which is created when missing, for its owner to read. */
  static async open(path: string): Promise<LogFile> {
    const handle = await open(path, 'a', 0o600);
    return new LogFile(handle.fd, handle);
  }

  static standardError(): LogFile {
    return new LogFile(2);
  }

  write(line: string): void {
    if (this.#queuedBytes + line.length > queueLimitBytes) {
      this.#lostLines += 1;
      return;
    }
    this.#queue.push(line);
    this.#queuedBytes += line.length;
    this.#writing ??= this.#drain();
  }

  /** Waits for what is queued, then closes the file. */
  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    await this.#handle?.close();
  }

  async #drain(): Promise<void> {
    // Lines of one turn of the event loop go out as one write.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const lines = this.#queue;
      this.#queue = [];
      this.#queuedBytes = 0;
      if (!(await this.#append(Buffer.from(lines.join(''))))) this.#lostLines += lines.length;
      else this.#noteLostLines();
    }
    this.#writing = undefined;
  }

  #noteLostLines(): void {
    if (this.#lostLines === 0) return;
    const note = `${new Date().toISOString()} warn log-lines-lost count=${this.#lostLines}\n`;
    this.#lostLines = 0;
    this.#queue.push(note);
    this.#queuedBytes += note.length;
  }

  /** False when the file takes no more (its disk is full, its reader is gone): there is nobody to tell. */
  async #append(bytes: Buffer): Promise<boolean> {
    for (let done = 0; done < bytes.length;) {
      try {
        done += (await writeAsync(this.#fd, bytes, done)).bytesWritten;
      } catch (error) {
        if (!isFullPipe(error)) return false;
        await sleep(fullPipeWaitMs);
      }
    }
    return true;
  }
}

function isFullPipe(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}
