import { CorruptObjectError } from '../../errors.ts';
import { farDisk } from '../disk.ts';
import type { ObjectType } from '../object.ts';
import { oidSizeBytes } from '../oid.ts';
import type { HashAlgorithm } from '../oid.ts';
import {
  checkDeclaredSize,
  deflatedBoundBytes,
  inflateAndMeasure,
  inflateChunks,
  inflateExactly,
  inflateLarge,
  inflateStart,
  inflateStartInputBytes,
  largestSyncInflateBytes,
  wholeInputBytes,
} from './inflate.ts';
import type { OnStart } from './inflate.ts';
import { PackIndex } from './pack-index.ts';
import type { PageCache } from './page-cache.ts';
import { PagedFile } from './paged-file.ts';

const magic = 0x5041434b; // "PACK"
const headerSizeBytes = 12;

// Its time need not be more exact than this, however many objects are looked for.
const freshMs = 1000;

const types: readonly (ObjectType | undefined)[] = [undefined, 'commit', 'tree', 'blob', 'tag'];
const ofsDelta = 6;
const refDelta = 7;

/** One entry of a pack: an object, or a delta with the entry that it applies to. */
export interface PackEntry {
  readonly offset: number;
  /** Undefined for a delta. */
  readonly type: ObjectType | undefined;
  /** Where the entry of a delta's base starts; 0 when this is no delta. */
  readonly baseOffset: number;
  /** The size of what is compressed: of the object, or of the delta. */
  readonly sizeBytes: number;
  /** Where the compressed data starts. */
  readonly dataOffset: number;
}

let packsMade = 0;

/**
 * A pack (git's gitformat-pack) and its index. The synchronous methods throw a `Fault` when they need
 * a page that is not in memory, and a `CorruptObjectError` for what breaks the format.
 */
export class Pack {
  /** The name of the index, `pack-….idx`. */
  readonly indexName: string;
  /** A number that no other pack of this process has or will have, for cache keys. */
  readonly id: number;
  readonly file: PagedFile;
  readonly index: PackIndex;
  /** A cruft pack (`git gc --cruft`): its objects are on their way out. */
  readonly isCruft: boolean;
  /** How long the ids in it are. */
  readonly oidSizeBytes: number;
  #indexFailure: CorruptObjectError | undefined;
  #packFailure: CorruptObjectError | undefined;
  #isChecked = false;
  #freshenedMs = -Infinity;

  constructor(
    directory: string,
    indexName: string,
    options: { algorithm: HashAlgorithm; cache: PageCache; isCruft: boolean },
  ) {
    this.indexName = indexName;
    this.id = packsMade++;
    const path = `${directory}/${indexName}`;
    this.file = new PagedFile(path.replace(/idx$/, 'pack'), options.cache);
    this.index = new PackIndex(path, options.algorithm, options.cache);
    this.isCruft = options.isCruft;
    this.oidSizeBytes = oidSizeBytes[options.algorithm];
  }

  /** Why nothing can be looked up in it, once that is known: it may hold any object then. */
  get indexFailure(): CorruptObjectError | undefined {
    return this.#indexFailure;
  }

  /** Whether it is known by now that no object can be read from it. */
  get isBroken(): boolean {
    return this.#indexFailure !== undefined || this.#packFailure !== undefined;
  }

  /** Tells whether objects can be looked up in it; when not, `indexFailure` is why. */
  isSearchable(): boolean {
    if (this.#indexFailure !== undefined) return false;
    try {
      this.index.check();
      return true;
    } catch (error) {
      if (!(error instanceof CorruptObjectError)) throw error;
      this.#indexFailure = error;
      return false;
    }
  }

  /** Whether the time of the file was set within the last second. */
  get isFresh(): boolean {
    return performance.now() - this.#freshenedMs < freshMs;
  }

  /** Sets the time of the file to now, unless it is fresh; false when it is gone. */
  async freshen(): Promise<boolean> {
    if (this.isFresh) return true;
    const nowMs = performance.now();
    if (!(await farDisk.touch(this.file.path))) return false;
    this.#freshenedMs = nowMs;
    return true;
  }

  /** The offset of an object; undefined when the pack does not hold it. */
  find(raw: Buffer): number | undefined {
    return this.index.find(raw);
  }

  /** Reads the head of the entry at `offset`, and finds the base of a delta. */
  entryAt(offset: number): PackEntry {
    this.#check();
    const end = this.#dataEnd;
    if (offset < headerSizeBytes || offset >= end) throw this.#corrupt(offset, 'is outside of it');
    // A size of 10 bytes at most, then a distance of 10 or an id.
    const head = this.file.slice(offset, Math.min(20 + this.oidSizeBytes, end - offset));
    const first = head.readUInt8(0);
    let at = 1;
    let sizeBytes = first & 0x0f;
    for (let unit = 16, byte = first; byte >= 0x80; unit *= 128) {
      byte = this.#byteAt(head, at++, offset);
      sizeBytes += (byte & 0x7f) * unit;
    }
    if (!Number.isSafeInteger(sizeBytes)) throw this.#corrupt(offset, 'has an impossible size');
    const kind = (first >> 4) & 7;
    const type = types[kind];
    let baseOffset = 0;
    if (kind === ofsDelta) {
      let distance = -1;
      let byte: number;
      do {
        byte = this.#byteAt(head, at++, offset);
        distance = (distance + 1) * 128 + (byte & 0x7f);
      } while (byte >= 0x80);
      baseOffset = offset - distance;
      if (distance === 0 || baseOffset < headerSizeBytes) {
        throw this.#corrupt(offset, 'has its base outside of it');
      }
    } else if (kind === refDelta) {
      if (at + this.oidSizeBytes > head.length) throw this.#corrupt(offset, 'has no end');
      const base = this.index.find(head.subarray(at, at + this.oidSizeBytes));
      if (base === undefined) throw this.#corrupt(offset, 'has a base that is not in it');
      baseOffset = base;
      at += this.oidSizeBytes;
    } else if (type === undefined) {
      throw this.#corrupt(offset, `has the unknown type ${kind}`);
    }
    return { offset, type, baseOffset, sizeBytes, dataOffset: offset + at };
  }

  /** The most bytes that the compressed data of an entry can have. */
  #compressedBoundBytes(entry: PackEntry): number {
    return this.#dataEnd - entry.dataOffset;
  }

  /** Inflates an entry; undefined when its compressed form is too long to be looked at in one piece. */
  inflate(entry: PackEntry): Buffer | undefined {
    const bound = Math.min(deflatedBoundBytes(entry.sizeBytes), this.#compressedBoundBytes(entry));
    const resident = this.file.sliceToPageEnd(entry.dataOffset);
    const input = resident.length >= bound ? resident : this.file.slice(entry.dataOffset, bound);
    return inflateExactly(input, entry.sizeBytes);
  }

  /** The zlib stream of an entry, which is checked for it; undefined as for `inflate`, or when it is long. */
  deflated(entry: PackEntry): Buffer | undefined {
    if (entry.sizeBytes > largestSyncInflateBytes) return undefined;
    const bound = Math.min(deflatedBoundBytes(entry.sizeBytes), this.#compressedBoundBytes(entry));
    const input = this.file.slice(entry.dataOffset, bound);
    const inflated = inflateAndMeasure(input, entry.sizeBytes);
    return inflated && input.subarray(0, inflated.compressedSizeBytes);
  }

  /** The first bytes of what is compressed in an entry: enough for the head of a delta. */
  inflateStart(entry: PackEntry): Buffer {
    const length = Math.min(inflateStartInputBytes, this.#compressedBoundBytes(entry));
    return inflateStart(this.file.slice(entry.dataOffset, length), entry.sizeBytes);
  }

  /** Inflates an entry piece by piece, past the pages in memory. */
  inflateChunks(entry: PackEntry): AsyncGenerator<Buffer, void, undefined> {
    checkDeclaredSize(entry.sizeBytes, this.#compressedBoundBytes(entry));
    return inflateChunks(this.#compressed(entry.dataOffset), entry.sizeBytes);
  }

  /** Inflates an entry that is too large for `inflate`; see `inflateLarge` about `onStart`. */
  inflateLarge(entry: PackEntry, onStart?: OnStart): Promise<Buffer> {
    checkDeclaredSize(entry.sizeBytes, this.#compressedBoundBytes(entry));
    return inflateLarge(this.#compressed(entry.dataOffset), entry.sizeBytes, onStart);
  }

  /** Lets go of the files. */
  close(): void {
    this.file.close();
    this.index.file.close();
  }

  /** The pack from `offset` on. Three buffers take turns: one is filled, the others are worked on. */
  async *#compressed(offset: number): AsyncGenerator<Buffer, void, undefined> {
    const end = this.#dataEnd;
    const sizeBytes = Math.min(wholeInputBytes, end - offset);
    let [buffer, next, last] = [0, 1, 2].map(() => Buffer.allocUnsafe(sizeBytes)) as [
      Buffer,
      Buffer,
      Buffer,
    ];
    let reading = this.#readPiece(buffer, offset);
    for (let at = offset; at < end; at += wholeInputBytes) {
      const piece = await reading;
      [buffer, next, last] = [next, last, buffer];
      reading = this.#readPiece(buffer, at + wholeInputBytes);
      yield piece;
    }
  }

  #readPiece(buffer: Buffer, offset: number): Promise<Buffer> {
    const sizeBytes = Math.max(0, Math.min(buffer.length, this.#dataEnd - offset));
    const reading = this.file.readInto(buffer.subarray(0, sizeBytes), offset);
    // Whoever has all he needs does not wait for the last one; everybody else is told.
    reading.catch(() => undefined);
    return reading;
  }

  get #dataEnd(): number {
    return this.file.sizeBytes - this.oidSizeBytes;
  }

  /** Once: that this is a pack, and the one that the index was made for. */
  #check(): void {
    if (this.#isChecked) return;
    if (this.#packFailure !== undefined) throw this.#packFailure;
    try {
      this.#checkEnds();
      this.#isChecked = true;
    } catch (error) {
      if (error instanceof CorruptObjectError) this.#packFailure = error;
      throw error;
    }
  }

  #checkEnds(): void {
    const { path } = this.file;
    const version = this.file.readUInt32(4);
    if (this.file.readUInt32(0) !== magic || (version !== 2 && version !== 3)) {
      throw new CorruptObjectError(`${path} is no pack of version 2 or 3`);
    }
    const checksum = this.file.slice(this.#dataEnd, this.oidSizeBytes);
    if (!checksum.equals(this.index.packChecksum())) {
      throw new CorruptObjectError(`${path} does not belong to its index, or is cut off`);
    }
  }

  #byteAt(head: Buffer, at: number, offset: number): number {
    const byte = head[at];
    if (byte === undefined) throw this.#corrupt(offset, 'has no end');
    return byte;
  }

  #corrupt(offset: number, what: string): CorruptObjectError {
    return new CorruptObjectError(`${this.file.path}: the entry at ${offset} ${what}`);
  }
}
