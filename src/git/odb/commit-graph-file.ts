import { createHash } from 'node:crypto';
import { CorruptObjectError } from '../../errors.ts';
import { oidFromBytes, oidSizeBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import type { FilterSettings } from './changed-paths.ts';
import { ChunkTable } from './chunk-table.ts';
import type { ByteRange } from './chunk-table.ts';
import { whenReady } from './fault.ts';
import { OidTable } from './oid-table.ts';
import type { PageCache } from './page-cache.ts';
import { PagedFile } from './paged-file.ts';

const magic = 0x43475048; // "CGPH"
const headerSizeBytes = 8;
const filterHeadSizeBytes = 12;
/** What a row of commit data holds after the tree. */
const rowRestSizeBytes = 16;
const readSizeBytes = 1024 * 1024;
// Git's filters for 512 paths, the most that it stores, have 640 bytes.
const longestFilterBytes = 64 * 1024;
const chunk = {
  fanout: 'OIDF',
  oids: 'OIDL',
  commits: 'CDAT',
  extraEdges: 'EDGE',
  filterIndex: 'BIDX',
  filters: 'BDAT',
  bases: 'BASE',
};

interface Layout {
  readonly oids: OidTable;
  readonly firstOidOffset: number;
  readonly commits: ByteRange;
  readonly extraEdges: ByteRange | undefined;
  readonly filters: FilterLayout | undefined;
  readonly bases: readonly string[];
}

interface FilterLayout {
  readonly index: ByteRange;
  readonly data: ByteRange;
  readonly settings: FilterSettings;
}

const noBytes = Buffer.alloc(0);

/**
 * One file of a commit-graph (git's gitformat-commit-graph, version 1), read in place. Commits are
 * numbered by their place in this file, their parents by their position in the whole graph.
 *
 * `check` comes first. The other methods throw a `Fault` when they need a page that is not in memory,
 * and a `CorruptObjectError` when the file is not what it should be.
 */
export class CommitGraphFile {
  readonly file: PagedFile;
  readonly #algorithm: HashAlgorithm;
  #layout: Layout | undefined;

  constructor(path: string, algorithm: HashAlgorithm, cache: PageCache) {
    this.file = new PagedFile(path, cache);
    this.#algorithm = algorithm;
  }

  /**
   * Reads all of the file and gives the checksum that it ends with, in hex: a `CorruptObjectError`
   * when that is another one than the content has. Everything here can be had from the commits
   * themselves, more slowly, so a bit that fell over must not make an answer wrong.
   */
  async check(): Promise<string> {
    const { file } = this;
    const letGo = await file.hold();
    try {
      const endBytes = file.sizeBytes - this.#oidSizeBytes;
      if (endBytes < headerSizeBytes) throw new CorruptObjectError(`${file.path} is cut off`);
      const hash = createHash(this.#algorithm);
      for (let at = 0; at < endBytes; at += readSizeBytes) {
        hash.update(await file.readDirect(at, Math.min(readSizeBytes, endBytes - at)));
      }
      const checksum = hash.digest('hex');
      const stored = await file.readDirect(endBytes, this.#oidSizeBytes);
      if (stored.toString('hex') !== checksum) {
        throw new CorruptObjectError(`${file.path} does not have the checksum that it ends with`);
      }
      await whenReady(() => this.#read());
      return checksum;
    } finally {
      letGo();
    }
  }

  /** How many commits it holds. */
  get size(): number {
    return this.#read().oids.size;
  }

  /** The checksums of the files below this one in a chain, the lowest first. */
  get bases(): readonly string[] {
    return this.#read().bases;
  }

  /** The index of a commit, or -1. */
  find(raw: Buffer): number {
    return this.#read().oids.find(raw);
  }

  oidAt(index: number): Oid {
    const { firstOidOffset } = this.#read();
    const raw = this.file.slice(firstOidOffset + index * this.#oidSizeBytes, this.#oidSizeBytes);
    return oidFromBytes(raw, 0, raw.length);
  }

  treeAt(index: number): Oid {
    const raw = this.file.slice(this.#rowAt(index), this.#oidSizeBytes);
    return oidFromBytes(raw, 0, raw.length);
  }

  /** The two numbers that say where the parents are. */
  parentWordsAt(index: number): [number, number] {
    const at = this.#rowAt(index) + this.#oidSizeBytes;
    return [this.file.readUInt32(at), this.file.readUInt32(at + 4)];
  }

  /** The first parent alone, as `parentWordsAt` gives it. */
  firstParentWordAt(index: number): number {
    return this.file.readUInt32(this.#rowAt(index) + this.#oidSizeBytes);
  }

  /** The topological level: one more than the highest of the parents'; 0 when it was not computed. */
  levelAt(index: number): number {
    return this.file.readUInt32(this.#rowAt(index) + this.#oidSizeBytes + 8) >>> 2;
  }

  /** The time of the commit in seconds, without what is above 34 bits. */
  timeSecAt(index: number): number {
    const at = this.#rowAt(index) + this.#oidSizeBytes + 8;
    return (this.file.readUInt32(at) & 3) * 2 ** 32 + this.file.readUInt32(at + 4);
  }

  /** A number of the list of parents beyond the first. */
  extraEdgeAt(index: number): number {
    const range = this.#read().extraEdges;
    const at = (range?.start ?? 0) + 4 * index;
    if (range !== undefined && at + 4 <= range.end) return this.file.readUInt32(at);
    throw new CorruptObjectError(`${this.file.path} points outside of its list of parents`);
  }

  /** How the filters of changed paths were made; undefined when there are none. */
  get filterSettings(): FilterSettings | undefined {
    return this.#read().filters?.settings;
  }

  /** The filter of a commit; empty when none was made for it. */
  filterAt(index: number): Buffer {
    const { filters } = this.#read();
    if (filters === undefined) return noBytes;
    const { index: ends, data } = filters;
    const start = index === 0 ? 0 : this.file.readUInt32(ends.start + 4 * (index - 1));
    const end = this.file.readUInt32(ends.start + 4 * index);
    const first = data.start + filterHeadSizeBytes;
    if (start > end || end > data.end - first) {
      throw new CorruptObjectError(`${this.file.path} has filters that are out of order`);
    }
    return end - start > longestFilterBytes ? noBytes : this.file.slice(first + start, end - start);
  }

  get #oidSizeBytes(): number {
    return oidSizeBytes[this.#algorithm];
  }

  #rowAt(index: number): number {
    return this.#read().commits.start + index * (this.#oidSizeBytes + rowRestSizeBytes);
  }

  #read(): Layout {
    return (this.#layout ??= this.#readLayout());
  }

  #readLayout(): Layout {
    const { file } = this;
    const header = file.slice(0, headerSizeBytes);
    const hashVersion = this.#algorithm === 'sha1' ? 1 : 2;
    if (header.readUInt32BE(0) !== magic || header[4] !== 1 || header[5] !== hashVersion) {
      throw new CorruptObjectError(`${file.path} is no commit-graph of version 1`);
    }
    const chunks = new ChunkTable(file, headerSizeBytes, header.readUInt8(6));
    const firstOidOffset = chunks.require(chunk.oids, 0).start;
    const oids = new OidTable(file, {
      fanoutOffset: chunks.require(chunk.fanout, 4 * 256).start,
      firstOidOffset,
      strideBytes: this.#oidSizeBytes,
      oidSizeBytes: this.#oidSizeBytes,
    });
    chunks.require(chunk.oids, oids.size * this.#oidSizeBytes);
    return {
      oids,
      firstOidOffset,
      commits: chunks.require(chunk.commits, oids.size * (this.#oidSizeBytes + rowRestSizeBytes)),
      extraEdges: chunks.get(chunk.extraEdges),
      filters: this.#readFilterLayout(chunks, oids.size),
      bases: this.#readBases(chunks, header.readUInt8(7)),
    };
  }

  #readFilterLayout(chunks: ChunkTable, commits: number): FilterLayout | undefined {
    if (chunks.get(chunk.filterIndex) === undefined) return undefined;
    if (chunks.get(chunk.filters) === undefined) return undefined;
    const index = chunks.require(chunk.filterIndex, 4 * commits);
    const data = chunks.require(chunk.filters, filterHeadSizeBytes);
    const settings = {
      hashVersion: this.file.readUInt32(data.start),
      hashCount: this.file.readUInt32(data.start + 4),
    };
    // A version of the future hashes in a way that is not known here.
    const isKnown = settings.hashVersion === 1 || settings.hashVersion === 2;
    return isKnown ? { index, data, settings } : undefined;
  }

  #readBases(chunks: ChunkTable, count: number): string[] {
    if (count === 0) return [];
    const sizeBytes = count * this.#oidSizeBytes;
    const hex = this.file.slice(chunks.require(chunk.bases, sizeBytes).start, sizeBytes);
    return Array.from({ length: count }, (_, index) =>
      oidFromBytes(hex, index * this.#oidSizeBytes, this.#oidSizeBytes),
    );
  }
}
