import type { Oid } from '../../git/oid.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { MaybePromise } from '../vfs/operations.ts';
import type { StoredContent } from '../vfs/vnode.ts';
import { BlobPieces } from './blob-pieces.ts';
import { MemoryStore } from './memory-store.ts';
import { PageMap, pageSizeBytes } from './page-map.ts';
import { SpoolFile } from './spool-file.ts';
import type { SpoolDirectory, SpoolMemory } from './spool-file.ts';
import { Turns } from './turns.ts';

/** Reads parts of stored blobs. */
export interface BlobReader {
  readRange(blob: StoredContent, offset: number, lengthBytes: number): MaybePromise<Buffer>;
}

/** What all write buffers of a mount share. */
export interface WriteBufferSetting extends SpoolMemory {
  readonly blobs: BlobReader;
  readonly spool: SpoolDirectory;
  /** A file that reaches beyond this size waits on disk, not in memory. */
  readonly memoryFileBytes: number;
  /** Beyond this size a change is EFBIG. */
  readonly maxFileSizeBytes: number;
}

/** What a buffer holds: a stored blob unchanged, some bytes in memory, or more than belongs there. */
export type BufferContent =
  | { readonly kind: 'stored'; readonly oid: Oid }
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'stream'; readonly chunks: () => AsyncIterable<Uint8Array> };

const chunkSizeBytes = 1024 * 1024;
const zeros = Buffer.alloc(chunkSizeBytes);

/**
 * The content of a file that is being written, in two layers of 4 KiB pages. A page in the map is
 * in the store (memory, or a spool file), whole; any other page is made of pieces of stored blobs,
 * and zeros (a hole) where there is none. So writing into a big stored file costs the pages written.
 *
 * Invariants: what the store holds of a mapped page beyond the end of the file is zero; no mapped
 * page and no piece begins beyond it; a page enters the map with its write, complete.
 *
 * Changes are made one after another (`Turns`): one may have to read the rest of a page, or move
 * everything to disk, before it can begin, and `hold` keeps them all out while the content is being
 * hashed. Reads wait for nobody. They may overlap a change, as read(2) may overlap write(2), and
 * see each page either before it or after: the map changes after the store, in one step.
 */
export class WriteBuffer {
  readonly #setting: WriteBufferSetting;
  readonly #turns = new Turns();
  readonly #pages = new PageMap();
  #pieces: BlobPieces;
  #store: MemoryStore | SpoolFile;
  #sizeBytes: number;
  #version = 0;

  constructor(setting: WriteBufferSetting, stored: StoredContent | undefined) {
    this.#setting = setting;
    this.#store = new MemoryStore(setting.memory, setting.memoryFileBytes);
    this.#pieces = stored === undefined ? new BlobPieces() : BlobPieces.whole(stored);
    this.#sizeBytes = stored?.sizeBytes ?? 0;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** How much of the file is no hole. */
  get allocatedBytes(): number {
    return this.#pages.count * pageSizeBytes + this.#pieces.totalBytes;
  }

  /** Grows with each change. */
  get version(): number {
    return this.#version;
  }

  /** Gives bytes of its own, or in lent memory: what comes later does not change them. */
  read(offset: number, lengthBytes: number, lend?: () => Buffer): MaybePromise<Buffer> {
    const end = Math.min(offset + lengthBytes, this.#sizeBytes);
    if (end <= offset) return Buffer.alloc(0);
    if (this.#store instanceof MemoryStore && this.#isMapped(offset, end)) {
      return Buffer.from(this.#store.view(offset, end));
    }
    const length = end - offset;
    const target = lend?.().subarray(0, length) ?? Buffer.allocUnsafe(length);
    return whenReady(this.#fill(target, offset), () => target);
  }

  /** Done before it returns when it needs no disk; else `data` is copied first. */
  write(offset: number, data: Buffer): MaybePromise<void> {
    this.#checkSize(offset + data.length);
    if (data.length === 0) return;
    const own = this.#untilItsTurn(data);
    return this.#turns.take(() => this.#write(offset, own));
  }

  /** As `write`, where the file ends when it is the turn of this; gives the offset of that. */
  writeAtEnd(data: Buffer): MaybePromise<number> {
    const own = this.#untilItsTurn(data);
    return this.#turns.take(() => {
      const offset = this.#sizeBytes;
      this.#checkSize(offset + own.length);
      if (own.length === 0) return offset;
      return whenReady(this.#write(offset, own), () => offset);
    });
  }

  truncate(size: number): MaybePromise<void> {
    this.#checkSize(size);
    return this.#turns.take(() => {
      const isShorter = size < this.#sizeBytes;
      return whenReady(isShorter ? this.#store.truncate(size) : undefined, () => {
        this.#pieces.cut(size, Infinity);
        this.#pages.clear(Math.ceil(size / pageSizeBytes), Infinity);
        this.#sizeBytes = size;
        this.#version += 1;
      });
    });
  }

  /** Makes the file at least so big. */
  extend(size: number): MaybePromise<void> {
    this.#checkSize(size);
    return this.#turns.take(() => {
      if (size <= this.#sizeBytes) return;
      this.#version += 1;
      this.#sizeBytes = size;
    });
  }

  /** Makes a range read as zeros and take no room; the size stays. */
  punch(offset: number, lengthBytes: number): MaybePromise<void> {
    return this.#turns.take(() => this.#punch(offset, offset + lengthBytes));
  }

  /**
   * Puts a part of a stored blob behind the end of the file without moving a byte; false when it
   * cannot stand there.
   */
  append(
    source: StoredContent,
    blobOffset: number,
    offset: number,
    lengthBytes: number,
  ): MaybePromise<boolean> {
    this.#checkSize(offset + lengthBytes);
    return this.#turns.take(() => {
      if (offset < this.#sizeBytes || offset % pageSizeBytes !== 0) return false;
      const end = offset + lengthBytes;
      if (!this.#pieces.append({ start: offset, end, blob: source, blobOffset })) return false;
      this.#version += 1;
      this.#sizeBytes = end;
      return true;
    });
  }

  /** Where the first data from `offset` on stands; `undefined` when only a hole follows. */
  nextData(offset: number): number | undefined {
    const pageEnd = Math.ceil(this.#sizeBytes / pageSizeBytes);
    const page = this.#pages.nextSet(Math.floor(offset / pageSizeBytes), pageEnd);
    const mapped = page < pageEnd ? Math.max(offset, page * pageSizeBytes) : Infinity;
    const piece = Math.max(offset, this.#pieces.at(offset)?.start ?? Infinity);
    const found = Math.min(mapped, piece);
    return found < this.#sizeBytes ? found : undefined;
  }

  /** Where the first hole from `offset` on begins; the end of the file counts as one. */
  nextHole(offset: number): number {
    let position = offset;
    while (position < this.#sizeBytes) {
      const page = Math.floor(position / pageSizeBytes);
      if (this.#pages.has(page)) {
        const pageEnd = Math.ceil(this.#sizeBytes / pageSizeBytes);
        position = this.#pages.nextClear(page, pageEnd) * pageSizeBytes;
        continue;
      }
      const piece = this.#pieces.at(position);
      if (piece === undefined || piece.start > position) return position;
      position = Math.min(piece.end, (page + 1) * pageSizeBytes);
    }
    return this.#sizeBytes;
  }

  /** Runs the work on the content as it is, and keeps changes waiting until it has ended. */
  hold<T>(work: (content: BufferContent) => MaybePromise<T>): MaybePromise<T> {
    return this.#turns.take(() => whenReady(this.#content(), work));
  }

  /** Waits for everything that was asked for before. */
  turn(): MaybePromise<void> {
    return this.#turns.take(() => undefined);
  }

  /** Lets go of memory and disk. Nothing may be asked of the buffer any more. */
  close(): MaybePromise<void> {
    return this.#turns.take(() => this.#store.close());
  }

  /** Data that is only lent, as it can be kept until everything before it is done. */
  #untilItsTurn(data: Buffer): Buffer {
    return this.#turns.free ? data : Buffer.from(data);
  }

  #checkSize(size: number): void {
    if (size > this.#setting.maxFileSizeBytes) throw new ErrnoError('EFBIG');
  }

  #content(): MaybePromise<BufferContent> {
    const oid = this.#pages.count === 0 ? this.#pieces.wholeBlob(this.#sizeBytes) : undefined;
    if (oid !== undefined) return { kind: 'stored', oid };
    if (this.#sizeBytes > this.#setting.memoryFileBytes) {
      return { kind: 'stream', chunks: () => this.#chunks() };
    }
    if (this.#store instanceof MemoryStore && this.#isMapped(0, this.#sizeBytes)) {
      return { kind: 'bytes', bytes: this.#store.view(0, this.#sizeBytes) };
    }
    return whenReady(this.read(0, this.#sizeBytes), (bytes) => ({ kind: 'bytes', bytes }));
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    const size = this.#sizeBytes;
    // Used again and again: whoever takes them is done with one when he asks for the next.
    const buffers: Buffer[] = [];
    const fill = (offset: number): MaybePromise<Buffer> => {
      const length = Math.min(chunkSizeBytes, size - offset);
      const isHole = (this.nextData(offset) ?? size) >= offset + length;
      if (isHole) return zeros.subarray(0, length);
      const index = (offset / chunkSizeBytes) % 2;
      buffers[index] ??= Buffer.allocUnsafeSlow(chunkSizeBytes);
      const part = buffers[index].subarray(0, length);
      const filled = whenReady(this.#fill(part, offset), () => part);
      // Whoever stops early leaves one behind.
      if (filled instanceof Promise) filled.catch(() => undefined);
      return filled;
    };
    let next = size > 0 ? fill(0) : undefined;
    for (let offset = chunkSizeBytes; next !== undefined; offset += chunkSizeBytes) {
      const chunk: Buffer = await next;
      // The next one is read while this one is worked on.
      next = offset < size ? fill(offset) : undefined;
      yield chunk;
    }
  }

  #isMapped(start: number, end: number): boolean {
    const endPage = Math.ceil(end / pageSizeBytes);
    return this.#pages.nextClear(Math.floor(start / pageSizeBytes), endPage) === endPage;
  }

  /** Goes through a range in runs that are in the store, and runs that are not. */
  #forEachRun(
    start: number,
    end: number,
    visit: (start: number, end: number, isMapped: boolean) => void,
  ): void {
    const endPage = Math.ceil(end / pageSizeBytes);
    for (let position = start; position < end;) {
      const page = Math.floor(position / pageSizeBytes);
      const isMapped = this.#pages.has(page);
      const stopPage = isMapped
        ? this.#pages.nextClear(page, endPage)
        : this.#pages.nextSet(page, endPage);
      const stop = Math.min(end, stopPage * pageSizeBytes);
      visit(position, stop, isMapped);
      position = stop;
    }
  }

  /** Fills the target with what stands there. */
  #fill(target: Buffer, offset: number): MaybePromise<void> {
    const waits: Promise<unknown>[] = [];
    this.#forEachRun(offset, offset + target.length, (start, stop, isMapped) => {
      const part = target.subarray(start - offset, stop - offset);
      const read = isMapped ? this.#store.readInto(part, start) : this.#readPieces(part, start);
      if (read instanceof Promise) waits.push(read);
    });
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  /** Fills the target with what pieces say stands there, and zeros. */
  #readPieces(target: Buffer, offset: number): MaybePromise<void> {
    target.fill(0);
    const waits: Promise<unknown>[] = [];
    for (const piece of this.#pieces.within(offset, offset + target.length)) {
      const { start, end, blob, blobOffset } = piece;
      const copied = whenReady(
        this.#setting.blobs.readRange(blob, blobOffset, end - start),
        (bytes) => void bytes.copy(target, start - offset),
      );
      if (copied instanceof Promise) waits.push(copied);
    }
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  #write(offset: number, data: Uint8Array): MaybePromise<void> {
    const end = offset + data.length;
    const firstPage = Math.floor(offset / pageSizeBytes);
    const endPage = Math.ceil(end / pageSizeBytes);
    const head = this.#restOfPage(firstPage * pageSizeBytes, offset);
    const tail = this.#restOfPage(end, endPage * pageSizeBytes);
    const store = this.#store;
    const isQuick = !(head instanceof Promise) && !(tail instanceof Promise);
    if (isQuick && store instanceof MemoryStore && store.reserve(endPage * pageSizeBytes)) {
      if (head !== undefined) store.write(offset - head.length, head);
      store.write(offset, data);
      if (tail !== undefined) store.write(end, tail);
      this.#mapped(firstPage, endPage, end);
      return;
    }
    if (isQuick && store instanceof SpoolFile) {
      const parts = [head, data, tail].filter((part) => part !== undefined);
      if (store.accept(offset - (head?.length ?? 0), parts)) {
        this.#mapped(firstPage, endPage, end);
        return;
      }
    }
    const copies = this.#setting.copies;
    const own = copies.take(data.length);
    own.set(data);
    return this.#writeSlowly(offset, own, head, tail).finally(() => {
      copies.give(own);
    });
  }

  async #writeSlowly(
    offset: number,
    data: Buffer,
    head: MaybePromise<Buffer | undefined>,
    tail: MaybePromise<Buffer | undefined>,
  ): Promise<void> {
    const [before, after] = await Promise.all([head, tail]);
    const start = offset - (before?.length ?? 0);
    const parts = [before, data, after].filter((part) => part !== undefined);
    const bytes = parts.length === 1 ? data : Buffer.concat(parts);
    const end = offset + data.length;
    const endPage = Math.ceil(end / pageSizeBytes);
    const store = this.#store;
    if (store instanceof MemoryStore && store.reserve(endPage * pageSizeBytes)) {
      store.write(start, bytes);
    } else {
      const spool = store instanceof MemoryStore ? await this.#moveToDisk(store) : store;
      await spool.write(start, bytes);
    }
    this.#mapped(Math.floor(offset / pageSizeBytes), endPage, end);
  }

  #mapped(firstPage: number, endPage: number, end: number): void {
    this.#pages.set(firstPage, endPage);
    this.#sizeBytes = Math.max(this.#sizeBytes, end);
    this.#version += 1;
  }

  /** The bytes of a part of a page that a write leaves alone; `undefined` when they are in the store already. */
  #restOfPage(start: number, end: number): MaybePromise<Buffer | undefined> {
    if (start === end || this.#pages.has(Math.floor(start / pageSizeBytes))) return undefined;
    if (this.#pieces.within(start, end).length === 0) return zeros.subarray(0, end - start);
    const rest = Buffer.allocUnsafe(end - start);
    return whenReady(this.#readPieces(rest, start), () => rest);
  }

  async #moveToDisk(store: MemoryStore): Promise<SpoolFile> {
    const spool = await this.#setting.spool.create(this.#setting);
    const writes: Promise<void>[] = [];
    const mappedEnd = Math.ceil(this.#sizeBytes / pageSizeBytes) * pageSizeBytes;
    this.#forEachRun(0, mappedEnd, (start, end, isMapped) => {
      if (isMapped) writes.push(spool.write(start, store.view(start, end)));
    });
    try {
      await Promise.all(writes);
    } catch (error) {
      await spool.close();
      throw error;
    }
    this.#store = spool;
    store.close();
    return spool;
  }

  #punch(offset: number, requestedEnd: number): MaybePromise<void> {
    const end = Math.min(requestedEnd, this.#sizeBytes);
    if (end <= offset) return;
    this.#version += 1;
    const firstWhole = Math.ceil(offset / pageSizeBytes);
    const reachesEnd = end === this.#sizeBytes;
    const endWhole = reachesEnd ? Math.ceil(end / pageSizeBytes) : Math.floor(end / pageSizeBytes);
    if (!this.#pieces.cut(firstWhole * pageSizeBytes, endWhole * pageSizeBytes)) {
      return this.#zeroSlowly(offset, end);
    }
    if (firstWhole < endWhole) this.#pages.clear(firstWhole, endWhole);
    const headEnd = Math.min(end, firstWhole * pageSizeBytes);
    const tailStart = Math.max(headEnd, endWhole * pageSizeBytes);
    return whenReady(this.#zero(offset, headEnd), () => this.#zero(tailStart, end));
  }

  /** Writes zeros into a part of a page, unless it is a hole. */
  #zero(start: number, end: number): MaybePromise<void> {
    if (start >= end) return;
    const isHole =
      !this.#pages.has(Math.floor(start / pageSizeBytes)) &&
      this.#pieces.within(start, end).length === 0;
    return isHole ? undefined : this.#write(start, zeros.subarray(0, end - start));
  }

  async #zeroSlowly(offset: number, end: number): Promise<void> {
    for (let start = offset; start < end; start += chunkSizeBytes) {
      await this.#write(start, zeros.subarray(0, Math.min(end - start, chunkSizeBytes)));
    }
  }
}
