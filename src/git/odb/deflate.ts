import { promisify } from 'node:util';
import { constants, deflate, deflateRaw, deflateRawSync, deflateSync, inflateRaw } from 'node:zlib';
import type { ZlibOptions } from 'node:zlib';
import type { ObjectType } from '../hash-object.ts';
import { adler32Joined } from './adler32.ts';
import { deflateAtOnce, deflateInto } from './deflate-at-once.ts';

/** Content up to this size is deflated where it stands: a hop to another thread costs more. */
export const smallContentBytes: number = 32 * 1024;
/** Longer content is deflated, and can be inflated, piece by piece. */
export const pieceBytes: number = 1024 * 1024;

// Content over this size is deflated at level 1 at most: level 6 manages some 30 MB/s a core.
const bigContentBytes = 4 * 1024 * 1024;
// As far back as zlib can look, 32 KiB: a small file pays nothing for memory that is there already.
const windowBits = 15;
const sampleBytes = 4096;
const sampledFromBytes = 16 * 1024;
const notWorthDeflating = 0.95;
const piecesAtOnce = 3;
// Of RFC 1951: the kind of block in a byte, its length, and that inverted.
const storedBlockHeadBytes = 5;

/** How zlib is to deflate something. */
export type DeflateSettings = Required<Pick<ZlibOptions, 'level' | 'windowBits' | 'chunkSize'>>;

type InPool = (data: Uint8Array, options: ZlibOptions) => Promise<Buffer>;
const deflateInPool: InPool = promisify(deflate);
const deflateRawInPool: InPool = promisify(deflateRaw);
const inflateRawInPool: InPool = promisify(inflateRaw);

/**
 * The zlib level for some content: 0 when two samples say that it hardly shrinks, 1 at most when it
 * is a part of something big, else `level` (-1 to 9, `core.compression`).
 */
export function compressionLevelFor(data: Uint8Array, contentBytes: number, level: number): number {
  if (level === 0) return 0;
  if (data.length >= sampledFromBytes && !shrinks(data)) return 0;
  return contentBytes > bigContentBytes ? 1 : level;
}

function shrinks(data: Uint8Array): boolean {
  let stored = 0;
  for (const part of [0.25, 0.75]) {
    const start = Math.floor((data.length - sampleBytes) * part);
    const sample = data.subarray(start, start + sampleBytes);
    stored += deflateHere(sample, { level: 1, windowBits, chunkSize: 2 * sampleBytes }).length;
  }
  return stored < notWorthDeflating * 2 * sampleBytes;
}

/** Deflates content that fits into one piece, as a zlib stream; small content at once. */
export function deflateWhole(
  data: Uint8Array,
  level: number,
  type: ObjectType = 'blob',
): Buffer | Promise<Buffer> {
  const options = settingsFor(data, data.length, level, type);
  return data.length <= smallContentBytes
    ? deflateHere(data, options)
    : deflateInPool(data, options);
}

function deflateHere(data: Uint8Array, settings: DeflateSettings): Buffer {
  return deflateAtOnce('zlib', data, settings) ?? deflateSync(data, settings);
}

// Half of a tree is ids, which do not shrink, and what shrinks is the same as in the entry before. Zlib
// does that as well at level 1 within a kilobyte as at level 6 within 32, in a third of the time.
const treeWindowBits = 10;

function settingsFor(
  data: Uint8Array,
  contentBytes: number,
  level: number,
  type: ObjectType,
): DeflateSettings {
  if (type === 'tree') return treeSettings(data, level);
  const chosen = compressionLevelFor(data, contentBytes, level);
  return { level: chosen, windowBits, chunkSize: roomFor(data) };
}

function treeSettings(data: Uint8Array, level = 1): DeflateSettings {
  return { level: level === 0 ? 0 : 1, windowBits: treeWindowBits, chunkSize: roomFor(data) };
}

function newRoom(): Buffer {
  return Buffer.allocUnsafeSlow(roomFor({ length: pieceBytes }));
}

// Output in one buffer: each one that fills up costs another hop between the threads.
function roomFor(data: { readonly length: number }): number {
  return data.length + (data.length >>> 10) + 128;
}

/**
 * Deflates content of any length to one zlib stream (RFC 1950) with bounded memory, some pieces at
 * once in the thread pool, each at its own level. It gives the head of the stream, each piece, and
 * the tail. Every piece ends at a byte and refers to nothing before itself, so that a range of a big
 * file can be read back without all that comes before it (`inflatePiece`). The pieces that come in,
 * from `cutIntoPieces`, must stay untouched while they are on their way. With `usesAgain` the memory of
 * what it gives is used again, when the one after the next is asked for.
 */
export async function* deflatePieces(
  pieces: AsyncIterable<Buffer>,
  contentBytes: number,
  level: number,
  type: ObjectType = 'blob',
  usesAgain = false,
): AsyncGenerator<Buffer, void, undefined> {
  let checksum = 1;
  const rooms: Buffer[] = [];
  const roomForNext = (): Buffer => {
    // The last ones wait here, and those before them are with whoever asks.
    const room = (rooms.length > piecesAtOnce + 2 ? rooms.shift() : undefined) ?? newRoom();
    if (usesAgain) rooms.push(room);
    return room;
  };
  const underWay: (Buffer | Promise<Buffer>)[] = [];
  yield zlibHead;
  let last:
    | {
        readonly piece: Buffer;
        readonly checksum: number;
        readonly deflated: Buffer | Promise<Buffer>;
      }
    | undefined;
  for await (const piece of pieces) {
    // A hole is the same piece over and over, and a comparison takes a hundredth of the work.
    if (last?.piece.equals(piece) === true) {
      // The latest one: the memory of those before it may be used again.
      last = { ...last, piece };
    } else {
      const settings = settingsFor(piece, contentBytes, level, type);
      const stored = storedPiece(piece, roomForNext());
      const deflated = settings.level === 0 ? stored.blocks : deflatePiece(piece, settings);
      // Whoever stops reading early leaves some behind; what became of those does not matter.
      if (deflated instanceof Promise) deflated.catch(() => undefined);
      last = { piece, checksum: stored.checksum, deflated };
    }
    checksum = adler32Joined(checksum, last.checksum, piece.length);
    underWay.push(last.deflated);
    // What is done and waits for nobody goes on at once, while the processor still has it at hand.
    const isNext = underWay.length === 1 && !(last.deflated instanceof Promise);
    const first = isNext || underWay.length >= piecesAtOnce ? underWay.shift() : undefined;
    if (first !== undefined) yield await first;
  }
  for (const deflated of underWay) yield await deflated;
  yield zlibTail(checksum);
}

/**
 * A piece in stored blocks, and the checksum of a zlib stream over it: both come from zlib at level 0,
 * which takes no longer than another thread to begin with it.
 */
function storedPiece(
  piece: Buffer,
  room: Buffer,
): { readonly blocks: Buffer; readonly checksum: number } {
  const stream =
    deflateInto(room, 'zlib', piece, { level: 0, windowBits }) ??
    deflateSync(piece, { level: 0, chunkSize: roomFor(piece) });
  const end = stream.length - 4;
  let last = 2;
  for (let next = last; next < end;) {
    last = next;
    next += storedBlockHeadBytes + stream.readUInt16LE(last + 1);
  }
  // It is not the last block here.
  stream[last] = 0;
  return { blocks: stream.subarray(2, end), checksum: stream.readUInt32BE(end) };
}

/** What a zlib stream begins with (RFC 1950). It is not to be written to. */
export const zlibHead: Buffer = Buffer.from([0x78, 0x01]);

/** What a zlib stream of pieces ends with: an empty last block, and the checksum of the content. */
export function zlibTail(checksum: number): Buffer {
  // Fixed codes, and nothing but the end mark.
  const tail = Buffer.from([0x03, 0x00, 0, 0, 0, 0]);
  tail.writeUInt32BE(checksum, 2);
  return tail;
}

/** Deflates a part of a tree to blocks that end at a byte and refer to nothing before them. */
export async function deflateTreePart(part: Buffer, inPool: boolean): Promise<Buffer> {
  const settings = treeSettings(part);
  if (inPool) return deflatePiece(part, settings);
  const atOnce = deflateAtOnce('part', part, settings);
  return atOnce ?? deflateRawSync(part, { ...settings, ...asPiece });
}

// It ends at a byte, and others may follow.
const asPiece = { finishFlush: constants.Z_SYNC_FLUSH };

function deflatePiece(piece: Buffer, settings: ZlibOptions): Promise<Buffer> {
  return deflateRawInPool(piece, { ...settings, ...asPiece });
}

/** Inflates one piece of `deflatePieces`, in the thread pool. Broken bytes are an error of zlib. */
export function inflatePiece(deflated: Buffer): Promise<Buffer> {
  return inflateRawInPool(deflated, {
    finishFlush: constants.Z_SYNC_FLUSH,
    chunkSize: pieceBytes + 1,
    maxOutputLength: pieceBytes,
  });
}

/**
 * Cuts content into pieces of `pieceBytes`, the last one shorter. Chunks are copied, so they may be used
 * again. With `usesAgain` that is true of the pieces as well, once `deflatePieces` is done with them:
 * fresh memory for each costs more than the copy.
 */
export async function* cutIntoPieces(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  usesAgain = false,
): AsyncGenerator<Buffer, void, undefined> {
  const used: Buffer[] = [];
  let piece: Buffer | undefined;
  let filled = 0;
  for await (const chunk of chunks) {
    for (let taken = 0; taken < chunk.length;) {
      piece ??= used.length > piecesAtOnce ? used.shift() : undefined;
      piece ??= Buffer.allocUnsafeSlow(pieceBytes);
      const part = chunk.subarray(taken, taken + pieceBytes - filled);
      piece.set(part, filled);
      filled += part.length;
      taken += part.length;
      if (filled < pieceBytes) continue;
      yield piece;
      if (usesAgain) used.push(piece);
      piece = undefined;
      filled = 0;
    }
  }
  if (piece !== undefined) yield piece.subarray(0, filled);
}
