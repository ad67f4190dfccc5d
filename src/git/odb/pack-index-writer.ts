import type { OpenFile } from '../open-file.ts';
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { oidSizeBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { writeFully } from '../read-write-fully.ts';

/** What the index of a pack says about one object. */
export interface PackIndexEntry {
  readonly oid: Oid;
  /** Where its entry starts in the pack. */
  readonly offset: number;
  /** CRC-32 of the entry as it is stored, its header included. */
  readonly crc32: number;
}

const magic = 0xff744f63;
const version = 2;
// Offsets from here on stand in a table of their own, for the first bit says so.
const firstLargeOffset = 0x80000000;
const chunkBytes = 128 * 1024;
const sortedInOneTurn = 4096;

/**
 * Writes the index of a pack, version 2 (gitformat-pack), byte for byte as `git index-pack` does.
 * Memory beside the entries is bounded, and the event loop gets its turn between parts of the work.
 */
export async function writePackIndex(
  handle: Pick<OpenFile, 'write'>,
  entries: readonly PackIndexEntry[],
  packChecksum: Buffer,
  algorithm: HashAlgorithm,
): Promise<void> {
  const hash = createHash(algorithm);
  let position = 0;
  const write = async (bytes: Buffer): Promise<void> => {
    hash.update(bytes);
    await writeFully(handle, bytes, position);
    position += bytes.length;
  };
  for await (const part of indexParts(entries, algorithm)) await write(part);
  await write(packChecksum);
  await writeFully(handle, hash.digest(), position);
}

async function* indexParts(
  entries: readonly PackIndexEntry[],
  algorithm: HashAlgorithm,
): AsyncGenerator<Buffer, void, undefined> {
  const buckets = await sortIntoBuckets(entries);
  yield uint32s([magic, version]);
  yield uint32s(fanout(buckets));
  const sorted = buckets.flat();
  const oidSize = oidSizeBytes[algorithm];
  yield* table(sorted, oidSize, ({ oid }, part, at) => part.write(oid, at, 'hex'));
  yield* table(sorted, 4, ({ crc32 }, part, at) => part.writeUInt32BE(crc32, at));
  const large: PackIndexEntry[] = [];
  yield* table(sorted, 4, (entry, part, at) => {
    const isLarge = entry.offset >= firstLargeOffset;
    part.writeUInt32BE(isLarge ? firstLargeOffset + large.length : entry.offset, at);
    if (isLarge) large.push(entry);
  });
  yield* table(large, 8, ({ offset }, part, at) => part.writeBigUInt64BE(BigInt(offset), at));
}

/** The entries by the first byte of their id, each bucket in order. */
async function sortIntoBuckets(entries: readonly PackIndexEntry[]): Promise<PackIndexEntry[][]> {
  const buckets: PackIndexEntry[][] = Array.from({ length: 256 }, () => []);
  for (const entry of entries) buckets[Number.parseInt(entry.oid.slice(0, 2), 16)]?.push(entry);
  let sinceTurn = 0;
  for (const bucket of buckets) {
    bucket.sort((a, b) => (a.oid < b.oid ? -1 : 1));
    sinceTurn += bucket.length;
    if (sinceTurn < sortedInOneTurn) continue;
    sinceTurn = 0;
    await nextTurn();
  }
  return buckets;
}

/** For each first byte, how many ids start with it or a smaller one. */
function fanout(buckets: readonly (readonly PackIndexEntry[])[]): number[] {
  let total = 0;
  return buckets.map((bucket) => (total += bucket.length));
}

function* table(
  entries: readonly PackIndexEntry[],
  cellBytes: number,
  fill: (entry: PackIndexEntry, part: Buffer, at: number) => void,
): Generator<Buffer, void, undefined> {
  const entriesInPart = Math.floor(chunkBytes / cellBytes);
  for (let start = 0; start < entries.length; start += entriesInPart) {
    const some = entries.slice(start, start + entriesInPart);
    const part = Buffer.allocUnsafe(some.length * cellBytes);
    for (const [index, entry] of some.entries()) fill(entry, part, index * cellBytes);
    yield part;
  }
}

function uint32s(values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, 4 * index);
  return bytes;
}
