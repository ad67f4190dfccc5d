import type { ByteString } from '../../git/byte-string.ts';
import type { ErrorReport } from './error-report.ts';
import type { InodeTable } from './inode-table.ts';
import type { Attr, DirectorySink, MaybePromise } from './operations.ts';
import { entryReply } from './replies.ts';
import { nameLimitBytes } from './statfs.ts';
import type {
  DirectoryEntry,
  DirectoryStream,
  DirectoryVnode,
  PlacedEntry,
  Vnode,
} from './vnode.ts';

const directoryMode = 0o040000;
/** Offsets 0 and 1 stand for `.` and `..`, and 2 + n for the entry at position n. */
const firstEntryOffset = 2;

/** Whether a listing from this offset on has given no entry before. */
export function isListingBegin(offset: number): boolean {
  return offset <= firstEntryOffset;
}

/** How many entries are loaded side by side once one of them needs the disk. */
const windowSize = 64;

/** What became of one position of a stream. A node is held (see `InodeTable.hold`). */
type Loaded =
  | { readonly kind: 'entry'; readonly entry: DirectoryEntry }
  | {
      readonly kind: 'node';
      readonly entry: DirectoryEntry;
      readonly node: Vnode;
      readonly attr: Attr;
    }
  | { readonly kind: 'gone' }
  | { readonly kind: 'end' }
  | { readonly kind: 'failed'; readonly error: unknown };

const gone: Loaded = { kind: 'gone' };
const end: Loaded = { kind: 'end' };

/** The answer to one `readdir`. */
export interface ListingRequest {
  readonly directory: DirectoryVnode;
  readonly stream: DirectoryStream;
  readonly sink: DirectorySink;
  /** With nodes and attributes: READDIRPLUS. */
  readonly plus: boolean;
  readonly inodes: InodeTable;
  /**
   * Told why the attributes of an entry are left out, and of an entry that is left out: a longer name cannot
   * be looked up, and some spoil the listing.
   */
  readonly report: ErrorReport;
}

/**
 * Fills a sink with the entries from `offset` on, as many as fit. What is in memory is taken at
 * once; when an entry needs the disk, those behind it are asked for at the same time. An error
 * behind entries that were taken already ends the answer early, since they would be lost with it:
 * the next call, which starts at the error, reports it.
 */
export function fillListing(request: ListingRequest, offset: number): MaybePromise<void> {
  return new Listing(request).fill(offset);
}

class Listing {
  readonly #request: ListingRequest;
  #isEmpty = true;

  constructor(request: ListingRequest) {
    this.#request = request;
  }

  fill(offset: number): MaybePromise<void> {
    const { directory, stream, plus } = this.#request;
    if (offset < 1 && !this.#addDot('.', directory, 1)) return;
    if (offset < 2 && !this.#addDot('..', directory.parent, 2)) return;
    const start = this.#next(Math.max(0, offset - firstEntryOffset));
    for (let position = start; ; position = this.#next(position + 1)) {
      // In this turn of the event loop: nothing holds what is told without a node.
      const placed = plus ? stream.placed?.(position) : undefined;
      if (placed !== undefined && placed.name.length <= nameLimitBytes) {
        if (!this.#takePlaced(placed, position)) return;
        continue;
      }
      const loaded = this.#load(position);
      if (loaded instanceof Promise) {
        if (stream.isSearch !== true) return this.#fillFromDisk(position, loaded);
        return this.#isEmpty ? this.#fillFromSearch(position, loaded) : undefined;
      }
      if (!this.#take(loaded, position)) return;
    }
  }

  /** Waits for one entry, so that the answer is not empty, and takes what was found along with it. */
  async #fillFromSearch(position: number, first: Promise<Loaded>): Promise<void> {
    if (this.#take(await first, position)) return this.fill(position + firstEntryOffset + 1);
  }

  /** Waits for some entries together, and goes on with what is behind them. */
  async #fillFromDisk(start: number, first: Promise<Loaded>): Promise<void> {
    const window = [{ position: start, load: first }];
    let position = start;
    while (window.length < windowSize) {
      position = this.#next(position + 1);
      window.push({ position, load: Promise.resolve(this.#load(position)) });
    }
    const loads = await Promise.all(
      window.map(async ({ position: at, load }) => ({ at, loaded: await load })),
    );
    try {
      for (let next = loads.shift(); next !== undefined; next = loads.shift()) {
        if (!this.#take(next.loaded, next.at)) return;
      }
    } finally {
      // Behind the end of the answer, be it full or an error, nobody is told of them.
      for (const { loaded } of loads) {
        if (loaded.kind === 'node') this.#request.inodes.drop(loaded.node);
      }
    }
    return this.fill(position + firstEntryOffset + 1);
  }

  #next(position: number): number {
    return this.#request.stream.next?.(position) ?? position;
  }

  #addDot(name: string, node: Vnode, offset: number): boolean {
    const added = this.#request.sink.add(name as ByteString, node.ino, directoryMode, offset);
    if (added) this.#isEmpty = false;
    return added;
  }

  /** Never throws or rejects. */
  #load(position: number): MaybePromise<Loaded> {
    try {
      const entry = this.#request.stream.entry(position);
      return entry instanceof Promise
        ? this.#waitForEntry(position, entry)
        : this.#loadEntry(position, entry);
    } catch (error) {
      return { kind: 'failed', error };
    }
  }

  async #waitForEntry(
    position: number,
    entry: Promise<DirectoryEntry | undefined>,
  ): Promise<Loaded> {
    try {
      return await this.#loadEntry(position, await entry);
    } catch (error) {
      return { kind: 'failed', error };
    }
  }

  #loadEntry(position: number, entry: DirectoryEntry | undefined): MaybePromise<Loaded> {
    if (entry === undefined) return end;
    if (entry.name.length > nameLimitBytes) {
      this.#request.report.nameTooLong(entry.name);
      return gone;
    }
    const { plus, stream, directory } = this.#request;
    if (!plus || stream.isSearch === true) return { kind: 'entry', entry };
    try {
      const node = stream.node === undefined ? directory.lookup(entry.name) : stream.node(position);
      return node instanceof Promise ? this.#waitForNode(entry, node) : this.#loadAttr(entry, node);
    } catch (error) {
      return this.#withoutAttr(entry, error);
    }
  }

  async #waitForNode(entry: DirectoryEntry, node: Promise<Vnode | null>): Promise<Loaded> {
    try {
      return await this.#loadAttr(entry, await node);
    } catch (error) {
      return this.#withoutAttr(entry, error);
    }
  }

  #loadAttr(entry: DirectoryEntry, found: Vnode | null): MaybePromise<Loaded> {
    if (found === null) return gone;
    const node = this.#request.inodes.hold(found);
    try {
      const attr = node.getattr();
      if (attr instanceof Promise) return this.#waitForAttr(entry, node, attr);
      return { kind: 'node', entry, node, attr };
    } catch (error) {
      this.#request.inodes.drop(node);
      return this.#withoutAttr(entry, error);
    }
  }

  async #waitForAttr(entry: DirectoryEntry, node: Vnode, attr: Promise<Attr>): Promise<Loaded> {
    try {
      return { kind: 'node', entry, node, attr: await attr };
    } catch (error) {
      this.#request.inodes.drop(node);
      return this.#withoutAttr(entry, error);
    }
  }

  #withoutAttr(entry: DirectoryEntry, error: unknown): Loaded {
    this.#request.report.errnoOf(error, 'readdir');
    return { kind: 'entry', entry };
  }

  /** Puts an entry into the sink that has no node. False when the answer ends here. */
  #takePlaced({ name, attr, row }: PlacedEntry, position: number): boolean {
    const { directory, sink, inodes } = this.#request;
    const { entriesValidSec, attrValidSec } = directory.cache;
    const reply = { attr, entryValidSec: entriesValidSec, attrValidSec };
    // First, for whoever tells the kernel may look for the node.
    inodes.holdPlace(row, attr.ino);
    if (!sink.addPlus(name, reply, position + firstEntryOffset + 1)) {
      inodes.drop(attr);
      return false;
    }
    this.#isEmpty = false;
    return true;
  }

  /** Puts one entry into the sink. False when the answer ends here. */
  #take(loaded: Loaded, position: number): boolean {
    const { directory, sink, inodes } = this.#request;
    const offset = position + firstEntryOffset + 1;
    switch (loaded.kind) {
      case 'end':
        return false;
      case 'gone':
        return true;
      case 'failed':
        if (this.#isEmpty) throw loaded.error;
        return false;
      case 'entry': {
        const { name, ino, mode } = loaded.entry;
        if (!sink.add(name, ino, mode, offset)) return false;
        break;
      }
      case 'node': {
        const { entry, node, attr } = loaded;
        if (sink.addPlus(entry.name, entryReply(directory, node, attr), offset)) break;
        inodes.drop(node);
        return false;
      }
    }
    this.#isEmpty = false;
    return true;
  }
}
