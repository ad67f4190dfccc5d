import { pipeline } from 'node:stream/promises';
import { constants, createInflate, inflateSync } from 'node:zlib';
import type { Inflate } from 'node:zlib';
import { CorruptObjectError } from '../../errors.ts';
import { allocateObject, allocating } from './allocate.ts';
import { ByteBudget } from './byte-budget.ts';
import { inflateAtOnce } from './inflate-at-once.ts';
import type { Inflated } from './inflate-at-once.ts';

/**
 * What is larger is inflated on zlib's threads: this much takes 1 or 2 ms, and nothing else happens
 * on the event loop meanwhile.
 */
export const largestSyncInflateBytes: number = 512 * 1024;

/** Input for `inflateStart` that is enough: the tables of a deflate block take up to 285 bytes. */
export const inflateStartInputBytes = 512;

/** Input that comes in pieces of this size goes to zlib one by one: it is more than a stream queues. */
export const wholeInputBytes: number = 256 * 1024;

// Deflate says 258 bytes with 2 bits at best.
const highestRatio = 1032;
const outputChunkSizeBytes = 256 * 1024;
// zlib is given room for as much at once: memory that is new costs more than what is done with it.
const largestInOnePieceBytes = 64 * 1024 * 1024;
const leastChunkSizeBytes = 64;
// `inflateStart` is rarely given all of what is larger.
const smallContentBytes = inflateStartInputBytes;

// Results that are not complete; one that is larger comes alone.
const beingInflated = new ByteBudget(64 * 1024 * 1024);

/** The most that zlib makes of this many bytes. Other writers may need more, in theory. */
export function deflatedBoundBytes(sizeBytes: number): number {
  return sizeBytes + Math.ceil(sizeBytes / 1000) + 64;
}

/** Refuses a declared size that the compressed bytes cannot hold, before anybody allocates that much. */
export function checkDeclaredSize(sizeBytes: number, compressedSizeBytes: number): void {
  if (sizeBytes <= compressedSizeBytes * highestRatio) return;
  throw new CorruptObjectError(
    `${compressedSizeBytes} compressed bytes cannot hold the ${sizeBytes} that are declared`,
  );
}

/**
 * Inflates at once; `input` may go on behind the stream. Undefined when it ends before the stream
 * does. Anything but exactly `sizeBytes` bytes with the right checksum is a `CorruptObjectError`.
 */
export function inflateExactly(input: Buffer, sizeBytes: number): Buffer | undefined {
  return inflateAndMeasure(input, sizeBytes)?.data;
}

/** As `inflateExactly`, and tells how long the stream is. */
export function inflateAndMeasure(input: Buffer, sizeBytes: number): Inflated | undefined {
  const atOnce = inflateAtOnce(input, sizeBytes);
  if (atOnce !== undefined) return atOnce;
  let inflated: { readonly buffer: Buffer; readonly engine: Inflate };
  try {
    // One byte more than needed, so that zlib reaches the checksum in its first turn.
    inflated = inflateSync(input, {
      chunkSize: Math.max(leastChunkSizeBytes, sizeBytes + 1),
      maxOutputLength: Math.max(1, sizeBytes),
      info: true,
    }) as unknown as { readonly buffer: Buffer; readonly engine: Inflate };
  } catch (error) {
    if (isCutOff(error)) return undefined;
    throw corruptStream(error, sizeBytes);
  }
  const data = inflated.buffer;
  if (data.length !== sizeBytes) throw wrongSize(data.length, sizeBytes);
  return { data, compressedSizeBytes: inflated.engine.bytesWritten };
}

/**
 * Inflates the start of a stream: as much as the input gives (at most `inflateStartInputBytes`
 * should be passed, and something like a thousand times that can come out). `sizeBytes` is the size
 * of all of it, where that is known.
 */
export function inflateStart(input: Buffer, sizeBytes: number = Infinity): Buffer {
  // Most deltas are so small that all of one is there sooner than a stream is made.
  const whole = sizeBytes <= smallContentBytes ? inflateAtOnce(input, sizeBytes) : undefined;
  if (whole !== undefined) return whole.data;
  try {
    return inflateSync(input, { chunkSize: 1024, finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    throw corruptStream(error, 0);
  }
}

/**
 * Inflates a stream piece by piece, on zlib's threads and with bounded memory. When it does not give
 * exactly `sizeBytes` bytes, or its checksum is wrong, a `CorruptObjectError` ends it; errors of the
 * input come as they are. At the end `onEnd` is told how long the stream was.
 *
 * A piece of the input is done with when the one after the next is asked for, if it is no smaller than
 * `wholeInputBytes`.
 */
export async function* inflateChunks(
  input: AsyncIterable<Buffer>,
  sizeBytes: number,
  onEnd?: (compressedSizeBytes: number) => void,
): AsyncGenerator<Buffer, void, undefined> {
  const inflate = createInflate({ chunkSize: outputChunkSizeBytes });
  // What goes wrong in there destroys `inflate` with the error, which then comes out below; input
  // behind the end of the stream is no error, though the pipeline thinks so.
  pipeline(input, inflate).catch(() => undefined);
  let total = 0;
  try {
    for await (const chunk of inflate as AsyncIterable<Buffer>) {
      total += chunk.length;
      if (total > sizeBytes) throw wrongSize(total, sizeBytes);
      yield chunk;
    }
  } catch (error) {
    throw isZlibError(error) ? corruptStream(error, sizeBytes) : error;
  }
  if (total !== sizeBytes) throw wrongSize(total, sizeBytes);
  onEnd?.(inflate.bytesWritten);
}

/**
 * What is told the first bytes of content while the others are inflated. When it returns true it is told
 * them again, and of more if there is more by then, after others had their turn.
 */
export type OnStart = (start: Buffer) => boolean;

/**
 * All that `inflateChunks` gives, in one buffer. Check the size with `checkDeclaredSize` first. Of what
 * comes to be damaged `onStart` may have been told as well.
 */
export function inflateLarge(
  input: AsyncIterable<Buffer>,
  sizeBytes: number,
  onStart?: OnStart,
): Promise<Buffer> {
  return beingInflated.run(sizeBytes, () =>
    sizeBytes <= largestInOnePieceBytes
      ? inflateInOnePiece(input, sizeBytes, onStart)
      : inflateInPieces(input, sizeBytes),
  );
}

async function inflateInPieces(input: AsyncIterable<Buffer>, sizeBytes: number): Promise<Buffer> {
  const data = allocateObject(sizeBytes);
  let filled = 0;
  for await (const chunk of inflateChunks(input, sizeBytes)) {
    filled += chunk.copy(data, filled);
  }
  return data;
}

async function inflateInOnePiece(
  input: AsyncIterable<Buffer>,
  sizeBytes: number,
  onStart?: OnStart,
): Promise<Buffer> {
  // One byte more than needed, so that zlib reaches the checksum without another buffer.
  const chunkSize = Math.max(leastChunkSizeBytes, sizeBytes + 1);
  const inflate = allocating(sizeBytes, () => createInflate({ chunkSize }));
  const parts: Buffer[] = [];
  let total = 0;
  let looking: NodeJS.Immediate | undefined;
  const lookSoon = (): void => {
    looking ??= setImmediate(() => {
      looking = undefined;
      const start = total < sizeBytes ? sideBySide(parts, total) : undefined;
      if (start !== undefined && onStart?.(start) === true) lookSoon();
    });
  };
  const ended = new Promise<void>((resolve, reject) => {
    inflate.on('end', resolve).on('error', reject);
  });
  inflate.on('data', (part: Buffer) => {
    parts.push(part);
    total += part.length;
    if (total > sizeBytes) inflate.destroy(wrongSize(total, sizeBytes));
    else if (onStart !== undefined) lookSoon();
  });
  feed(inflate, input).catch((error: unknown) => inflate.destroy(error as Error));
  try {
    await ended;
  } catch (error) {
    throw isZlibError(error) ? corruptStream(error, sizeBytes) : error;
  } finally {
    clearImmediate(looking);
    inflate.destroy();
  }
  if (total !== sizeBytes) throw wrongSize(total, sizeBytes);
  return sideBySide(parts, sizeBytes) ?? Buffer.concat(parts, sizeBytes);
}

/** Gives zlib one piece more than it works on: it goes on with that without waiting for this thread. */
async function feed(inflate: Inflate, input: AsyncIterable<Buffer>): Promise<void> {
  // What zlib does not want of a piece, behind the end of the stream, it never gives back.
  const over = new Promise<void>((resolve) => inflate.once('close', resolve));
  let before: Promise<void> | undefined;
  for await (const piece of input) {
    const taken = new Promise<void>((resolve) => inflate.write(piece, () => resolve()));
    await Promise.race([before, over]);
    if (inflate.destroyed) return;
    before = taken;
  }
  inflate.end();
}

/** The parts in one, where they stand side by side, as zlib leaves them. */
function sideBySide(parts: readonly Buffer[], sizeBytes: number): Buffer | undefined {
  const { buffer, byteOffset = 0 } = parts[0] ?? {};
  let end = byteOffset;
  const isOne = parts.every((part) => {
    const follows = part.buffer === buffer && part.byteOffset === end;
    end += part.length;
    return follows;
  });
  return buffer === undefined || !isOne ? undefined : Buffer.from(buffer, byteOffset, sizeBytes);
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function isCutOff(error: unknown): boolean {
  return errorCode(error) === 'Z_BUF_ERROR';
}

function isZlibError(error: unknown): boolean {
  return errorCode(error).startsWith('Z_');
}

function corruptStream(error: unknown, sizeBytes: number): unknown {
  if (errorCode(error) === 'ERR_BUFFER_TOO_LARGE') {
    return new CorruptObjectError(
      `compressed data holds more than the ${sizeBytes} declared bytes`,
    );
  }
  if (!isZlibError(error)) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new CorruptObjectError(`compressed data is damaged: ${reason}`, { cause: error });
}

function wrongSize(foundBytes: number, sizeBytes: number): CorruptObjectError {
  return new CorruptObjectError(
    `compressed data holds ${foundBytes} bytes or more, where ${sizeBytes} are declared`,
  );
}
