import type { ByteString } from '../../git/byte-string.ts';
import type { DirectorySink, EntryReply, Ino } from '../vfs/operations.ts';
import { entryOutSizeBytes, wordsOf, writeEntryOut, writeU64 } from './wire.ts';

const direntHeaderSizeBytes = 24;
const fileTypeShift = 12;

/** An entry that comes without attributes: node id 0, which counts no lookup. */
const withoutNode: EntryReply = { attr: null, entryValidSec: 0, attrValidSec: 0 };

/**
 * The answer to one READDIR or READDIRPLUS: `struct fuse_dirent` or `struct fuse_direntplus`, each
 * padded to eight bytes, one behind the other until no more fit. It is made in a buffer of its own,
 * since a listing may take several turns of the event loop, other answers in between.
 */
export class DirectoryBuffer implements DirectorySink {
  readonly #plus: boolean;
  readonly buffer: Buffer;
  readonly #words: Uint32Array;
  #sizeBytes = 0;

  /** As much as fits into the buffer, which may hold anything. */
  constructor(buffer: Buffer, plus: boolean) {
    this.#plus = plus;
    this.buffer = buffer;
    this.#words = wordsOf(buffer);
  }

  /** What was added. */
  get bytes(): Buffer {
    return this.buffer.subarray(0, this.#sizeBytes);
  }

  add(name: ByteString, ino: Ino, mode: number, offset: number): boolean {
    return this.#add(name, withoutNode, ino, mode, offset);
  }

  addPlus(name: ByteString, entry: EntryReply, offset: number): boolean {
    if (!this.#plus) throw new TypeError('nobody asked for attributes');
    const { attr } = entry;
    if (attr === null) throw new TypeError('a listing has no entries for missing names');
    return this.#add(name, entry, attr.ino, attr.mode, offset);
  }

  #add(name: ByteString, entry: EntryReply, ino: Ino, mode: number, offset: number): boolean {
    const { buffer } = this;
    const words = this.#words;
    const start = this.#sizeBytes;
    const at = this.#plus ? start + entryOutSizeBytes : start;
    const end = at + direntHeaderSizeBytes + name.length;
    const paddedEnd = (end + 7) & ~7;
    if (paddedEnd > buffer.length) return false;
    // What pads the name is in the last eight bytes.
    words[(paddedEnd >>> 2) - 2] = 0;
    words[(paddedEnd >>> 2) - 1] = 0;
    if (this.#plus) writeEntryOut(words, entry, start);
    writeU64(words, ino, at);
    writeU64(words, offset, at + 8);
    words[(at + 16) >>> 2] = name.length;
    words[(at + 20) >>> 2] = (mode >>> fileTypeShift) & 0o17;
    buffer.write(name, at + direntHeaderSizeBytes, 'latin1');
    this.#sizeBytes = paddedEnd;
    return true;
  }
}
