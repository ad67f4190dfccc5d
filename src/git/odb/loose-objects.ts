import { readdir, unlink } from 'node:fs/promises';
import { CorruptObjectError } from '../../errors.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import type { ObjectType } from '../object.ts';
import { isOid } from '../oid.ts';
import type { Oid } from '../oid.ts';
import { ignoring, isSystemError } from '../system-error.ts';
import { ByteBudget } from './byte-budget.ts';
import type { ObjectData } from './delta-base-cache.ts';
import {
  closeDescriptor,
  openForReading,
  readAt,
  readOnce,
  statDescriptor,
} from './file-descriptor.ts';
import {
  checkDeclaredSize,
  inflateChunks,
  inflateExactly,
  inflateLarge,
  inflateStart,
  inflateStartInputBytes,
  largestSyncInflateBytes,
} from './inflate.ts';
import type { ObjectInfo } from './unpacking.ts';

// Most loose objects are smaller, and so read in one go.
const firstReadBytes = 16 * 1024;
const laterReadBytes = 256 * 1024;
// Thousands of reads that begin at once would each hold a buffer and a descriptor otherwise.
const filesBeingRead = new ByteBudget(64 * firstReadBytes);
// How long a listing of a directory is taken at its word.
const listingMs = 1000;
const headerPattern = /^(commit|tree|blob|tag) (0|[1-9][0-9]{0,15})\0/;
const longestHeaderBytes = 32;

interface Listing {
  readonly takenMs: number;
  readonly names: Promise<ReadonlySet<string>>;
  /** The same, when it is there. */
  found?: ReadonlySet<string>;
}
const noNames: ReadonlySet<string> = new Set();

/**
 * The loose objects of an object directory: `<2 digits>/<the others>`, each a zlib stream of
 * `<type> <size>\0<content>`. Undefined stands for an object that is not there; what breaks the
 * format is a `CorruptObjectError`, and system errors come as they are.
 */
export class LooseObjects {
  readonly #directory: string;
  readonly #disk: Disk;
  readonly #listings = new Map<string, Listing>();

  constructor(objectsDirectory: string, disk: Disk = farDisk) {
    this.#directory = objectsDirectory;
    this.#disk = disk;
  }

  /** The type and size, from the start of the file. */
  info(oid: Oid): Promise<ObjectInfo | undefined> {
    return filesBeingRead.run(firstReadBytes, async () => {
      const file = await this.open(oid, inflateStartInputBytes);
      file?.closeSoon();
      return file?.info;
    });
  }

  /** The object, whole. */
  read(oid: Oid): Promise<ObjectData | undefined> {
    return filesBeingRead.run(firstReadBytes, async () => {
      const file = await this.open(oid, firstReadBytes);
      if (file === undefined) return undefined;
      try {
        return { type: file.info.type, data: await file.content() };
      } finally {
        file.closeSoon();
      }
    });
  }

  /** An object to be read piece by piece; it has to be closed. */
  async open(oid: Oid, readBytes: number = firstReadBytes): Promise<LooseFile | undefined> {
    const path = this.pathOf(oid);
    let descriptor: number;
    try {
      descriptor = await openForReading(path);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw error;
    }
    try {
      return await LooseFile.read(path, descriptor, readBytes);
    } catch (error) {
      await closeDescriptor(descriptor);
      throw error;
    }
  }

  /** Tells whether the object is there. */
  async has(oid: Oid): Promise<boolean> {
    const path = this.pathOf(oid);
    try {
      await this.#disk.access(path);
      return true;
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return false;
      throw error;
    }
  }

  /**
   * Tells whether the object is there, and sets its time to now, so that no `git gc` takes it for
   * old. False also when that is not allowed: then a copy that can be kept has to be written.
   */
  async freshen(oid: Oid): Promise<boolean> {
    return this.#disk.touch(this.pathOf(oid));
  }

  /**
   * `freshen` for many objects of which most are not there: their directories are listed now and then
   * instead of asking for each object. One that came within the last second may be missed. Gives
   * nothing when it is there, and else since when (`performance.now()`) it is known to be missing.
   */
  async missingSince(oid: Oid): Promise<number | undefined> {
    // Where all is packed, none of the 256 directories is there.
    const top = this.#listing('');
    if (!(await top.names).has(oid.slice(0, 2))) return top.takenMs;
    const { takenMs, names } = this.#listing(oid.slice(0, 2));
    if (!(await names).has(oid.slice(2))) return takenMs;
    return (await this.freshen(oid)) ? undefined : performance.now();
  }

  /** Since when the object is known to be missing; `undefined` says nothing, also not that it is there. */
  missingSinceIfListed(oid: Oid): number | undefined {
    const top = this.#recent('');
    if (top?.found === undefined) return undefined;
    if (!top.found.has(oid.slice(0, 2))) return top.takenMs;
    const listing = this.#recent(oid.slice(0, 2));
    return listing?.found?.has(oid.slice(2)) === false ? listing.takenMs : undefined;
  }

  /** What a directory, or the one above them (`''`), holds, or held a moment ago. */
  #listing(directory: string): Listing {
    const recent = this.#recent(directory);
    if (recent !== undefined) return recent;
    const takenMs = performance.now();
    // Why a directory cannot be read is for those to say who need what is in it.
    const names = this.#list(directory).then(
      (found) => new Set(found),
      () => noNames,
    );
    const listing: Listing = { takenMs, names };
    void names.then((found) => (listing.found = found));
    this.#listings.set(directory, listing);
    return listing;
  }

  #recent(directory: string): Listing | undefined {
    const listing = this.#listings.get(directory);
    if (listing === undefined) return undefined;
    return performance.now() - listing.takenMs <= listingMs ? listing : undefined;
  }

  /** Removes the object, if it is still there: nothing else may need it. */
  async remove(oid: Oid): Promise<void> {
    await unlink(this.pathOf(oid)).catch(ignoring('ENOENT'));
  }

  /** Where the object stands when it is there. */
  pathOf(oid: Oid): string {
    return `${this.#directory}/${oid.slice(0, 2)}/${oid.slice(2)}`;
  }

  /** The ids that start with these digits. */
  async startingWith(prefix: string): Promise<Oid[]> {
    const oids: Oid[] = [];
    for (const directory of directoriesFor(prefix)) {
      for (const name of await this.#list(directory)) {
        const oid = directory + name;
        if (oid.startsWith(prefix) && isOid(oid)) oids.push(oid);
      }
    }
    return oids;
  }

  async #list(directory: string): Promise<string[]> {
    try {
      return await readdir(`${this.#directory}/${directory}`);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  }
}

/** An open loose object, its head already read. */
export class LooseFile {
  readonly info: ObjectInfo;
  readonly #descriptor: number;
  readonly #start: Buffer;
  readonly #headerSizeBytes: number;
  #reading: Promise<unknown> | undefined;

  private constructor(path: string, descriptor: number, start: Buffer) {
    this.#descriptor = descriptor;
    this.#start = start;
    const head = inflateStart(start.subarray(0, inflateStartInputBytes));
    const header = headerPattern.exec(head.toString('latin1', 0, longestHeaderBytes));
    const sizeBytes = Number(header?.[2]);
    if (header === null || !Number.isSafeInteger(sizeBytes)) {
      throw new CorruptObjectError(`${path} has no header of an object`);
    }
    this.#headerSizeBytes = header[0].length;
    this.info = { type: header[1] as ObjectType, sizeBytes };
  }

  /** Reads the head; `readBytes` of the file are read for it. */
  static async read(path: string, descriptor: number, readBytes: number): Promise<LooseFile> {
    const buffer = Buffer.allocUnsafe(readBytes);
    const count = await readOnce(descriptor, buffer, 0, 0);
    return new LooseFile(path, descriptor, buffer.subarray(0, count));
  }

  /** The content, whole. */
  async content(): Promise<Buffer> {
    const sizeBytes = this.#headerSizeBytes + this.info.sizeBytes;
    if (sizeBytes <= largestSyncInflateBytes) {
      // Nearly always all of it is in what was read for the head.
      const data = inflateExactly(this.#start, sizeBytes);
      if (data !== undefined) return data.subarray(this.#headerSizeBytes);
    }
    const compressedSizeBytes = await this.#compressedSizeBytes();
    checkDeclaredSize(sizeBytes, compressedSizeBytes);
    const data = await inflateLarge(this.#compressed(compressedSizeBytes), sizeBytes);
    return data.subarray(this.#headerSizeBytes);
  }

  /** The content, piece by piece. */
  async *chunks(): AsyncGenerator<Buffer, void, undefined> {
    const compressed = this.#compressed(await this.#compressedSizeBytes());
    let skip = this.#headerSizeBytes;
    for await (const chunk of inflateChunks(compressed, skip + this.info.sizeBytes)) {
      const rest = chunk.subarray(skip);
      skip -= chunk.length - rest.length;
      if (rest.length > 0) yield rest;
    }
  }

  async close(): Promise<void> {
    // Whoever stops reading chunks may leave a read behind, and its descriptor must not be another's.
    await this.#reading;
    await closeDescriptor(this.#descriptor);
  }

  /** Closes it without anybody waiting: a third of the time that a small object takes. */
  closeSoon(): void {
    // A file that was only read loses nothing.
    this.close().catch(() => undefined);
  }

  async #compressedSizeBytes(): Promise<number> {
    return (await statDescriptor(this.#descriptor)).size;
  }

  async *#compressed(sizeBytes: number): AsyncGenerator<Buffer, void, undefined> {
    yield this.#start;
    for (let at = this.#start.length; at < sizeBytes; at += laterReadBytes) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(laterReadBytes, sizeBytes - at));
      const reading = readAt(this.#descriptor, buffer, at);
      this.#reading = reading.catch(() => undefined);
      yield buffer.subarray(0, await reading);
    }
  }
}

function directoriesFor(prefix: string): string[] {
  if (prefix.length >= 2) return [prefix.slice(0, 2)];
  return Array.from({ length: 16 }, (_, digit) => prefix + digit.toString(16));
}
