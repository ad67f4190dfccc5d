import { inoPageSize, longInoPageSize, pageSizeFor } from './ino-allocator.ts';
import type { Ino } from './operations.ts';
import type { Vnode } from './vnode.ts';

/** Whoever can make the nodes of a row again: a directory, for its entries. */
export interface RowOwner {
  /** A node of the row. `isLink` is what `hold` was told of it. */
  rowNode(index: number, isLink: boolean): Vnode;
}

// The kernel's references to one node are few, as a rule; a row in which they are not takes four bytes.
const narrow: CountWidth = { linkBit: 0x80, mostReferences: 0x7f };
const wide: CountWidth = { linkBit: 0x8000_0000, mostReferences: 0x7fff_ffff };

interface CountWidth {
  /** Stands in a count whose node is a link. */
  readonly linkBit: number;
  readonly mostReferences: number;
}

/**
 * A row of inode numbers whose nodes hold nothing but their place in it. They are not kept: only how
 * often the kernel knows each is, and whether it is a link, in a byte. (Whoever made the node
 * knows the rest from the disk, and the disk cannot be waited for when the kernel names a number.)
 */
export class InodeRow {
  readonly first: Ino;
  readonly size: number;
  readonly #owner: RowOwner;
  #counts: Uint8Array | Uint32Array | undefined;
  #width = narrow;
  #live = 0;

  constructor(first: Ino, size: number, owner: RowOwner) {
    this.first = first;
    this.size = size;
    this.#owner = owner;
  }

  /** How many of its numbers are live. */
  get live(): number {
    return this.#live;
  }

  get(ino: Ino): Vnode | undefined {
    const index = ino - this.first;
    const counted = this.#counts?.[index] ?? 0;
    return counted === 0 ? undefined : this.#owner.rowNode(index, counted >= this.#width.linkBit);
  }

  /** Counts more references, one at least. Tells whether the number is live only since then. */
  hold(ino: Ino, isLink: boolean, references: number): boolean {
    this.#counts ??= new Uint8Array(this.size);
    const index = ino - this.first;
    const count = this.#counts[index] === 0 ? 0 : this.#referencesAt(index);
    if (count === 0) this.#live += 1;
    if (count + references > this.#width.mostReferences) this.#widen(this.#counts);
    const { linkBit, mostReferences } = this.#width;
    // A count that is full stays so: the number is then live for good, which harms nobody.
    this.#counts[index] = Math.min(count + references, mostReferences) + (isLink ? linkBit : 0);
    return count === 0;
  }

  /** Takes references back. */
  release(ino: Ino, references: number): void {
    const index = ino - this.first;
    const count = this.#referencesAt(index);
    if (this.#counts === undefined || count === 0 || count === wide.mostReferences) return;
    const counted = this.#counts[index] ?? 0;
    this.#counts[index] = count > references ? counted - references : 0;
    if (count <= references) this.#live -= 1;
  }

  /** Gives up a number, and with it all references to it, whose count it gives. */
  take(ino: Ino): number {
    const index = ino - this.first;
    const count = this.#referencesAt(index);
    if (this.#counts === undefined || count === 0) return 0;
    this.#counts[index] = 0;
    this.#live -= 1;
    return count;
  }

  #referencesAt(index: number): number {
    const counted = this.#counts?.[index] ?? 0;
    return counted >= this.#width.linkBit ? counted - this.#width.linkBit : counted;
  }

  #widen(counts: Uint8Array | Uint32Array): void {
    if (this.#width === wide) return;
    const toWide = wide.linkBit - narrow.linkBit;
    this.#counts = Uint32Array.from(counts, (counted) =>
      counted >= narrow.linkBit ? counted + toWide : counted,
    );
    this.#width = wide;
  }
}

/**
 * The rows that have live numbers, found by number: by its page, and long rows, which would have many of
 * those, by its long page. Rows begin at page boundaries, so no two share a page, nor two long ones a long
 * page.
 */
export class InodeRows {
  readonly #short = new Map<number, InodeRow>();
  readonly #long = new Map<number, InodeRow>();
  #live = 0;

  /** How many numbers are live. */
  get size(): number {
    return this.#live;
  }

  get(ino: Ino): Vnode | undefined {
    return this.#row(ino)?.get(ino);
  }

  hold(row: InodeRow, ino: Ino, isLink: boolean, references = 1): void {
    if (!row.hold(ino, isLink, references)) return;
    if (row.live === 1) {
      const rows = this.#rowsLike(row);
      for (const page of pagesOf(row)) rows.set(page, row);
    }
    this.#live += 1;
  }

  release(ino: Ino, references: number): void {
    const row = this.#row(ino);
    if (row === undefined) return;
    const before = row.live;
    row.release(ino, references);
    this.#settle(row, before);
  }

  /** Gives up a number; see `InodeRow.take`. */
  take(ino: Ino): number {
    const row = this.#row(ino);
    if (row === undefined) return 0;
    const before = row.live;
    const references = row.take(ino);
    this.#settle(row, before);
    return references;
  }

  clear(): void {
    this.#short.clear();
    this.#long.clear();
    this.#live = 0;
  }

  #settle(row: InodeRow, liveBefore: number): void {
    this.#live += row.live - liveBefore;
    if (row.live > 0) return;
    const rows = this.#rowsLike(row);
    for (const page of pagesOf(row)) rows.delete(page);
  }

  #row(ino: Ino): InodeRow | undefined {
    const row = this.#short.get(Math.floor(ino / inoPageSize));
    return row ?? this.#long.get(Math.floor(ino / longInoPageSize));
  }

  #rowsLike(row: InodeRow): Map<number, InodeRow> {
    return pageSizeFor(row.size) === inoPageSize ? this.#short : this.#long;
  }
}

function* pagesOf({ first, size }: InodeRow): Generator<number, void, undefined> {
  const pageSize = pageSizeFor(size);
  for (let page = first / pageSize; page * pageSize < first + size; page++) yield page;
}
