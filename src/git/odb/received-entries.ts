import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { CorruptObjectError } from '../../errors.ts';
import { beginObjectHash, finishObjectHash, hashObject } from '../hash-object.ts';
import type { ObjectType } from '../hash-object.ts';
import { oidFromBytes, oidSizeBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import {
  checkDeclaredSize,
  deflatedBoundBytes,
  inflateAndMeasure,
  inflateChunks,
  inflateLarge,
  largestSyncInflateBytes,
} from './inflate.ts';
import type { PackFile } from './pack-file.ts';

/** An entry of a pack that has been received. */
export interface ReceivedEntry {
  readonly offset: number;
  /** Where its zlib stream starts, and where that ends. */
  readonly dataOffset: number;
  readonly endOffset: number;
  /** The size of the object, or of the delta. */
  readonly sizeBytes: number;
  readonly crc32: number;
  /** Undefined for a delta. */
  readonly type: ObjectType | undefined;
  /** What a delta applies to: where that entry starts, or which object it is. */
  readonly base: number | Oid | undefined;
  /** Undefined for a delta that is not resolved yet. */
  readonly oid: Oid | undefined;
}

interface EntryHead {
  readonly offset: number;
  readonly type: ObjectType | undefined;
  readonly base: number | Oid | undefined;
  readonly sizeBytes: number;
  readonly dataOffset: number;
}

const headerBytes = 12;
const windowBytes = 1024 * 1024;
const bytesInOneTurn = 4 * 1024 * 1024;
const types: readonly (ObjectType | undefined)[] = [undefined, 'commit', 'tree', 'blob', 'tag'];
const ofsDelta = 6;
const refDelta = 7;

/** Reads the entries of a pack that has no index, one after the other (gitformat-pack). */
export class ReceivedEntries {
  readonly #file: PackFile;
  readonly #endOffset: number;
  readonly #algorithm: HashAlgorithm;
  #window: Buffer = Buffer.alloc(0);
  #windowOffset = 0;

  /** `endOffset` is where the entries end, and the checksum starts. */
  constructor(file: PackFile, endOffset: number, algorithm: HashAlgorithm) {
    this.#file = file;
    this.#endOffset = endOffset;
    this.#algorithm = algorithm;
  }

  /** All entries; what is not as declared is a `CorruptObjectError`. */
  async *all(count: number): AsyncGenerator<ReceivedEntry, void, undefined> {
    let turnOffset = headerBytes;
    let offset = headerBytes;
    for (let index = 0; index < count; index++) {
      const head = await this.#head(offset);
      const { oid, compressedSizeBytes } = await this.#measure(head);
      const endOffset = head.dataOffset + compressedSizeBytes;
      yield { ...head, endOffset, oid, crc32: await this.#checksum(offset, endOffset) };
      offset = endOffset;
      if (offset - turnOffset < bytesInOneTurn) continue;
      turnOffset = offset;
      await nextTurn();
    }
    if (offset !== this.#endOffset) {
      throw new CorruptObjectError('a received pack holds something behind its last entry');
    }
  }

  /** The content of an entry: an object or a delta, whole. */
  async content(entry: ReceivedEntry): Promise<Buffer> {
    const compressedSizeBytes = entry.endOffset - entry.dataOffset;
    if (entry.sizeBytes <= largestSyncInflateBytes) {
      const input = await this.#file.readAt(entry.dataOffset, compressedSizeBytes);
      const inflated = inflateAndMeasure(input, entry.sizeBytes);
      if (inflated !== undefined) return inflated.data;
    }
    checkDeclaredSize(entry.sizeBytes, compressedSizeBytes);
    return inflateLarge(this.#bytes(entry.dataOffset, entry.endOffset), entry.sizeBytes);
  }

  async #head(offset: number): Promise<EntryHead> {
    // A size of 10 bytes at most, then a distance of 10 or an id.
    const bytes = await this.#at(offset, 20 + oidSizeBytes[this.#algorithm]);
    let at = 0;
    const next = (): number => {
      const byte = bytes[at++];
      if (byte === undefined || at > 20) throw this.#damaged(offset, 'has no end');
      return byte;
    };
    const first = next();
    let sizeBytes = first & 0x0f;
    for (let unit = 16, byte = first; byte >= 0x80; unit *= 128) {
      byte = next();
      sizeBytes += (byte & 0x7f) * unit;
    }
    if (!Number.isSafeInteger(sizeBytes)) throw this.#damaged(offset, 'has an impossible size');
    const kind = (first >> 4) & 7;
    let base: number | Oid | undefined;
    if (kind === ofsDelta) {
      let distance = -1;
      let byte: number;
      do {
        byte = next();
        distance = (distance + 1) * 128 + (byte & 0x7f);
      } while (byte >= 0x80);
      base = offset - distance;
    } else if (kind === refDelta) {
      const size = oidSizeBytes[this.#algorithm];
      if (at + size > bytes.length) throw this.#damaged(offset, 'has no end');
      base = oidFromBytes(bytes, at, size);
      at += size;
    } else if (types[kind] === undefined) {
      throw this.#damaged(offset, `has the unknown type ${kind}`);
    }
    return { offset, type: types[kind], base, sizeBytes, dataOffset: offset + at };
  }

  /** Finds out where an entry ends, and what an object is called. */
  async #measure({
    offset,
    type,
    sizeBytes,
    dataOffset,
  }: EntryHead): Promise<{ oid: Oid | undefined; compressedSizeBytes: number }> {
    if (sizeBytes <= largestSyncInflateBytes) {
      const input = await this.#at(dataOffset, deflatedBoundBytes(sizeBytes));
      const inflated = inflateAndMeasure(input, sizeBytes);
      if (inflated !== undefined) {
        const { data, compressedSizeBytes } = inflated;
        const oid = type && hashObject(this.#algorithm, type, data);
        return { oid, compressedSizeBytes };
      }
    }
    checkDeclaredSize(sizeBytes, this.#endOffset - dataOffset);
    const hash = type && beginObjectHash(this.#algorithm, type, sizeBytes);
    let compressedSizeBytes: number | undefined;
    const input = this.#bytes(dataOffset, this.#endOffset);
    const chunks = inflateChunks(input, sizeBytes, (measured) => (compressedSizeBytes = measured));
    for await (const chunk of chunks) hash?.update(chunk);
    if (compressedSizeBytes === undefined) throw this.#damaged(offset, 'has no end');
    return { oid: hash && finishObjectHash(hash), compressedSizeBytes };
  }

  async #checksum(start: number, end: number): Promise<number> {
    if (start >= this.#windowOffset && end <= this.#windowOffset + this.#window.length) {
      const at = start - this.#windowOffset;
      return crc32(this.#window.subarray(at, at + end - start));
    }
    let checksum = 0;
    for await (const bytes of this.#bytes(start, end)) checksum = crc32(bytes, checksum);
    return checksum;
  }

  async *#bytes(start: number, end: number): AsyncGenerator<Buffer, void, undefined> {
    for await (const { bytes } of this.#file.read(start, end)) yield bytes;
  }

  /** The bytes from an offset on: so many at least, unless the entries end before. */
  async #at(offset: number, leastBytes: number): Promise<Buffer> {
    const least = Math.min(leastBytes, this.#endOffset - offset);
    if (least <= 0) throw this.#damaged(offset, 'is missing');
    const windowEnd = this.#windowOffset + this.#window.length;
    if (offset < this.#windowOffset || offset + least > windowEnd) {
      const length = Math.min(Math.max(windowBytes, least), this.#endOffset - offset);
      this.#window = await this.#file.readAt(offset, length);
      this.#windowOffset = offset;
    }
    return this.#window.subarray(offset - this.#windowOffset);
  }

  #damaged(offset: number, what: string): CorruptObjectError {
    return new CorruptObjectError(`a received pack is damaged: the entry at ${offset} ${what}`);
  }
}
