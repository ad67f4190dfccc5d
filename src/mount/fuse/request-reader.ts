import type { ByteString } from '../../git/byte-string.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { rootIno } from '../vfs/operations.ts';
import type { Caller, Fh, Ino, Timespec } from '../vfs/operations.ts';
import { wordsOf } from './wire.ts';

/** The size of `struct fuse_in_header`, with which every request begins. */
export const requestHeaderSizeBytes = 40;

const twoTo32 = 0x1_0000_0000;
/** The upper half of `Number.MAX_SAFE_INTEGER`. */
const safeUpperHalf = 0x1f_ffff;
/** `FUSE_UNIQUE_RESEND`, in the upper half of `unique`. */
const resentBit = 0x8000_0000;

/** A request that breaks the protocol: too short, or with a field that cannot be (`EINVAL`). */
export class MalformedRequestError extends ErrnoError {
  constructor(message: string) {
    super('EINVAL', message);
    this.name = 'MalformedRequestError';
  }
}

/**
 * Reads the request that stands at the start of a buffer: its header, and the fields of its body by
 * their offset (as in linux/fuse.h). Each access is checked against the size of the request, so that a
 * malformed one ends in an error and never in the bytes of the request before. One reader serves all
 * requests in turn: whatever is needed after the next one arrives must be taken out before.
 */
export class RequestReader {
  /** 0 until a header has been read; the kernel numbers from 2 on. */
  unique = 0;
  /** It was read once before, by a daemon that died: it may have been done. */
  isResent = false;
  opcode = 0;
  ino: Ino = rootIno;
  readonly #buffer: Buffer;
  readonly #words: Uint32Array;
  #end = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
    this.#words = wordsOf(buffer);
  }

  /** Goes to the request of `sizeBytes` that now stands in the buffer. */
  begin(sizeBytes: number): void {
    this.unique = 0;
    this.#end = sizeBytes;
    if (sizeBytes < requestHeaderSizeBytes || sizeBytes > this.#buffer.length) {
      throw new MalformedRequestError(`${sizeBytes} bytes are no request`);
    }
    this.opcode = this.#word(4);
    const upper = this.#word(12);
    this.isResent = upper >= resentBit;
    this.unique = safeNumber(upper % resentBit, this.#word(8));
    this.ino = this.#u64(16) as Ino;
    const claimed = this.#word(0);
    if (claimed !== sizeBytes) {
      throw new MalformedRequestError(`a request of ${claimed} bytes came in ${sizeBytes}`);
    }
  }

  /** The same request in memory of its own, for what is not done with when the next one comes. */
  copy(): RequestReader {
    const copy = new RequestReader(Buffer.from(this.#buffer.subarray(0, this.#end)));
    copy.begin(this.#end);
    return copy;
  }

  /** By whose rights somebody asks: the user id for filesystems, setfsuid(2). */
  get uid(): number {
    return this.#word(24);
  }

  /** Who asks. */
  caller(): Caller {
    return {
      uid: this.uid,
      gid: this.#word(28),
      pid: this.#word(32),
    };
  }

  /** The size of the body, which follows the header. */
  get bodySizeBytes(): number {
    return this.#end - requestHeaderSizeBytes;
  }

  u32(offset: number): number {
    return this.#word(this.#at(offset, 4));
  }

  /** A 64-bit field that must fit a number: node ids, handles, offsets that we gave. */
  u64(offset: number): number {
    return this.#u64(this.#at(offset, 8));
  }

  ino64(offset: number): Ino {
    return this.u64(offset) as Ino;
  }

  /** A file handle; 0 says that there is none. */
  optionalFh(offset: number): Fh | undefined {
    const fh = this.u64(offset);
    return fh === 0 ? undefined : (fh as Fh);
  }

  /** A file handle that must be there. */
  fh(offset: number): Fh {
    const fh = this.optionalFh(offset);
    if (fh === undefined) throw new ErrnoError('EBADF');
    return fh;
  }

  /** A position or size in a file. Nothing here can be as large as 2^53 bytes: `EFBIG`. */
  filePosition(offset: number): number {
    const at = this.#at(offset, 8);
    const upper = this.#word(at + 4);
    if (upper > safeUpperHalf) throw new ErrnoError('EFBIG');
    return upper * twoTo32 + this.#word(at);
  }

  /** A count of bytes of which fewer may be served, so a larger one than fits is cut. */
  byteCount(offset: number): number {
    const at = this.#at(offset, 8);
    const count = this.#word(at + 4) * twoTo32 + this.#word(at);
    return Math.min(count, Number.MAX_SAFE_INTEGER);
  }

  /** Seconds since 1970, signed, and the nanoseconds that stand elsewhere. */
  time(secondsOffset: number, nanosecondsOffset: number): Timespec {
    const at = this.#at(secondsOffset, 8);
    const sec = (this.#word(at + 4) | 0) * twoTo32 + this.#word(at);
    const nsec = this.u32(nanosecondsOffset);
    if (!Number.isSafeInteger(sec) || nsec >= 1e9) {
      throw new MalformedRequestError(`there is no time ${sec} s and ${nsec} ns`);
    }
    return { sec, nsec };
  }

  /** The bytes up to the NUL that must follow them. */
  text(offset: number): ByteString {
    const start = this.#at(offset, 1);
    const end = this.#buffer.indexOf(0, start);
    if (end < 0 || end >= this.#end) throw new MalformedRequestError('a name has no end');
    return this.#buffer.toString('latin1', start, end) as ByteString;
  }

  /** As `text`, for the name of something in a directory. */
  name(offset: number): ByteString {
    const name = this.text(offset);
    if (name === '' || name === '.' || name === '..' || name.includes('/')) {
      throw new MalformedRequestError(`no file can have the name ${JSON.stringify(name)}`);
    }
    return name;
  }

  /** Bytes of the body where they stand: the view is void as soon as the next request is read. */
  bytes(offset: number, sizeBytes: number): Buffer {
    const start = this.#at(offset, sizeBytes);
    return this.#buffer.subarray(start, start + sizeBytes);
  }

  /** 32 bits at a multiple of 4, where all of them stand. */
  #word(at: number): number {
    return this.#words[at >>> 2] ?? 0;
  }

  #u64(at: number): number {
    return safeNumber(this.#word(at + 4), this.#word(at));
  }

  #at(offset: number, sizeBytes: number): number {
    const at = requestHeaderSizeBytes + offset;
    if (at + sizeBytes > this.#end) throw new MalformedRequestError('a request is too short');
    return at;
  }
}

function safeNumber(upper: number, lower: number): number {
  if (upper > safeUpperHalf) throw new MalformedRequestError('a number is out of range');
  return upper * twoTo32 + lower;
}
