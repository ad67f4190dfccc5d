import { constants, createInflate } from 'node:zlib';
import { allocateObject } from './allocate.ts';
import { ZlibContext } from './zlib-context.ts';

/** A stream that was inflated, and how long it is. */
export interface Inflated {
  readonly data: Buffer;
  readonly compressedSizeBytes: number;
}

/** A short stream, to see whether a context does what it should. */
const sample = { stream: Buffer.from('eJxLTEoGAAJNASc=', 'base64'), content: 'abc' };

// Made at first need; `null` where Node does not let us.
let context: ZlibContext | null | undefined;

function findContext(): ZlibContext | null {
  return ZlibContext.tried(createInflate(), (found) => {
    const inflated = inflateWith(found, sample.stream, sample.content.length);
    const isRight = inflated?.data.toString() === sample.content;
    return isRight && inflated.compressedSizeBytes === sample.stream.length;
  });
}

function inflateWith(
  inflating: ZlibContext,
  input: Buffer,
  sizeBytes: number,
): Inflated | undefined {
  // One byte more than needed, so that zlib reaches the checksum.
  const output = allocateObject(sizeBytes + 1);
  if (!inflating.run(constants.Z_FINISH, input, output) || inflating.roomLeft !== 1) return;
  const data = output.subarray(0, sizeBytes);
  return { data, compressedSizeBytes: input.length - inflating.inputLeft };
}

/**
 * Inflates a zlib stream of exactly `sizeBytes` bytes, checksum included; `input` may go on behind it.
 * Undefined for all that is wrong, which `inflateSync` can tell, and where Node does not let us.
 */
export function inflateAtOnce(input: Buffer, sizeBytes: number): Inflated | undefined {
  context ??= findContext();
  return context === null ? undefined : inflateWith(context, input, sizeBytes);
}
