/** The unit in which a write buffer knows what it holds itself, in bytes. */
export const pageSizeBytes = 4096;

const pagesPerWord = 32;
const wordsPerChunk = 64;
const pagesPerChunk = pagesPerWord * wordsPerChunk;

/**
 * A set of page numbers: one bit a page, in chunks of 8 MiB of file that exist only where a page is
 * set. A sparse file costs what is written to it, and a file of 100 GiB written all over costs about
 * 5 MB, whatever the order of the writes; a list of extents has no such bound.
 */
export class PageMap {
  readonly #chunks = new Map<number, Uint32Array>();
  #count = 0;

  /** How many pages are set. */
  get count(): number {
    return this.#count;
  }

  has(page: number): boolean {
    const chunk = this.#chunks.get(Math.floor(page / pagesPerChunk));
    if (chunk === undefined) return false;
    const word = chunk[Math.floor((page % pagesPerChunk) / pagesPerWord)] ?? 0;
    return ((word >>> (page % pagesPerWord)) & 1) === 1;
  }

  /** Sets the pages from `first` up to, not including, `end`. */
  set(first: number, end: number): void {
    forEachWord(first, end, (index, word, mask) => {
      let chunk = this.#chunks.get(index);
      if (chunk === undefined) {
        chunk = new Uint32Array(wordsPerChunk);
        this.#chunks.set(index, chunk);
      }
      const before = chunk[word] ?? 0;
      this.#count += bitCount(mask & ~before);
      chunk[word] = before | mask;
    });
  }

  /** Clears the pages from `first` up to, not including, `end`. */
  clear(first: number, end: number): void {
    for (const index of this.#chunks.keys()) {
      const start = index * pagesPerChunk;
      if (start >= end || start + pagesPerChunk <= first) continue;
      this.#clearInChunk(index, Math.max(first, start), Math.min(end, start + pagesPerChunk));
    }
  }

  /** The first page from `from` on that is set; `end` when there is none before it. */
  nextSet(from: number, end: number): number {
    return this.#next(from, end, 0);
  }

  /** The first page from `from` on that is not set; `end` when there is none before it. */
  nextClear(from: number, end: number): number {
    return this.#next(from, end, 0xffff_ffff);
  }

  #clearInChunk(index: number, first: number, end: number): void {
    const chunk = this.#chunks.get(index);
    if (chunk === undefined) return;
    forEachWord(first, end, (_, word, mask) => {
      const before = chunk[word] ?? 0;
      this.#count -= bitCount(mask & before);
      chunk[word] = before & ~mask;
    });
    if (chunk.every((word) => word === 0)) this.#chunks.delete(index);
  }

  /** Looks for a page whose bit differs from those of `unwanted` (all bits clear, or all set). */
  #next(from: number, end: number, unwanted: number): number {
    let page = from;
    while (page < end) {
      const chunk = this.#chunks.get(Math.floor(page / pagesPerChunk));
      if (chunk === undefined) {
        if (unwanted !== 0) return page;
        page = (Math.floor(page / pagesPerChunk) + 1) * pagesPerChunk;
        continue;
      }
      const word = chunk[Math.floor((page % pagesPerChunk) / pagesPerWord)] ?? 0;
      const wanted = ((word ^ unwanted) >>> (page % pagesPerWord)) >>> 0;
      if (wanted !== 0) return Math.min(end, page + lowestBit(wanted));
      page += pagesPerWord - (page % pagesPerWord);
    }
    return end;
  }
}

/** Calls for each word that the pages from `first` up to `end` touch, with the bits that they take in it. */
function forEachWord(
  first: number,
  end: number,
  visit: (chunk: number, word: number, mask: number) => void,
): void {
  for (let page = first; page < end;) {
    const wordEnd = page - (page % pagesPerWord) + pagesPerWord;
    const stop = Math.min(end, wordEnd);
    const length = stop - page;
    const ones = length === pagesPerWord ? 0xffff_ffff : 2 ** length - 1;
    const mask = (ones << (page % pagesPerWord)) >>> 0;
    const word = Math.floor((page % pagesPerChunk) / pagesPerWord);
    visit(Math.floor(page / pagesPerChunk), word, mask);
    page = stop;
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function bitCount(word: number): number {
  let count = word - ((word >>> 1) & 0x5555_5555);
  count = (count & 0x3333_3333) + ((count >>> 2) & 0x3333_3333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
