import { access } from 'node:fs/promises';
import { CorruptObjectError } from '../../errors.ts';
import { isSystemError } from '../system-error.ts';
import { Fault } from './fault.ts';
import {
  closeDescriptor,
  openForReading,
  readAt,
  readAtSync,
  statDescriptor,
} from './file-descriptor.ts';
import type { PageCache } from './page-cache.ts';

/** A file that was there is gone, or another one stands in its place (`git gc` did its work). */
export class FileGoneError extends Error {
  readonly file: PagedFile;

  constructor(file: PagedFile, cause?: unknown) {
    super(`${file.path} is gone`, { cause });
    this.file = file;
  }
}

const readAheadPages = 3;
// What `glance` is for: of a smaller file most pages are asked for again. Some glances take as long as a page.
const leastPagesForGlances = 64;
const mostGlancesOfPage = 16;
const mostGlanceBytes = 8 * 1024;
const glanced = Buffer.allocUnsafeSlow(mostGlanceBytes);

class PageFault extends Fault {
  readonly #file: PagedFile;
  #firstPage = 0;
  #lastPage = 0;

  constructor(file: PagedFile) {
    super('a page is not in memory');
    this.#file = file;
  }

  on(firstPage: number, lastPage: number): this {
    this.#firstPage = firstPage;
    this.#lastPage = lastPage;
    return this;
  }

  override wait(): Promise<void> {
    return this.#file.load(this.#firstPage, this.#lastPage);
  }
}

/**
 * A file that does not change, read through pages in memory. The synchronous methods throw a `Fault`
 * when a page has to be read first (run them in `whenReady` or `ifReady`), unless it is likely in the
 * system's memory (`PageCache.readHere`), and a `CorruptObjectError` beyond the file's end. It is opened
 * at first need; `FileGoneError` comes when it is not there (any more).
 */
export class PagedFile {
  readonly path: string;
  readonly #cache: PageCache;
  readonly #pageSizeBytes: number;
  readonly #firstKey: number;
  // Whoever asks for a page that is being read waits for that read.
  readonly #loading = new Map<number, Promise<Buffer>>();
  // One for all throws, for making an error costs more than what it interrupts: whoever catches it
  // calls `wait` before anything else can run.
  readonly #fault: PageFault;
  #sizeBytes: number | undefined;
  #identity: string | undefined;
  #descriptor: Promise<number> | undefined;
  /** What `#descriptor` gives, when the file is open, and on which device it is. */
  #opened: { readonly descriptor: number; readonly device: number } | undefined;
  /** How many there were of each page. */
  #glances: Uint8Array | undefined;
  #users = 0;
  #releaseWanted = false;
  #closed = false;

  constructor(path: string, cache: PageCache) {
    this.path = path;
    this.#cache = cache;
    this.#pageSizeBytes = cache.pageSizeBytes;
    this.#firstKey = cache.register();
    this.#fault = new PageFault(this);
  }

  /** The size of the file. */
  get sizeBytes(): number {
    if (this.#sizeBytes === undefined) throw this.#fault.on(0, 0);
    return this.#sizeBytes;
  }

  /**
   * The bytes from `offset` on; a view, not to be written to. At most about 1 MiB at a time, for all
   * its pages have to be in memory together.
   */
  slice(offset: number, length: number): Buffer {
    if (offset < 0 || offset + length > this.sizeBytes) throw this.#cutOff(offset + length);
    const index = Math.floor(offset / this.#pageSizeBytes);
    const start = offset - index * this.#pageSizeBytes;
    if (start + length > this.#pageSizeBytes) return this.#gather(index, start, length);
    return this.#page(index).subarray(start, start + length);
  }

  /** The bytes from `offset` to the end of the page that holds it: whatever costs nothing more. */
  sliceToPageEnd(offset: number): Buffer {
    const index = Math.floor(offset / this.#pageSizeBytes);
    if (offset < 0 || offset >= this.sizeBytes) throw this.#cutOff(offset + 1);
    return this.#page(index).subarray(offset - index * this.#pageSizeBytes);
  }

  /**
   * Some bytes (8 KiB at most) of a page that is not in memory, read without the others: a page takes a
   * quarter of a millisecond, most of it for new memory, and of a large file it is not likely to be needed
   * again. `undefined` when it was several times, or for other reasons: then `slice` is the way. The bytes
   * are those of another glance soon.
   */
  glance(offset: number, length: number): Buffer | undefined {
    const pages = Math.ceil(this.sizeBytes / this.#pageSizeBytes);
    if (pages < leastPagesForGlances || length > mostGlanceBytes) return undefined;
    const index = Math.floor(offset / this.#pageSizeBytes);
    this.#glances ??= new Uint8Array(pages);
    const glances = this.#glances[index] ?? mostGlancesOfPage;
    if (glances === mostGlancesOfPage || this.#cache.has(this.#firstKey + index)) return undefined;
    this.#glances[index] = glances + 1;
    const bytes = glanced.subarray(0, length);
    return this.#fillHere(bytes, offset) ? bytes : undefined;
  }

  readUInt32(offset: number): number {
    const start = offset % this.#pageSizeBytes;
    if (offset < 0 || offset + 4 > this.sizeBytes || start + 4 > this.#pageSizeBytes) {
      return this.slice(offset, 4).readUInt32BE(0);
    }
    return this.#page((offset - start) / this.#pageSizeBytes).readUInt32BE(start);
  }

  /** A number of 64 bits; beyond 2^53 it is a `CorruptObjectError`, for no file is as large. */
  readUInt64(offset: number): number {
    const value = this.readUInt32(offset) * 2 ** 32 + this.readUInt32(offset + 4);
    if (Number.isSafeInteger(value)) return value;
    throw new CorruptObjectError(`${this.path} holds an impossible offset at ${offset}`);
  }

  /**
   * Reads past the pages, for sequential reads that would only push them out; fewer bytes than asked
   * come at the end of the file.
   */
  async readDirect(offset: number, length: number): Promise<Buffer> {
    const descriptor = await this.#acquire();
    try {
      const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, this.sizeBytes - offset)));
      return await this.#fill(descriptor, buffer, offset);
    } finally {
      this.#release();
    }
  }

  /** As `readDirect`, into memory that is there; all of `buffer` must be in the file. */
  async readInto(buffer: Buffer, offset: number): Promise<Buffer> {
    const descriptor = await this.#acquire();
    try {
      return await this.#fill(descriptor, buffer, offset);
    } finally {
      this.#release();
    }
  }

  /**
   * Keeps the file open until the function that comes back is called (once): so it can be read to
   * its end though `git gc` removes it meanwhile.
   */
  async hold(): Promise<() => void> {
    await this.#acquire();
    return () => this.#release();
  }

  /** Throws `FileGoneError` when the file does not stand under its name any more. */
  async checkThere(): Promise<void> {
    try {
      await access(this.path);
    } catch (error) {
      throw isSystemError(error, 'ENOENT') ? new FileGoneError(this, error) : error;
    }
  }

  /** Brings pages into memory. */
  async load(firstPage: number, lastPage: number): Promise<void> {
    const loads: Promise<Buffer>[] = [];
    for (let index = firstPage; index <= lastPage; index++) loads.push(this.#loadPage(index));
    this.#readAhead(firstPage, lastPage);
    const pages = await Promise.all(loads);
    // While the last of them was read, the first may have been pushed out again. From here to the
    // run that waits for them no other read can end, so now they are there together.
    if (pages.length > 1) pages.forEach((page, at) => this.#keep(firstPage + at, page));
  }

  /** Lets go of the descriptor, at once or when the reads under way have ended; the next read opens the file again. */
  releaseDescriptor(): void {
    if (this.#descriptor === undefined) return;
    if (this.#users > 0) {
      this.#releaseWanted = true;
      return;
    }
    const descriptor = this.#descriptor;
    this.#descriptor = this.#opened = undefined;
    this.#releaseWanted = false;
    // Nothing can be done about a descriptor that cannot be opened or closed; whoever opened it has the error.
    descriptor.then(closeDescriptor).catch(() => undefined);
  }

  /** Lets go of the file for good; reads that are under way end well, later ones throw `FileGoneError`. */
  close(): void {
    this.#closed = true;
    this.#cache.closed(this);
    this.releaseDescriptor();
  }

  async #fill(descriptor: number, buffer: Buffer, offset: number): Promise<Buffer> {
    const count = await readAt(descriptor, buffer, offset);
    if (count < buffer.length) throw this.#cutOff(offset + buffer.length);
    return buffer;
  }

  #page(index: number): Buffer {
    const page = this.#cache.get(this.#firstKey + index) ?? this.#readHere(index);
    if (page === undefined) throw this.#fault.on(index, index);
    return page;
  }

  /** Reads a page in this thread; `undefined` when it is to be waited for. */
  #readHere(index: number): Buffer | undefined {
    if (this.#opened === undefined || this.#loading.has(index)) return undefined;
    const start = index * this.#pageSizeBytes;
    const page = Buffer.allocUnsafeSlow(Math.min(this.#pageSizeBytes, this.sizeBytes - start));
    if (!this.#fillHere(page, start)) return undefined;
    this.#keep(index, page);
    return page;
  }

  /** Reads in this thread; `false` when whoever needs the bytes has to wait for them. */
  #fillHere(buffer: Buffer, offset: number): boolean {
    if (this.#opened === undefined) return false;
    const { descriptor, device } = this.#opened;
    const pace = this.#cache.takeNextHere(device);
    if (pace === undefined) return false;
    try {
      const count = pace.run(() => readAtSync(descriptor, buffer, offset));
      if (count < buffer.length) return false;
    } catch {
      // Whoever waits for the bytes meets the error again, and a file that is cut off, too.
      return false;
    }
    if (!this.#releaseWanted) this.#cache.opened(this);
    return true;
  }

  #keep(index: number, page: Buffer): void {
    this.#cache.set(this.#firstKey + index, page);
    // When it has been pushed out again, it has to be needed as often once more.
    if (this.#glances !== undefined) this.#glances[index] = 0;
  }

  #gather(firstPage: number, start: number, length: number): Buffer {
    const lastPage = Math.floor(
      (firstPage * this.#pageSizeBytes + start + length - 1) / this.#pageSizeBytes,
    );
    const parts: Buffer[] = [];
    for (let index = firstPage; index <= lastPage; index++) {
      const page = this.#cache.get(this.#firstKey + index) ?? this.#readHere(index);
      if (page === undefined) throw this.#fault.on(firstPage, lastPage);
      parts.push(index === firstPage ? page.subarray(start) : page);
    }
    return Buffer.concat(parts, length);
  }

  /**
   * Whoever was on the page before will want the next ones too; they come while this one is worked
   * on, so that of four waits one remains.
   */
  #readAhead(firstPage: number, lastPage: number): void {
    if (firstPage === 0 || !this.#cache.has(this.#firstKey + firstPage - 1)) return;
    const pages = Math.ceil((this.#sizeBytes ?? 0) / this.#pageSizeBytes);
    const end = Math.min(lastPage + 1 + readAheadPages, pages);
    for (let index = lastPage + 1; index < end; index++) {
      // An error is met again, and told, when the page is really needed.
      this.#loadPage(index).catch(() => undefined);
    }
  }

  #loadPage(index: number): Promise<Buffer> {
    const resident = this.#cache.get(this.#firstKey + index);
    if (resident !== undefined && this.#sizeBytes !== undefined) return Promise.resolve(resident);
    let loading = this.#loading.get(index);
    if (loading === undefined) {
      loading = this.#cache.reads
        .run(this.#pageSizeBytes, () => this.#readPage(index))
        .finally(() => this.#loading.delete(index));
      this.#loading.set(index, loading);
    }
    return loading;
  }

  async #readPage(index: number): Promise<Buffer> {
    const page = await this.readDirect(index * this.#pageSizeBytes, this.#pageSizeBytes);
    this.#keep(index, page);
    return page;
  }

  async #acquire(): Promise<number> {
    if (this.#closed && this.#users === 0) throw new FileGoneError(this);
    this.#users += 1;
    this.#releaseWanted = this.#closed;
    try {
      this.#descriptor ??= this.#open();
      const descriptor = await this.#descriptor;
      if (!this.#releaseWanted) this.#cache.opened(this);
      return descriptor;
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  #release(): void {
    this.#users -= 1;
    if (this.#releaseWanted) this.releaseDescriptor();
  }

  async #open(): Promise<number> {
    try {
      const descriptor = await openForReading(this.path);
      try {
        await this.#identify(descriptor);
        return descriptor;
      } catch (error) {
        await closeDescriptor(descriptor);
        throw error;
      }
    } catch (error) {
      this.#descriptor = undefined;
      const isGone = isSystemError(error, 'ENOENT') || isSystemError(error, 'ESTALE');
      throw isGone ? new FileGoneError(this, error) : error;
    }
  }

  /** Pages of two files must not be mixed: what is opened again has to be what was opened before. */
  async #identify(descriptor: number): Promise<void> {
    const { dev, ino, size } = await statDescriptor(descriptor);
    const identity = `${dev}:${ino}:${size}`;
    if (this.#identity !== undefined && this.#identity !== identity) throw new FileGoneError(this);
    this.#identity = identity;
    this.#sizeBytes = size;
    this.#opened = { descriptor, device: dev };
  }

  #cutOff(neededBytes: number): CorruptObjectError {
    return new CorruptObjectError(
      `${this.path} is cut off: it has ${this.#sizeBytes ?? 0} bytes, and should have ${neededBytes} at least`,
    );
  }
}
