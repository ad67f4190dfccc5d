import { join } from 'node:path';
import { objectHeader } from '../hash-object.ts';
import type { ObjectType } from '../hash-object.ts';
import type { Oid } from '../oid.ts';
import { cutIntoPieces, deflatePieces, deflateWhole, pieceBytes } from './deflate.ts';
import { parallelSyncs, syncDirectoriesOf, syncPath } from './durable.ts';
import type { UnsyncedFiles } from './durable.ts';
import { forEachBounded } from './for-each-bounded.ts';
import { freshenFile } from './loose-objects.ts';
import { TemporaryFile, isSystemError, writeFully } from './temporary-file.ts';

/** An object with its id, which is trusted to be right. */
export interface LooseObject {
  readonly oid: Oid;
  readonly type: ObjectType;
  readonly data: Uint8Array;
}

/** How loose objects are written. */
export interface LooseWriterOptions {
  readonly objectsDirectory: string;
  /** The zlib level, -1 to 9; what does not shrink and what is big gets a lower one. */
  readonly compressionLevel: number;
  /** Whether the objects, and all that `unsynced` holds, survive a power cut when the promise resolves. */
  readonly fsync: boolean;
  readonly unsynced: UnsyncedFiles;
}

// A name that `git prune --expire=now` takes away again and again is somebody's loop, not a race.
const mostAttempts = 20;

/**
 * Writes loose objects (gitformat-loose: `objects/xx/…`, one zlib stream of header and content).
 * Each is written under a temporary name and renamed, so that nobody sees half of one. One that is
 * there already is only touched, as git does, which keeps `git prune` from taking it for stale.
 * System errors come as they are; after one, some of the objects may be written, none half.
 */
export async function writeLooseObjects(
  objects: Iterable<LooseObject>,
  options: LooseWriterOptions,
): Promise<void> {
  const paths: string[] = [];
  await forEachBounded(objects, parallelSyncs, async (object) => {
    paths.push(await writeOne(object, options));
  });
  if (options.fsync) {
    await syncDirectoriesOf(paths);
    await options.unsynced.sync();
  } else {
    await options.unsynced.add(paths);
  }
}

async function writeOne(object: LooseObject, options: LooseWriterOptions): Promise<string> {
  const { objectsDirectory, fsync } = options;
  const directory = join(objectsDirectory, object.oid.slice(0, 2));
  const path = join(directory, object.oid.slice(2));
  for (let attempt = 1; ; attempt++) {
    try {
      if (await freshenFile(path)) {
        if (fsync) await syncPath(path);
      } else {
        // After a few losses by a name that git leaves alone; it clears away only `tmp_obj_*`.
        const file = await TemporaryFile.create(directory, attempt <= 3 ? 'tmp_obj_' : 'vost_obj_');
        await writeAndRename(object, file, path, options);
      }
      return path;
    } catch (error) {
      // `git prune` removes temporary files, directories in the moment that they are empty, and the
      // object that stood there a moment ago.
      if (attempt === mostAttempts || !isSystemError(error, 'ENOENT')) throw error;
    }
  }
}

async function writeAndRename(
  { type, data }: LooseObject,
  file: TemporaryFile,
  path: string,
  { compressionLevel, fsync }: LooseWriterOptions,
): Promise<void> {
  try {
    try {
      let position = 0;
      for await (const bytes of deflated(
        [objectHeader(type, data.length), data],
        compressionLevel,
      )) {
        await writeFully(file.handle, bytes, position);
        position += bytes.length;
      }
      if (fsync) await file.handle.sync();
    } finally {
      await file.handle.close();
    }
    await file.renameTo(path);
  } catch (error) {
    // The first failure is the one to tell; git clears away what stays behind.
    await file.unlink().catch(() => undefined);
    throw error;
  }
}

async function* deflated(
  parts: readonly [Uint8Array, Uint8Array],
  level: number,
): AsyncGenerator<Buffer, void, undefined> {
  const sizeBytes = parts[0].length + parts[1].length;
  if (sizeBytes > pieceBytes) yield* deflatePieces(cutIntoPieces(parts), sizeBytes, level);
  else yield await deflateWhole(Buffer.concat(parts), level);
}
