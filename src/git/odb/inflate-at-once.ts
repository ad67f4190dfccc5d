import { constants, createInflate } from 'node:zlib';
import { allocateObject } from './allocate.ts';

// `inflateSync` makes a stream for each call, with memory that the collector has to look after, and throws
// it away: 4 µs for what zlib does in one, and five times that in a process that has just started. The
// handle behind a stream can be used again, at once and without the stream.

/** What is used of that handle (src/node_zlib.cc). */
interface ZlibHandle {
  /** Called before `writeSync` returns, when zlib has an error to tell. */
  onerror: () => void;
  reset(): void;
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputSizeBytes: number,
    output: Uint8Array,
    outputOffset: number,
    outputSizeBytes: number,
  ): void;
}

/** A stream that was inflated, and how long it is. */
export interface Inflated {
  readonly data: Buffer;
  readonly compressedSizeBytes: number;
}

class Inflater {
  readonly #handle: ZlibHandle;
  /** How much of the output, and of the input, zlib has left over: Node puts it here after each write. */
  readonly #left: ArrayLike<number>;
  #failures = 0;

  constructor(handle: ZlibHandle, left: ArrayLike<number>) {
    this.#handle = handle;
    this.#left = left;
    handle.onerror = () => (this.#failures += 1);
  }

  inflate(input: Buffer, sizeBytes: number): Inflated | undefined {
    // One byte more than needed, so that zlib reaches the checksum.
    const output = allocateObject(sizeBytes + 1);
    const failuresBefore = this.#failures;
    this.#handle.reset();
    this.#handle.writeSync(constants.Z_FINISH, input, 0, input.length, output, 0, output.length);
    if (this.#failures !== failuresBefore || this.#left[0] !== 1) return undefined;
    const compressedSizeBytes = input.length - (this.#left[1] ?? 0);
    return { data: output.subarray(0, sizeBytes), compressedSizeBytes };
  }
}

/** What is at the end of a short stream, to see whether the handle does what it should. */
const sample = { stream: Buffer.from('eJxLTEoGAAJNASc=', 'base64'), content: 'abc' };

// Made at first need; `null` where a later version of Node has other handles.
let inflater: Inflater | null | undefined;

function findInflater(): Inflater | null {
  const { _handle: handle, _writeState: left } = createInflate() as unknown as {
    readonly _handle?: ZlibHandle;
    readonly _writeState?: Uint32Array;
  };
  if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function') return null;
  if (!ArrayBuffer.isView(left)) return null;
  const found = new Inflater(handle, left);
  const { data, compressedSizeBytes } = found.inflate(sample.stream, sample.content.length) ?? {};
  const isRight = data?.toString() === sample.content;
  return isRight && compressedSizeBytes === sample.stream.length ? found : null;
}

/**
 * Inflates a zlib stream of exactly `sizeBytes` bytes, checksum included; `input` may go on behind it.
 * Undefined for all that is wrong, which `inflateSync` can tell, and where Node does not let us.
 */
export function inflateAtOnce(input: Buffer, sizeBytes: number): Inflated | undefined {
  inflater ??= findInflater();
  return inflater?.inflate(input, sizeBytes);
}
