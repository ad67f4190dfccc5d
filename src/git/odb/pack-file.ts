import { createHash } from 'node:crypto';
import { CorruptObjectError } from '../../errors.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import type { OpenFile } from '../open-file.ts';
import type { HashAlgorithm } from '../oid.ts';
import { readFully, writeFully, writePartsFully } from '../read-write-fully.ts';
import { pieceBytes } from './deflate.ts';
import { TemporaryFile } from './temporary-file.ts';

const mostHeldBytes = 1024 * 1024;
const roomBytes = 64 * 1024;
const writtenOutBytes = 64 * 1024 * 1024;
const emptyRoom = Buffer.alloc(roomBytes);
const nothing = Buffer.alloc(0);

/**
 * The file of a pack that is being written. Bytes go to positions that are counted, never to "the
 * end", and what has been counted is not written again: a write that fails half way leaves nothing
 * that a later one could trip over. The last bytes that count may be held in memory, until something else
 * is written behind them or done with the file; they can be read meanwhile, and
 * before anything is written there is no file.
 */
export class PackFile {
  readonly #directory: string;
  readonly #disk: Disk;
  #file: TemporaryFile | undefined;
  #opening: Promise<TemporaryFile> | undefined;
  #endOffset: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Up to here the file has been written, if only with zeros. */
  #roomEnd = 0;
  #writingHeld: Promise<void> | undefined;
  #hasFailedToSync = false;
  #isWritingOut = false;
  #nextWriteOut = writtenOutBytes;
  #packPath: string | undefined;

  /**
   * For a file `tmp_pack_vost_…`, which is made when something has to be written; what is counted begins
   * behind a header of this length.
   */
  constructor(directory: string, headerBytes: number, disk: Disk = farDisk) {
    this.#directory = directory;
    this.#endOffset = headerBytes;
    this.#disk = disk;
  }

  /** Where the bytes end that count. */
  get endOffset(): number {
    return this.#endOffset;
  }

  get #heldStart(): number {
    return this.#endOffset - this.#heldBytes;
  }

  /** Makes all bytes before an offset count; they have been written. */
  advanceTo(endOffset: number): void {
    this.#endOffset = endOffset;
  }

  /** Holds some bytes behind those that count, and makes them count; `false` when they are too many. */
  hold(parts: readonly Buffer[]): boolean {
    const heldBytes = this.#heldBytes + totalBytes(parts);
    if (heldBytes > mostHeldBytes) return false;
    this.#endOffset += heldBytes - this.#heldBytes;
    this.#heldBytes = heldBytes;
    this.#held.push(...parts);
    return true;
  }

  /**
   * As `hold`, for few bytes that the disk must have room for. When there is none left in the file, some is
   * made: what is held is written, with zeros behind it. That is one write for many small parts, each of which
   * takes ten times as long as to be held. `false` where that cannot be done at once, or fails: `append` says why.
   */
  holdInRoom(parts: readonly Buffer[]): boolean {
    const sizeBytes = totalBytes(parts);
    if (sizeBytes > roomBytes) return false;
    if (this.#endOffset + sizeBytes > this.#roomEnd) {
      if (!this.#writeHeldHere(emptyRoom)) return false;
      this.#roomEnd = this.#endOffset + roomBytes;
    }
    return this.hold(parts);
  }

  /** Writes what is held, and something behind it, before it returns; `false` where that cannot be, or fails. */
  #writeHeldHere(behind: Buffer): boolean {
    if (this.#file === undefined || this.#writingHeld !== undefined) return false;
    const bytes = Buffer.concat([...this.#held, behind]);
    try {
      if (this.#file.handle.writevHere([bytes], this.#heldStart) !== bytes.length) return false;
    } catch {
      return false;
    }
    this.#held = [];
    this.#heldBytes = 0;
    return true;
  }

  /**
   * Writes bytes in several parts behind those that count, without making them count; few are written
   * when this returns, as a rule.
   */
  append(parts: readonly Buffer[]): Promise<void> | undefined {
    const file = this.#file;
    if (file !== undefined && this.#heldBytes === 0) {
      return writeParts(file.handle, parts, this.#endOffset);
    }
    return this.#written().then((opened) => writeParts(opened.handle, parts, this.#endOffset));
  }

  /**
   * Does what `append` does before it returns, or gives `false`: where the disk is far or there is no file
   * yet, and where something fails, for `append` to say.
   */
  appendHere(parts: readonly Buffer[]): boolean {
    if (this.#heldBytes > 0 && !this.#writeHeldHere(nothing)) return false;
    if (this.#file === undefined) return false;
    try {
      const written = this.#file.handle.writevHere(parts, this.#endOffset);
      return written === totalBytes(parts);
    } catch {
      return false;
    }
  }

  /** Writes at a position, without making the bytes count. */
  async writeAt(bytes: Uint8Array, position: number): Promise<void> {
    const { handle } = await this.#written();
    await writeFully(handle, bytes, position);
  }

  /** The file, which is made if there is none yet, with all that is held. After a failure that is held on. */
  async #written(): Promise<TemporaryFile> {
    const file = this.#file ?? (await this.#open());
    // More of it may come while some is written.
    while (this.#heldBytes > 0) {
      this.#writingHeld ??= this.#writeSomeHeld(file).finally(
        () => (this.#writingHeld = undefined),
      );
      await this.#writingHeld;
    }
    return file;
  }

  /** Shared, so that many first writes at once do not make a file each. */
  #open(): Promise<TemporaryFile> {
    this.#opening ??= TemporaryFile.create(this.#directory, 'tmp_pack_vost_', this.#disk)
      .then((file) => (this.#file = file))
      .finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #writeSomeHeld({ handle }: TemporaryFile): Promise<void> {
    const parts = [...this.#held];
    await writeParts(handle, parts, this.#heldStart);
    this.#held.splice(0, parts.length);
    this.#heldBytes -= totalBytes(parts);
  }

  /**
   * Gives the disk back what a failed write has taken of it, so far as that works; not the room for what is
   * held.
   */
  async dropTail(): Promise<void> {
    this.#roomEnd = Math.min(this.#roomEnd, this.#endOffset);
    // The failure of the write is the one to tell. What stays is written over by the next one, or
    // `cutOffTail` fails.
    const end = Math.max(this.#heldStart, this.#roomEnd);
    await this.#file?.handle.truncate(end).catch(() => undefined);
  }

  /** Removes all bytes that do not count. */
  async cutOffTail(): Promise<void> {
    const { handle } = await this.#written();
    this.#roomEnd = 0;
    await handle.truncate(this.#endOffset);
  }

  /** Bytes of the file, as many as asked for. */
  readAt(position: number, length: number): Promise<Buffer> {
    return this.#readInto(Buffer.allocUnsafe(length), position);
  }

  async #readInto(target: Buffer, position: number): Promise<Buffer> {
    if (this.#readHeld(target, position)) return target;
    const isWritten = position + target.length <= this.#heldStart;
    const { handle } = (isWritten ? this.#file : undefined) ?? (await this.#written());
    const bytes = await readFully(handle, position, target.length, target);
    if (bytes.length === target.length) return bytes;
    throw new CorruptObjectError('a temporary pack has been cut off');
  }

  /** Fills the target when all that it is to get is held. */
  #readHeld(target: Buffer, position: number): boolean {
    const end = position + target.length;
    let partStart = this.#heldStart;
    if (position < partStart || end > this.#endOffset) return false;
    for (const part of this.#held) {
      const partEnd = partStart + part.length;
      const [from, to] = [Math.max(position, partStart), Math.min(end, partEnd)];
      if (from < to) part.copy(target, from - position, from - partStart, to - partStart);
      partStart = partEnd;
    }
    return true;
  }

  /**
   * A part of the file of any length, in parts with their position. The memory of one is used again when
   * the one after the next is asked for.
   */
  async *read(
    start: number,
    end: number,
  ): AsyncGenerator<{ bytes: Buffer; position: number }, void, undefined> {
    const buffers: Buffer[] = [];
    const readPart = (position: number): Promise<Buffer> => {
      const length = Math.min(pieceBytes, end - position);
      // Those before the last two that were handed out are not needed any more.
      const buffer = buffers.length === 3 ? buffers.shift() : undefined;
      const target = buffer ?? Buffer.allocUnsafeSlow(Math.min(pieceBytes, end - start));
      buffers.push(target);
      const reading = this.#readInto(target.subarray(0, length), position);
      // Whoever stops early leaves one behind.
      reading.catch(() => undefined);
      return reading;
    };
    let next = start < end ? readPart(start) : undefined;
    for (let position = start; next !== undefined; position += pieceBytes) {
      const bytes = await next;
      // The next part is read while this one is worked on.
      next = position + pieceBytes < end ? readPart(position + pieceBytes) : undefined;
      yield { bytes, position };
    }
  }

  /** The descriptor of the file, which is made if there is none yet. */
  async descriptor(): Promise<number> {
    const { handle } = await this.#written();
    return handle.fd;
  }

  /**
   * Lets the disk begin with what was written up to here, when that is much: it has nearly all then when the
   * file is synced. What goes wrong is known to `renew`.
   */
  writeOut(end: number): void {
    if (this.#isWritingOut || end < this.#nextWriteOut) return;
    this.#nextWriteOut = end + writtenOutBytes;
    this.#isWritingOut = true;
    this.sync()
      .catch(() => undefined)
      .finally(() => (this.#isWritingOut = false));
  }

  /** Makes the content survive a power cut. */
  async sync(): Promise<void> {
    const { handle } = await this.#written();
    try {
      await handle.sync();
    } catch (error) {
      this.#hasFailedToSync = true;
      throw error;
    }
  }

  /** The name of its own that it got last. */
  get packPath(): string | undefined {
    return this.#packPath;
  }

  /** Gives the file its own name. ENOENT: somebody took the temporary one away, see `renew`. */
  async renameTo(path: string): Promise<void> {
    const file = await this.#written();
    await file.renameTo(path);
    this.#packPath = path;
  }

  /**
   * Moves the content to a new file when the old one cannot be the pack any more. Either `git prune`
   * has taken its name away, and a file without one cannot get one again; the new name is none that
   * it takes, for writing the content again can last longer than its next round is away. Or a sync has
   * failed: the system tells once what it could not write, and calls the next sync a success.
   * Content without the checksum at its end is a `CorruptObjectError`.
   */
  async renew(checksum: Buffer, algorithm: HashAlgorithm): Promise<void> {
    const old = await this.#written();
    if (!this.#hasFailedToSync && !old.isUnlinked()) return;
    const file = await TemporaryFile.create(this.#directory, 'vost_pack_', this.#disk);
    try {
      const hash = createHash(algorithm);
      for await (const { bytes, position } of this.read(0, this.#endOffset)) {
        hash.update(bytes);
        await writeFully(file.handle, bytes, position);
      }
      if (!hash.digest().equals(checksum)) {
        throw new CorruptObjectError('a temporary pack has not kept what was written to it');
      }
      await writeFully(file.handle, checksum, this.#endOffset);
    } catch (error) {
      await file.handle.close();
      await file.unlink();
      throw error;
    }
    this.#file = file;
    this.#hasFailedToSync = false;
    // Waits for those who read from it just now.
    await old.handle.close();
    await old.unlink();
  }

  /** Closes the file; without a name of its own it is gone. */
  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined);
    await this.#file?.unlink();
    await this.#file?.handle.close();
  }
}

function writeParts(
  handle: OpenFile,
  parts: readonly Buffer[],
  position: number,
): Promise<void> | undefined {
  const written = handle.writevHere(parts, position);
  if (written === undefined) return writePartsFully(handle, parts, position);
  const sizeBytes = totalBytes(parts);
  if (written === sizeBytes) return undefined;
  const rest = Buffer.concat(parts, sizeBytes).subarray(written);
  return writeFully(handle, rest, position + written);
}

function totalBytes(parts: readonly Buffer[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}
