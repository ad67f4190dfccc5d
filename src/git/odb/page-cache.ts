import { LRUCache } from 'lru-cache';
import { ThreadPace } from '../thread-pace.ts';
import { ByteBudget } from './byte-budget.ts';
import { CountedCache } from './counted-cache.ts';
import type { CacheCounts } from './counted-cache.ts';

// 64 KiB: read cold, 5 000 small blobs of a pack of 25 MB cost 400 reads of about 50 µs each. Pages
// of 16 KiB take twice as long for that, larger ones waste memory on lookups in an index.
const defaultPageSizeBytes = 64 * 1024;
// A run of `whenReady` needs the pages of one slice at the same time, at most about 600 KiB.
const leastPages = 32;
const maxOpenFiles = 256;
// What is being read is not in the cache yet, and needs a bound of its own.
const pagesReadAtOnce = 32;

// Each takes up to half a millisecond, and nothing else happens on the event loop meanwhile.
const mostReadHereInARow = 16;

/** What can let go of its descriptor, and open the file again when it needs to. */
export interface DescriptorHolder {
  releaseDescriptor(): void;
}

/** The resident pages of all the files of a database, and its open descriptors; both have a bound. */
export class PageCache {
  readonly pageSizeBytes: number;
  /** The pages that are being read. */
  readonly reads: ByteBudget;
  readonly #pages: CountedCache<number, Buffer>;
  readonly #open: LRUCache<DescriptorHolder, true>;
  /** Read since `closeIdle` was called. */
  readonly #busy = new Set<DescriptorHolder>();
  #near: { readonly device: number; readonly pace: ThreadPace } | undefined;
  #readHereInARow = 0;
  #files = 0;
  /** The page that was asked for last: as a rule it is the next one too, and found sooner here. */
  #lastKey = -1;
  #lastPage: Buffer | undefined;

  constructor(options: { maxSizeBytes: number; pageSizeBytes?: number; maxOpenFiles?: number }) {
    this.pageSizeBytes = options.pageSizeBytes ?? defaultPageSizeBytes;
    this.reads = new ByteBudget(pagesReadAtOnce * this.pageSizeBytes);
    this.#pages = new CountedCache({
      maxSize: Math.max(options.maxSizeBytes, leastPages * this.pageSizeBytes),
      sizeCalculation: (page) => Math.max(page.length, 1),
    });
    this.#open = new LRUCache({
      max: options.maxOpenFiles ?? maxOpenFiles,
      dispose: (_, file) => file.releaseDescriptor(),
    });
  }

  /** What the pages take, in bytes. */
  get sizeBytes(): number {
    return this.#pages.calculatedSize;
  }

  /** How useful it is. */
  counts(): CacheCounts {
    return this.#pages.counts('pages');
  }

  /** From now on pages of files on this device, which is near (see `isNear`), are read in this thread. */
  readHere(device: number): void {
    this.#near = { device, pace: new ThreadPace() };
  }

  /** With what the next page on a device is to be read in this thread; to be asked once for each. */
  takeNextHere(device: number): ThreadPace | undefined {
    if (this.#near?.device !== device) return undefined;
    // Now and then others have their turn.
    if (this.#readHereInARow === mostReadHereInARow || !this.#near.pace.takeNext()) {
      this.#readHereInARow = 0;
      return undefined;
    }
    this.#readHereInARow += 1;
    return this.#near.pace;
  }

  /** The number that a new file counts its pages from; numbers are never used twice. */
  register(): number {
    // Room for 2^31 pages of a file, 128 TiB.
    return this.#files++ * 2 ** 31;
  }

  get(key: number): Buffer | undefined {
    if (key === this.#lastKey) {
      this.#pages.hits += 1;
      return this.#lastPage;
    }
    const page = this.#pages.get(key);
    if (page !== undefined) {
      this.#lastKey = key;
      this.#lastPage = page;
    }
    return page;
  }

  has(key: number): boolean {
    return this.#pages.has(key);
  }

  set(key: number, page: Buffer): void {
    this.#pages.set(key, page);
  }

  /** Notes that a file has its descriptor open; the one that was used longest ago may be closed for it. */
  opened(file: DescriptorHolder): void {
    this.#open.set(file, true);
    this.#busy.add(file);
  }

  closed(file: DescriptorHolder): void {
    this.#open.delete(file);
    this.#busy.delete(file);
  }

  /** Closes the files that were not read since this was called last. */
  closeIdle(): void {
    for (const file of [...this.#open.keys()]) if (!this.#busy.has(file)) this.#open.delete(file);
    this.#busy.clear();
  }
}
