/** What is used of the handle behind a zlib stream of Node (src/node_zlib.cc). */
interface Handle {
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

/**
 * A context of zlib that is used again and again, at once. `inflateSync` and `deflateSync` make a stream
 * for each call, with memory that the collector has to look after, and throw it away: 4 µs for what zlib
 * does in one, and five times that in a process that has just started.
 */
export class ZlibContext {
  readonly #handle: Handle;
  /** How much room is left in the output, and how much of the input: Node puts it here after each write. */
  readonly #left: ArrayLike<number>;
  #failures = 0;

  private constructor(handle: Handle, left: ArrayLike<number>) {
    this.#handle = handle;
    this.#left = left;
    handle.onerror = () => (this.#failures += 1);
  }

  /**
   * The context of a stream that nobody else uses; `null` where that of a later Node is not as expected, or
   * does not do what it should in a trial.
   */
  static tried(stream: object, isRight: (context: ZlibContext) => boolean): ZlibContext | null {
    const { _handle: handle, _writeState: left } = stream as {
      readonly _handle?: Handle;
      readonly _writeState?: Uint32Array;
    };
    if (typeof handle?.writeSync !== 'function' || typeof handle.reset !== 'function') return null;
    if (!ArrayBuffer.isView(left)) return null;
    const context = new ZlibContext(handle, left);
    try {
      return isRight(context) ? context : null;
    } catch {
      // Whatever it is: the functions that Node documents are the way then.
      return null;
    }
  }

  /** Takes a new input, as far as there is room for what comes out; false when zlib finds an error. */
  run(flush: number, input: Uint8Array, output: Uint8Array): boolean {
    const failuresBefore = this.#failures;
    this.#handle.reset();
    this.#handle.writeSync(flush, input, 0, input.length, output, 0, output.length);
    return this.#failures === failuresBefore;
  }

  /** How many bytes of the last output were not needed. */
  get roomLeft(): number {
    return this.#left[0] ?? 0;
  }

  /** How many bytes of the last input were not read. */
  get inputLeft(): number {
    return this.#left[1] ?? 0;
  }
}
