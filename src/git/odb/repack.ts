import { access } from 'node:fs/promises';
import { CorruptObjectError } from '../../errors.ts';
import { hashObject } from '../hash-object.ts';
import { oidSizeBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { cutIntoPieces, deflateWhole, pieceBytes } from './deflate.ts';
import { forEachBounded } from './for-each-bounded.ts';
import { LooseObjects } from './loose-objects.ts';
import type { LooseFile } from './loose-objects.ts';
import { namingObject } from './object-errors.ts';
import { PackKeeps } from './pack-keeps.ts';
import type { FinishedPack } from './pack-naming.ts';
import { PackWriter } from './pack-writer.ts';
import type { SpareIndexes } from './spare-indexes.ts';

/** How far maintenance has come. */
export interface MaintenanceProgress {
  /** What is being done, in words. */
  readonly phase: string;
  /** Objects that are dealt with, of `total`. */
  readonly loaded: number;
  readonly total: number;
  /** The size of the new pack so far. */
  readonly bytes: number;
}

/** How maintenance is watched and ended. */
export interface MaintenanceOptions {
  /** Told how far it has come. An error that it throws ends it. */
  progress?: ((progress: MaintenanceProgress) => void) | undefined;
  /** Ends it with its reason; every object is still there then, loose, packed or both. */
  signal?: AbortSignal | undefined;
}

/** How loose objects are packed. */
export interface RepackOptions extends MaintenanceOptions {
  readonly objectsDirectory: string;
  readonly algorithm: HashAlgorithm;
  /** zlib's, -1 to 9; what does not shrink and what is big gets a lower one. */
  readonly compressionLevel: number;
  readonly spares: SpareIndexes;
}

const objectsAtOnce = 8;
const removalsAtOnce = 4;
const removalsBetweenChecks = 256;

/**
 * Puts all loose objects into one pack, whole and not as deltas, reachable or not, and gives their
 * number. An object that is damaged is a `CorruptObjectError`, and nothing is changed.
 *
 * Others may read and write meanwhile. The pack is complete and durable before the first loose
 * object goes, so whoever misses one finds it in the packs on looking again, as git and this library
 * do. A writer that finds an object loose, and so does not store it, relies on it all the same: each
 * one that goes is in this very pack, never merely in an older one that a `git repack` is about to
 * remove; and that leaves this one alone, for it has a `.keep` until the end. Objects that
 * `git prune` removes meanwhile are left out.
 */
export async function packLooseObjects(options: RepackOptions): Promise<number> {
  const { objectsDirectory, algorithm, progress, signal } = options;
  const loose = new LooseObjects(objectsDirectory);
  const oids = await listLooseObjects(loose, algorithm, signal);
  if (oids.length === 0) return 0;
  const keeps = new PackKeeps();
  const writer = new PackWriter(objectsDirectory, algorithm);
  try {
    const packed = await appendAll(writer, loose, oids, options);
    if (packed.length === 0) return 0;
    signal?.throwIfAborted();
    const beforeNaming = (path: string): Promise<boolean> => keeps.keep(path);
    const pack = await writer.finish({ fsync: true, beforeNaming, spares: options.spares });
    const bytes = writer.sizeBytes;
    let removed = 0;
    for (let start = 0; start < packed.length; start += removalsBetweenChecks) {
      signal?.throwIfAborted();
      await checkThere(pack, options.spares);
      const some = packed.slice(start, start + removalsBetweenChecks);
      await forEachBounded(some, removalsAtOnce, (oid) => loose.remove(oid));
      removed += some.length;
      progress?.({ phase: 'removing loose objects', loaded: removed, total: packed.length, bytes });
    }
    return packed.length;
  } finally {
    await writer.close();
    await keeps.letGo();
  }
}

async function listLooseObjects(
  loose: LooseObjects,
  algorithm: HashAlgorithm,
  signal: AbortSignal | undefined,
): Promise<Oid[]> {
  const oids: Oid[] = [];
  for (let first = 0; first < 256; first++) {
    signal?.throwIfAborted();
    const found = await loose.startingWith(first.toString(16).padStart(2, '0'));
    for (const oid of found) if (oid.length === 2 * oidSizeBytes[algorithm]) oids.push(oid);
  }
  return oids;
}

/** Appends what is still there, the small objects first; gives what the pack holds then. */
async function appendAll(
  writer: PackWriter,
  loose: LooseObjects,
  oids: readonly Oid[],
  { algorithm, compressionLevel, progress, signal }: RepackOptions,
): Promise<Oid[]> {
  const packed: Oid[] = [];
  const big: Oid[] = [];
  const note = (oid: Oid): void => {
    packed.push(oid);
    const bytes = writer.sizeBytes;
    progress?.({ phase: 'packing', loaded: packed.length, total: oids.length, bytes });
  };
  await forEachBounded(oids, objectsAtOnce, (oid) =>
    namingObject(oid, async () => {
      signal?.throwIfAborted();
      const file = await loose.open(oid);
      if (file === undefined) return;
      try {
        const { type, sizeBytes } = file.info;
        if (sizeBytes > pieceBytes) {
          big.push(oid);
          return;
        }
        const data = await file.content();
        if (hashObject(algorithm, type, data) !== oid) throw damaged(oid);
        const deflated = await deflateWhole(data, compressionLevel, type);
        await writer.append({ oid, type, sizeBytes, deflated: [deflated] });
        note(oid);
      } finally {
        await file.close();
      }
    }),
  );
  for (const oid of big) {
    await namingObject(oid, async () => {
      signal?.throwIfAborted();
      const file = await loose.open(oid);
      if (file === undefined) return;
      try {
        const pieces = cutIntoPieces(unlessAborted(file, signal));
        const content = { ...file.info, pieces, compressionLevel };
        const { packed: entry } = await writer.appendPieces(content, (found) =>
          Promise.resolve(found === oid),
        );
        if (entry === undefined) throw damaged(oid);
        note(oid);
      } finally {
        await file.close();
      }
    });
  }
  return packed;
}

async function* unlessAborted(
  file: LooseFile,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of file.chunks()) {
    signal?.throwIfAborted();
    yield chunk;
  }
}

async function checkThere(
  { packPath, indexPath }: FinishedPack,
  spares: SpareIndexes,
): Promise<void> {
  await access(packPath);
  try {
    await access(indexPath);
  } catch {
    await spares.settle();
    await access(indexPath);
  }
}

function damaged(oid: Oid): CorruptObjectError {
  return new CorruptObjectError(`loose object ${oid} has other content than its name says`, {
    oid,
  });
}
