import { crc32 } from 'node:zlib';
import { CorruptObjectError } from '../../errors.ts';
import type { HashAlgorithm } from '../oid.ts';
import { systemErrorCode } from '../system-error.ts';
import { looseStream } from './loose-stream.ts';
import { writeLooseFiles } from './loose-writer.ts';
import type { LooseFileContent, LooseWriterOptions } from './loose-writer.ts';
import type { PackKeeps } from './pack-keeps.ts';
import { packEntryHeader } from './pack-headers.ts';
import type { PackedObject } from './pack-writer.ts';
import type { SmallPacks } from './small-packs.ts';
import type { SpareIndexes } from './spare-indexes.ts';
import { StagedPack, storedBytes } from './staged-pack.ts';
import type { StagedObject } from './staged-pack.ts';

/** How staged objects are made permanent. */
export interface PublishOptions extends LooseWriterOptions {
  readonly algorithm: HashAlgorithm;
  /** A pack, however few and small they are. */
  readonly asPack?: boolean;
  /** A `git gc` is at work, see `publishBesideGc`. */
  readonly besideGc?: boolean;
  /** Protects new packs until a ref leads to what is in them. */
  readonly keeps: PackKeeps;
  /** Protects their indexes from a `git gc` that is at work. */
  readonly spares: SpareIndexes;
  /** Told of the packs that are made because of `asPack` or `besideGc`. */
  readonly smallPacks: SmallPacks;
}

// Up to these bounds a commit's objects become loose ones: `git gc` counts 50 packs as too many,
// but only 6700 loose objects.
const mostLoose: Bounds = { objects: 32, sizeBytes: 4 * 1024 * 1024 };
// To write these twice takes a second or two, and a `git gc` is rare.
const mostLooseBesideGc: Bounds = { objects: 1000, sizeBytes: 64 * 1024 * 1024 };
// A temporary pack becomes a pack of the repository as it is when at most a quarter of it is waste.
const leastNeededShare = 0.75;
// What is smaller is merged with others rather than made a pack of its own.
const packOfItsOwnBytes = 64 * 1024 * 1024;
/** What the disk says when it is full, or the user's share of it is. */
const withoutRoom = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Makes staged objects a part of the repository: few and small ones as loose objects, others as
 * packs. A temporary pack that holds little else gets its index and its name, and all that is in it
 * becomes visible; what else is wanted is copied to one new pack. Where the disk has no room for
 * copies, all temporary packs get their names. Objects that are published already are written again.
 * After an error those with `published` set are safe.
 */
export async function publishObjects(
  wanted: readonly StagedObject[],
  options: PublishOptions,
): Promise<void> {
  if (options.besideGc === true) return publishBesideGc(wanted, options);
  if (mayBeLoose(wanted, options)) return publishElsewhere(wanted, options);
  const { packs, others } = packsToFinish(wanted);
  await finishPacks(packs, options);
  if (others.length > 0) await publishElsewhere(others, options);
}

/**
 * A `git gc` that began before may remove loose objects that no ref led to then, so they go into a pack.
 * When it is done with that, it may take the index of a new pack for a leftover, which then is put back
 * (`SpareIndexes`). So that nobody misses them until then, there are loose copies as well, made after the
 * pack, unless they are too many or there is no room: what is loose stays from then on.
 */
async function publishBesideGc(
  wanted: readonly StagedObject[],
  options: PublishOptions,
): Promise<void> {
  await publishObjects(wanted, { ...options, besideGc: false, asPack: true });
  if (!isWithin(wanted, mostLooseBesideGc)) return;
  try {
    await publishLoose(wanted, options);
  } catch (error) {
    if (!isWithoutRoom(error)) throw error;
  }
}

async function publishElsewhere(
  objects: readonly StagedObject[],
  options: PublishOptions,
): Promise<void> {
  try {
    if (mayBeLoose(objects, options)) await publishLoose(objects, options);
    else await publishCopies(objects, options);
  } catch (error) {
    const canFinish = objects.every(({ pack }) => !pack.isFinished && !pack.isStreaming);
    if (!isWithoutRoom(error) || !canFinish) throw error;
    // A name for what is there takes next to no room, and `git gc` tidies up.
    await finishPacks([...groupedByPack(objects).keys()], options);
  }
}

function isWithoutRoom(error: unknown): boolean {
  return withoutRoom.has(systemErrorCode(error));
}

function mayBeLoose(objects: readonly StagedObject[], { asPack }: PublishOptions): boolean {
  return asPack !== true && areFew(objects);
}

/** Whether some objects are so few and small that they become loose ones, which takes a moment. */
export function areFew(objects: readonly StagedObject[]): boolean {
  return isWithin(objects, mostLoose);
}

/** How many objects, and how much content. */
export interface Bounds {
  readonly objects: number;
  readonly sizeBytes: number;
}

/** Tells whether some objects are no more than that. */
export function isWithin(objects: readonly StagedObject[], most: Bounds): boolean {
  if (objects.length > most.objects) return false;
  let bytes = 0;
  for (const { packed } of objects) bytes += packed.sizeBytes;
  return bytes <= most.sizeBytes;
}

async function publishLoose(
  objects: readonly StagedObject[],
  options: PublishOptions,
): Promise<void> {
  await writeLooseFiles(await looseFiles(objects), options);
  for (const object of objects) object.published = options.keeps;
}

async function looseFiles(objects: readonly StagedObject[]): Promise<LooseFileContent[]> {
  const files: LooseFileContent[] = [];
  for (const object of objects) {
    const { oid, type, sizeBytes } = object.packed;
    const deflated = await intactStream(object);
    files.push({ oid, stream: () => [looseStream(type, sizeBytes, deflated)] });
  }
  return files;
}

/**
 * The zlib stream of a staged object, as it was when it was staged: what memory or the disk has lost
 * since then must not become an object that a commit leads to.
 */
async function intactStream({ pack, packed, deflated }: StagedObject): Promise<readonly Buffer[]> {
  if (deflated !== undefined && isIntact(packed, deflated)) return deflated;
  const { oid, dataOffset, endOffset } = packed;
  const stored = [await pack.writer.readAt(dataOffset, endOffset - dataOffset)];
  if (isIntact(packed, stored)) return stored;
  throw new CorruptObjectError(`what was staged is damaged: ${oid}`);
}

function isIntact(packed: PackedObject, deflated: readonly Buffer[]): boolean {
  const { type, sizeBytes, crc32: checksum } = packed;
  const header = crc32(packEntryHeader(type, sizeBytes));
  return deflated.reduce((sum, part) => crc32(part, sum), header) === checksum;
}

function packsToFinish(wanted: readonly StagedObject[]): {
  packs: StagedPack[];
  others: StagedObject[];
} {
  const groups = Array.from(groupedByPack(wanted), ([pack, objects]) => {
    return { pack, objects, bytes: storedBytes(objects) };
  });
  groups.sort((a, b) => b.bytes - a.bytes);
  const packs: StagedPack[] = [];
  const others: StagedObject[][] = [];
  for (const { pack, objects, bytes } of groups) {
    const isReady = !pack.isFinished && !pack.isStreaming;
    const isFull = bytes >= leastNeededShare * pack.writer.sizeBytes;
    const isWorthAFile = packs.length === 0 || bytes >= packOfItsOwnBytes;
    if (isReady && isFull && isWorthAFile) packs.push(pack);
    else others.push(objects);
  }
  return { packs, others: others.flat() };
}

async function finishPacks(packs: readonly StagedPack[], options: PublishOptions): Promise<void> {
  // All of them before the first is waited for, or a stream could begin in one that waits for its turn.
  for (const pack of packs) pack.seal();
  for (const pack of packs) await finishPack(pack, options);
}

async function finishPack(pack: StagedPack, options: PublishOptions): Promise<void> {
  const { asPack, fsync, unsynced, keeps, spares, smallPacks } = options;
  const finished = await pack.finish(keeps, { fsync, spares });
  if (asPack === true) smallPacks.note(finished, pack.writer.sizeBytes);
  if (!fsync) await unsynced.add([finished.packPath, finished.indexPath]);
}

async function publishCopies(
  objects: readonly StagedObject[],
  options: PublishOptions,
): Promise<void> {
  const copy = new StagedPack(options.objectsDirectory, options.algorithm);
  try {
    for (const [pack, some] of groupedByPack(objects)) {
      const packed = some.map((object) => object.packed);
      await copy.writer.copyFrom(pack.writer, packed);
    }
    await finishPack(copy, options);
  } finally {
    await copy.drop();
  }
  for (const object of objects) object.published = options.keeps;
}

function groupedByPack(objects: readonly StagedObject[]): Map<StagedPack, StagedObject[]> {
  const groups = new Map<StagedPack, StagedObject[]>();
  for (const object of objects) {
    const group = groups.get(object.pack);
    if (group === undefined) groups.set(object.pack, [object]);
    else group.push(object);
  }
  return groups;
}
