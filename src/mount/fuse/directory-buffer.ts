import type { ByteString } from '../../git/byte-string.ts';
import type { DirectorySink, EntryReply, Ino } from '../vfs/operations.ts';
import { entryOutSizeBytes, wordsOf, writeEntryOut, writeU64 } from './wire.ts';

const direntHeaderSizeBytes = 24;
const fileTypeShift = 12;

/** For what readdir(3) asks for at once, and a little more. */
const usualSizeBytes = 64 * 1024;
const mostFree = 4;
/** Used again, with the views of their memory: those take longer to make than a short listing. */
const free: DirectoryBuffer[] = [];

/** An entry that comes without attributes: node id 0, which counts no lookup. */
const withoutNode: EntryReply = { attr: null, entryValidSec: 0, attrValidSec: 0 };

/**
 * The answer to one READDIR or READDIRPLUS: `struct fuse_dirent` or `struct fuse_direntplus`, each
 * padded to eight bytes, one behind the other until no more fit. It is made in a buffer of its own,
 * since a listing may take several turns of the event loop, other answers in between.
 */
export class DirectoryBuffer implements DirectorySink {
  readonly #buffer: Buffer;
  readonly #words: Uint32Array;
  #roomBytes: number;
  #plus: boolean;
  #sizeBytes = 0;

  /** As much as fits into the buffer, which may hold anything. */
  constructor(buffer: Buffer, plus: boolean) {
    this.#buffer = buffer;
    this.#words = wordsOf(buffer);
    this.#roomBytes = buffer.length;
    this.#plus = plus;
  }

  /** An empty one with room for so many bytes, used before if there is one. */
  static take(roomBytes: number, plus: boolean): DirectoryBuffer {
    const isUsual = roomBytes <= usualSizeBytes;
    const taken = isUsual ? free.pop() : undefined;
    const sizeBytes = isUsual ? usualSizeBytes : roomBytes;
    const listing = taken ?? new DirectoryBuffer(Buffer.allocUnsafeSlow(sizeBytes), plus);
    listing.#roomBytes = roomBytes;
    listing.#plus = plus;
    listing.#sizeBytes = 0;
    return listing;
  }

  /** Nobody looks at it any more. */
  giveBack(): void {
    if (this.#buffer.length === usualSizeBytes && free.length < mostFree) free.push(this);
  }

  /** Nothing was added. */
  get isEmpty(): boolean {
    return this.#sizeBytes === 0;
  }

  /** What was added. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#sizeBytes);
  }

  add(name: ByteString, ino: Ino, mode: number, offset: number): boolean {
    const end = this.#writeDirent(name, ino, mode, offset);
    if (end === undefined) return false;
    if (this.#plus) writeEntryOut(this.#words, withoutNode, this.#sizeBytes);
    this.#sizeBytes = end;
    return true;
  }

  addPlus(name: ByteString, entry: EntryReply, offset: number): boolean {
    if (!this.#plus) throw new TypeError('nobody asked for attributes');
    const { attr } = entry;
    if (attr === null) throw new TypeError('a listing has no entries for missing names');
    const end = this.#writeDirent(name, attr.ino, attr.mode, offset);
    if (end === undefined) return false;
    writeEntryOut(this.#words, entry, this.#sizeBytes);
    this.#sizeBytes = end;
    return true;
  }

  /** Writes `struct fuse_dirent`, behind the attributes if there are some, and gives its end if it fits. */
  #writeDirent(name: ByteString, ino: Ino, mode: number, offset: number): number | undefined {
    const words = this.#words;
    const at = this.#plus ? this.#sizeBytes + entryOutSizeBytes : this.#sizeBytes;
    const end = (at + direntHeaderSizeBytes + name.length + 7) & ~7;
    if (end > this.#roomBytes) return undefined;
    // What pads the name is in the last eight bytes.
    words[(end >>> 2) - 2] = 0;
    words[(end >>> 2) - 1] = 0;
    writeU64(words, ino, at);
    writeU64(words, offset, at + 8);
    words[(at + 16) >>> 2] = name.length;
    words[(at + 20) >>> 2] = (mode >>> fileTypeShift) & 0o17;
    this.#buffer.write(name, at + direntHeaderSizeBytes, 'latin1');
    return end;
  }
}
