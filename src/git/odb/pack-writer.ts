import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { InvalidArgumentError } from '../../errors.ts';
import type { Disk } from '../disk.ts';
import { beginObjectHash, finishObjectHash } from '../hash-object.ts';
import type { ObjectType } from '../hash-object.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { deflatePieces } from './deflate.ts';
import { EntryCheck } from './entry-check.ts';
import { PackFile } from './pack-file.ts';
import { packEntryHeader, packHeader, packHeaderBytes } from './pack-headers.ts';
import type { PackIndexEntry } from './pack-index-writer.ts';
import { PackSum } from './pack-sum.ts';
import { namePack } from './pack-naming.ts';
import type { FinishOptions, FinishedPack } from './pack-naming.ts';

/** An object in a pack that is being written. */
export interface PackedObject extends PackIndexEntry {
  readonly type: ObjectType;
  readonly sizeBytes: number;
  /** Where its zlib stream starts in the pack, and where it ends. */
  readonly dataOffset: number;
  readonly endOffset: number;
  /**
   * For content of more than `pieceBytes`: where its pieces meet, counted from `dataOffset`; piece `i`
   * stands between `pieceEdges[i]` and `pieceEdges[i + 1]` and can be inflated without the others.
   */
  readonly pieceEdges?: readonly number[];
}

/** An object of at most `pieceBytes` of content, as a zlib stream in parts. */
export interface DeflatedObject {
  readonly oid: Oid;
  readonly type: ObjectType;
  readonly sizeBytes: number;
  readonly deflated: readonly Buffer[];
  /** Whether it may stay in memory until something is written behind it, or the pack is finished. */
  readonly mayWait?: boolean;
}

/** The content of an object of more than `pieceBytes`, from `cutIntoPieces`. */
export interface PiecedContent {
  readonly type: ObjectType;
  readonly sizeBytes: number;
  readonly pieces: AsyncIterable<Buffer>;
  /** The zlib level, -1 to 9; what does not shrink and what is big gets a lower one. */
  readonly compressionLevel: number;
  /** Nothing else comes into this pack, so its checksum can be taken on the way. */
  readonly isAlone?: boolean;
}

interface QueuedObject {
  readonly object: DeflatedObject;
  readonly resolve: (packed: PackedObject) => void;
  readonly reject: (error: unknown) => void;
}

const mostBytesInOneWrite = 1024 * 1024;
// A smaller pack is hashed before the disk has begun.
const syncedEarlyBytes = 8 * 1024 * 1024;

/**
 * A pack (gitformat-pack) in a temporary file that objects are appended to, whole and not as deltas,
 * until it is finished: then it gets its index and its name, and git sees it.
 *
 * The number of objects stands in front of them, so the checksum over everything is taken at the end
 * by reading the file once, out of the page cache as a rule; a running one would have to start over.
 * Only of an object that is to be alone is it known before.
 */
export class PackWriter {
  readonly #directory: string;
  readonly #algorithm: HashAlgorithm;
  readonly #file: PackFile;
  readonly #objects: PackedObject[] = [];
  #queue: QueuedObject[] = [];
  #draining: Promise<void> | undefined;
  /** Over all that is in it, where it was taken. */
  #checksum: Buffer | undefined;

  /** For a new one, `objects/pack/tmp_pack_vost_…`; `disk` tells where that is. */
  constructor(objectsDirectory: string, algorithm: HashAlgorithm, disk?: Disk) {
    this.#directory = join(objectsDirectory, 'pack');
    this.#algorithm = algorithm;
    this.#file = new PackFile(this.#directory, packHeaderBytes, disk);
  }

  /** The size so far, without what is under way and without the checksum. */
  get sizeBytes(): number {
    return this.#file.endOffset;
  }

  /**
   * Appends an object that is deflated already. It resolves when the system has taken the bytes, or they
   * wait for that. Objects that come while others are written go together with the next write.
   */
  append(object: DeflatedObject): Promise<PackedObject> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ object, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /**
   * Appends an object at once, to the file or to what has room in it, or gives `undefined` where that cannot
   * be: then `append` can.
   */
  appendHere(object: DeflatedObject): PackedObject | undefined {
    if (this.#draining !== undefined) return undefined;
    const offset = this.#file.endOffset;
    const header = packEntryHeader(object.type, object.sizeBytes);
    const parts = [header, ...object.deflated];
    const isHeld = object.mayWait === true ? this.#file.hold(parts) : this.#file.holdInRoom(parts);
    if (!isHeld && !this.#file.appendHere(parts)) return undefined;
    return this.#addDeflated(object, header, offset);
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#takeBatch();
      try {
        await this.#writeBatch(batch);
      } catch (error) {
        await this.#file.dropTail();
        for (const { reject } of batch) reject(error);
      }
    }
    this.#draining = undefined;
  }

  #takeBatch(): QueuedObject[] {
    let count = 0;
    let bytes = 0;
    for (const { object } of this.#queue) {
      count += 1;
      for (const part of object.deflated) bytes += part.length;
      if (bytes >= mostBytesInOneWrite) break;
    }
    return this.#queue.splice(0, count);
  }

  async #writeBatch(batch: readonly QueuedObject[]): Promise<void> {
    const entries = batch.map(({ object, resolve }) => {
      return { object, resolve, header: packEntryHeader(object.type, object.sizeBytes) };
    });
    const parts = entries.flatMap(({ object, header }) => [header, ...object.deflated]);
    let offset = this.#file.endOffset;
    const isHeld = batch.every(({ object }) => object.mayWait) && this.#file.hold(parts);
    if (!isHeld) await this.#file.append(parts);
    for (const { object, header, resolve } of entries) {
      const packed = this.#addDeflated(object, header, offset);
      offset = packed.endOffset;
      resolve(packed);
    }
  }

  #addDeflated(
    { oid, type, sizeBytes, deflated }: DeflatedObject,
    header: Buffer,
    offset: number,
  ): PackedObject {
    const dataOffset = offset + header.length;
    let endOffset = dataOffset;
    let checksum = crc32(header);
    for (const part of deflated) {
      endOffset += part.length;
      checksum = crc32(part, checksum);
    }
    return this.#add({ oid, type, sizeBytes, offset, dataOffset, endOffset, crc32: checksum });
  }

  /**
   * Appends an object as its pieces come in, with bounded memory. Nothing else may be appended
   * meanwhile. The id is known only at the end; when `isWanted` says no to it, nothing is kept.
   * Content of another size than announced is an `InvalidArgumentError`; after any error the pack is
   * as it was before.
   */
  async appendPieces(
    { type, sizeBytes, pieces, compressionLevel, isAlone }: PiecedContent,
    isWanted: (oid: Oid) => Promise<boolean>,
  ): Promise<{ oid: Oid; packed: PackedObject | undefined }> {
    await this.#draining;
    const knowsCount = isAlone === true && this.#objects.length === 0;
    const sum = knowsCount ? await this.#sumOfOne() : undefined;
    const hash = beginObjectHash(this.#algorithm, type, sizeBytes);
    const checked = checkingSize(pieces, sizeBytes, (piece) => hash.update(piece));
    const offset = this.#file.endOffset;
    const header = packEntryHeader(type, sizeBytes);
    const dataOffset = offset + header.length;
    const pieceEdges: number[] = [];
    let position = offset;
    let checksum = 0;
    // The next piece is hashed and deflated while this one is written.
    let writing: Promise<void> | undefined;
    const put = async (bytes: Buffer): Promise<void> => {
      checksum = crc32(bytes, checksum);
      await writing;
      sum?.wroteUpTo(position);
      this.#file.writeOut(position);
      writing = this.#file.writeAt(bytes, position);
      writing.catch(() => undefined);
      position += bytes.length;
    };
    try {
      await put(header);
      const deflated = deflatePieces(checked, sizeBytes, compressionLevel, type, true);
      for await (const stored of deflated) {
        await put(stored);
        pieceEdges.push(position - dataOffset);
      }
      await writing;
      // Behind the last piece stands the stream's tail, which is none.
      pieceEdges.pop();
      const oid = finishObjectHash(hash);
      const sums = await sum?.finish(position);
      if (await isWanted(oid)) {
        const place = { offset, dataOffset, endOffset: position, pieceEdges };
        const packed = this.#add({ oid, type, sizeBytes, crc32: checksum, ...place });
        // Where that is not so, the file is looked at again when the pack is finished.
        if (sums?.crc32 === checksum) this.#checksum = sums.checksum;
        return { oid, packed };
      }
      await this.#file.dropTail();
      return { oid, packed: undefined };
    } catch (error) {
      await writing?.catch(() => undefined);
      await sum?.stop();
      await this.#file.dropTail();
      throw error;
    }
  }

  /** For what will be the only object. */
  async #sumOfOne(): Promise<PackSum> {
    const fd = await this.#file.descriptor();
    return new PackSum({ fd, algorithm: this.#algorithm, header: packHeader(1) });
  }

  /**
   * Appends objects of another pack as they are stored there, and tells what they are called here. One
   * that is damaged is a `CorruptObjectError`.
   */
  async copyFrom(
    source: PackWriter,
    objects: readonly PackedObject[],
  ): Promise<{ from: PackedObject; to: PackedObject }[]> {
    const copies: { from: PackedObject; to: PackedObject }[] = [];
    for (const run of runsOfNeighbours(objects)) {
      const shift = this.#file.endOffset - run.offset;
      const check = new EntryCheck(run.objects);
      for await (const { bytes, position } of source.#file.read(run.offset, run.endOffset)) {
        check.see(bytes, position);
        await this.#file.writeAt(bytes, position + shift);
      }
      for (const from of run.objects) {
        const offset = from.offset + shift;
        const dataOffset = from.dataOffset + shift;
        const endOffset = from.endOffset + shift;
        copies.push({ from, to: this.#add({ ...from, offset, dataOffset, endOffset }) });
      }
    }
    return copies;
  }

  /** Bytes of the file, as many as asked for. */
  readAt(position: number, length: number): Promise<Buffer> {
    return this.#file.readAt(position, length);
  }

  /**
   * Completes the pack and makes it visible, `pack-<checksum>.pack` first and then the `.idx` that git
   * looks for; with `fsync` each is on disk before the next step. Nothing may be appended from here
   * on, also not after a failure, but it can be tried again. The content stays readable here. An object
   * that is damaged by now is a `CorruptObjectError`.
   * `beforeNaming` is called with the path that the pack is about to get, and may refuse it.
   */
  async finish({ fsync, beforeNaming, spares }: FinishOptions): Promise<FinishedPack> {
    await this.#draining;
    const checksum = await this.#complete(fsync);
    return namePack(this.#file, {
      directory: this.#directory,
      algorithm: this.#algorithm,
      entries: this.#objects,
      checksum,
      fsync,
      beforeNaming,
      spares,
    });
  }

  /** Writes the header and the checksum, which it returns. */
  async #complete(fsync: boolean): Promise<Buffer> {
    await this.#file.cutOffTail();
    // The disk writes while this is hashed, and has nearly all when it is named and synced once more.
    const syncsEarly = fsync && this.#file.endOffset > syncedEarlyBytes;
    const syncing = syncsEarly ? this.#file.sync() : undefined;
    syncing?.catch(() => undefined);
    try {
      return await this.#addChecksum();
    } finally {
      await syncing;
    }
  }

  async #addChecksum(): Promise<Buffer> {
    await this.#file.writeAt(packHeader(this.#objects.length), 0);
    // Not taken anew when this is tried again: then it tells whether the file has kept everything.
    this.#checksum ??= await this.#hashAll();
    await this.#file.writeAt(this.#checksum, this.#file.endOffset);
    return this.#checksum;
  }

  async #hashAll(): Promise<Buffer> {
    const hash = createHash(this.#algorithm);
    const check = new EntryCheck(this.#objects);
    for await (const { bytes, position } of this.#file.read(0, this.#file.endOffset)) {
      check.see(bytes, position);
      hash.update(bytes);
    }
    return hash.digest();
  }

  /** Closes the file; it is gone if it was not finished. Nothing may be appended or read from here on. */
  async close(): Promise<void> {
    await this.#draining;
    await this.#file.close();
  }

  #add(packed: PackedObject): PackedObject {
    this.#objects.push(packed);
    this.#checksum = undefined;
    this.#file.advanceTo(packed.endOffset);
    return packed;
  }
}

async function* checkingSize(
  pieces: AsyncIterable<Buffer>,
  sizeBytes: number,
  see: (piece: Buffer) => void,
): AsyncGenerator<Buffer, void, undefined> {
  let seenBytes = 0;
  for await (const piece of pieces) {
    seenBytes += piece.length;
    if (seenBytes > sizeBytes) break;
    see(piece);
    yield piece;
  }
  if (seenBytes === sizeBytes) return;
  const found = seenBytes > sizeBytes ? 'more' : `${seenBytes}`;
  throw new InvalidArgumentError(`${sizeBytes} bytes of content were announced, ${found} came`);
}

interface Run {
  readonly offset: number;
  readonly endOffset: number;
  readonly objects: readonly PackedObject[];
}

/** Objects that stand next to each other, so that they can be copied in one go. */
function* runsOfNeighbours(objects: readonly PackedObject[]): Generator<Run, void, undefined> {
  const sorted = objects.toSorted((a, b) => a.offset - b.offset);
  let start = 0;
  for (const [index, { endOffset }] of sorted.entries()) {
    if (sorted[index + 1]?.offset === endOffset) continue;
    const run = sorted.slice(start, index + 1);
    yield { offset: run[0]?.offset ?? endOffset, endOffset, objects: run };
    start = index + 1;
  }
}
