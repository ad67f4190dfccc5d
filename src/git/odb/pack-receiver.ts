import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { CorruptObjectError } from '../../errors.ts';
import { oidSizeBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { deflateWhole } from './deflate.ts';
import type { ObjectDatabase } from './object-database.ts';
import { PackFile } from './pack-file.ts';
import type { PackIndexEntry } from './pack-index-writer.ts';
import { PackKeeps } from './pack-keeps.ts';
import { namePack } from './pack-naming.ts';
import { packEntryHeader } from './pack-headers.ts';
import { missingBasesError, ReceivedDeltas } from './received-deltas.ts';
import { ReceivedEntries } from './received-entries.ts';
import type { ReceivedEntry } from './received-entries.ts';

/** How a pack is received. */
export interface ReceiveOptions {
  readonly signal?: AbortSignal | undefined;
  /** A pack of more bytes is refused. Default: as many as the disk takes. */
  readonly largestSizeBytes?: number;
  /** Told how much has come so far. */
  readonly onBytes?: (received: number) => void;
  /** Told how many of the entries are indexed. */
  readonly onEntry?: (indexed: number, total: number) => void;
}

/**
 * A pack that is in the repository now. It is not taken out again when it turns out to be useless, for
 * others may rely on what is in it: that is left to `git gc`.
 */
export interface ReceivedPack {
  readonly objectCount: number;
  /** Ends its protection from `git repack`: a ref leads to what is in it, or nobody needs it. */
  letGo(): Promise<void>;
}

const headerBytes = 12;

/**
 * Takes a pack from a stream, which ends where the pack does, into the repository, as `git index-pack
 * --fix-thin` does: checks its checksum and every object in it, completes it with the bases of deltas
 * that the repository holds already, and gives it an index. When anything is wrong (a
 * `CorruptObjectError`), or the stream fails, nothing is left of it. The memory it needs is bounded
 * by the objects that are deltas (`ObjectTooLargeError` past 1 GiB) and some 300 bytes for each entry.
 */
export async function receivePack(
  odb: ObjectDatabase,
  chunks: AsyncIterable<Uint8Array>,
  options: ReceiveOptions = {},
): Promise<ReceivedPack> {
  const directory = join(odb.objectsDirectory, 'pack');
  const file = new PackFile(directory, 0);
  try {
    return await new PackReceiver(odb, directory, file, options).receive(chunks);
  } finally {
    await file.close();
  }
}

class PackReceiver {
  readonly #odb: ObjectDatabase;
  readonly #algorithm: HashAlgorithm;
  readonly #directory: string;
  readonly #file: PackFile;
  readonly #options: ReceiveOptions;
  readonly #index: PackIndexEntry[] = [];

  constructor(odb: ObjectDatabase, directory: string, file: PackFile, options: ReceiveOptions) {
    this.#odb = odb;
    this.#algorithm = odb.algorithm;
    this.#directory = directory;
    this.#file = file;
    this.#options = options;
  }

  async receive(chunks: AsyncIterable<Uint8Array>): Promise<ReceivedPack> {
    const received = await this.#spool(chunks);
    const count = await this.#readHeader();
    if (count === 0) return { objectCount: 0, letGo: () => Promise.resolve() };
    const thinBases = await this.#indexEntries(count);
    const checksum = thinBases === 0 ? received : await this.#rewriteEnds(count + thinBases);
    const keeps = new PackKeeps();
    try {
      await namePack(this.#file, {
        directory: this.#directory,
        algorithm: this.#algorithm,
        entries: this.#index,
        checksum,
        fsync: true,
        beforeNaming: (path) => keeps.keep(path),
        spares: this.#odb.spareIndexes,
      });
    } catch (error) {
      await keeps.letGo();
      throw error;
    }
    await this.#odb.refresh();
    return { objectCount: count, letGo: () => keeps.letGo() };
  }

  /** Writes everything to the file; gives the checksum at its end, which has been checked. */
  async #spool(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
    const { signal, largestSizeBytes = Infinity, onBytes } = this.#options;
    const hash = createHash(this.#algorithm);
    const hashBytes = oidSizeBytes[this.#algorithm];
    let tail: Buffer = Buffer.alloc(0);
    let sizeBytes = 0;
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      await this.#file.writeAt(chunk, sizeBytes);
      sizeBytes += chunk.length;
      if (sizeBytes > largestSizeBytes) {
        throw new CorruptObjectError(`a pack of more than ${largestSizeBytes} bytes is refused`);
      }
      onBytes?.(sizeBytes);
      // What may be the checksum is not a part of what it sums up.
      const last = Buffer.concat([tail, chunk]);
      const summedUp = Math.max(0, last.length - hashBytes);
      hash.update(last.subarray(0, summedUp));
      tail = last.subarray(summedUp);
    }
    if (sizeBytes < headerBytes + hashBytes || !hash.digest().equals(tail)) {
      throw new CorruptObjectError('a received pack is cut off or damaged: its checksum is wrong');
    }
    this.#file.advanceTo(sizeBytes - hashBytes);
    return Buffer.from(tail);
  }

  async #readHeader(): Promise<number> {
    const header = await this.#file.readAt(0, headerBytes);
    const version = header.readUInt32BE(4);
    if (header.toString('latin1', 0, 4) !== 'PACK' || (version !== 2 && version !== 3)) {
      throw new CorruptObjectError('what was received is no pack of version 2 or 3');
    }
    return header.readUInt32BE(8);
  }

  /** Finds out what every entry is called; gives how many bases had to be added. */
  async #indexEntries(count: number): Promise<number> {
    const entries = new ReceivedEntries(this.#file, this.#file.endOffset, this.#algorithm);
    const deltas = new ReceivedDeltas(entries, this.#algorithm);
    const whole: ReceivedEntry[] = [];
    for await (const entry of entries.all(count)) {
      this.#options.signal?.throwIfAborted();
      if (entry.base !== undefined) deltas.add(entry, entry.base);
      else if (this.#note(entry, count)) whole.push(entry);
    }
    for (const entry of whole) {
      const { type, oid, offset } = entry;
      if (type === undefined || oid === undefined || !deltas.isBase(offset, oid)) continue;
      const data = await entries.content(entry);
      for await (const made of deltas.resolve({ type, data }, offset, oid)) this.#note(made, count);
    }
    return this.#completeThin(deltas, count);
  }

  async #completeThin(deltas: ReceivedDeltas, count: number): Promise<number> {
    const added: Oid[] = [];
    for (const base of deltas.missingBases) {
      // It may have been made meanwhile: a delta to an object that is a delta itself.
      if (typeof base === 'number' || !deltas.isBase(undefined, base)) continue;
      if (!(await this.#odb.has(base))) continue;
      const object = await this.#odb.read(base);
      added.push(base);
      for await (const made of deltas.resolve(object, undefined, base)) this.#note(made, count);
    }
    const missing = deltas.missingBases;
    if (missing.length > 0) throw missingBasesError(missing);
    // A base that is a delta in the pack itself may have been taken from the repository first.
    const inPack = new Set(added.length === 0 ? [] : this.#index.map(({ oid }) => oid));
    const toAppend = added.filter((oid) => !inPack.has(oid));
    for (const oid of toAppend) await this.#append(oid);
    return toAppend.length;
  }

  async #append(oid: Oid): Promise<void> {
    const { type, data } = await this.#odb.read(oid);
    const header = packEntryHeader(type, data.length);
    const deflated = await deflateWhole(data, -1);
    const offset = this.#file.endOffset;
    const entry = Buffer.concat([header, deflated]);
    await this.#file.writeAt(entry, offset);
    this.#file.advanceTo(offset + entry.length);
    this.#index.push({ oid, offset, crc32: crc32(entry) });
  }

  #note({ oid, offset, crc32: checksum }: ReceivedEntry, total: number): boolean {
    if (oid === undefined) return false;
    this.#index.push({ oid, offset, crc32: checksum });
    this.#options.onEntry?.(this.#index.length, total);
    return true;
  }

  /** Writes the header and the checksum anew, now that there are more entries. */
  async #rewriteEnds(count: number): Promise<Buffer> {
    const countBytes = Buffer.alloc(4);
    countBytes.writeUInt32BE(count);
    await this.#file.writeAt(countBytes, 8);
    await this.#file.cutOffTail();
    const hash = createHash(this.#algorithm);
    for await (const { bytes } of this.#file.read(0, this.#file.endOffset)) hash.update(bytes);
    const checksum = hash.digest();
    await this.#file.writeAt(checksum, this.#file.endOffset);
    return checksum;
  }
}
