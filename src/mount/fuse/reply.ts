import { ErrnoError } from '../vfs/errno.ts';
import { wordsOf, writeU64 } from './wire.ts';

/** The size of `struct fuse_out_header`, with which every answer begins. */
export const replyHeaderSizeBytes = 16;

/** Room for the header and the largest structs (those of CREATE). */
const structsSizeBytes = 512;

/**
 * The answer that is being made: a header, the structs behind it, and a payload that the kernel
 * takes from where it is. One buffer serves all answers, as an answer is made and written without a
 * pause in between.
 */
export class Reply {
  readonly buffer: Buffer = Buffer.alloc(structsSizeBytes);
  /** The same memory. */
  readonly words: Uint32Array = wordsOf(this.buffer);
  sizeBytes: number = replyHeaderSizeBytes;
  payload: Uint8Array | undefined;
  /** The first bytes of the buffer, by their number: to make one costs more than what is written in it. */
  readonly #starts: (Buffer | undefined)[] = [];

  /** Makes room for `sizeBytes` more and gives their position in `buffer`. */
  grow(sizeBytes: number): number {
    const at = this.sizeBytes;
    this.sizeBytes += sizeBytes;
    return at;
  }

  /** Ends the answer with some bytes. They must not change until it is written. */
  append(bytes: Uint8Array): void {
    this.payload = bytes;
  }

  /** The header and the structs. */
  get message(): Buffer {
    return (this.#starts[this.sizeBytes] ??= this.buffer.subarray(0, this.sizeBytes));
  }

  /** Starts over. */
  reset(): void {
    this.sizeBytes = replyHeaderSizeBytes;
    this.payload = undefined;
  }

  /**
   * Fills in the header: this answers the request `unique`. `errno` is 0 or a positive number. A
   * request that was sent again is known to the kernel by its number with the highest bit set.
   */
  finish(unique: number, errno: number, isResent = false): void {
    this.words[0] = this.totalSizeBytes;
    this.words[1] = -errno;
    writeU64(this.words, unique, 8);
    if (isResent) this.buffer.writeUInt8(this.buffer.readUInt8(15) | 0x80, 15);
  }

  get totalSizeBytes(): number {
    return this.sizeBytes + (this.payload?.length ?? 0);
  }
}

/**
 * The value of an extended attribute, or a list of them, for somebody who has room for
 * `roomBytes`; 0 asks only how much that would be.
 */
export interface SizedAnswer {
  readonly value: Uint8Array;
  readonly roomBytes: number;
}

/**
 * Ends an answer with a value, or with its size when that is what was asked for.
 * @throws {ErrnoError} ERANGE when there is no room for it
 */
export function appendSized(reply: Reply, { value, roomBytes }: SizedAnswer): void {
  if (roomBytes === 0) {
    reply.words[reply.grow(4) >>> 2] = value.length;
    reply.words[reply.grow(4) >>> 2] = 0;
  } else if (value.length > roomBytes) {
    throw new ErrnoError('ERANGE');
  } else {
    reply.append(value);
  }
}
