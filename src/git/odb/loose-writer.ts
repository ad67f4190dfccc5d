import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { allOf } from '../all-of.ts';
import { bytesFromText } from '../byte-string.ts';
import type { ByteString } from '../byte-string.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import type { OpenFile } from '../open-file.ts';
import { objectHeader } from '../hash-object.ts';
import type { ObjectType } from '../hash-object.ts';
import type { Oid } from '../oid.ts';
import { writePartsFully } from '../read-write-fully.ts';
import type { OpenDirectories } from '../synced-directories.ts';
import { isSystemError } from '../system-error.ts';
import { cutIntoPieces, deflatePieces, deflateWhole, pieceBytes } from './deflate.ts';
import { parallelSyncs, syncPath } from './durable.ts';
import type { UnsyncedFiles } from './durable.ts';
import { forEachBounded } from './for-each-bounded.ts';
import { TemporaryFile } from './temporary-file.ts';

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
  /** Where the object directory is; without it, nothing is known of that. */
  readonly disk?: Disk | undefined;
}

// A name that `git prune --expire=now` takes away again and again is somebody's loop, not a race.
const mostAttempts = 20;

/** An object with its id, and what git inflates to read it. */
export interface LooseFileContent {
  readonly oid: Oid;
  /** One zlib stream of header and content, in runs of parts; called again for each attempt. */
  readonly stream: () => AsyncIterable<readonly Buffer[]> | Iterable<readonly Buffer[]>;
}

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
  const { compressionLevel, disk = farDisk } = options;
  await writeAll(objects, options, async ({ oid, type, data }, directories) => {
    const path = pathOf(oid, options);
    if (await disk.touch(path)) {
      if (directories === undefined) return;
      try {
        await directories.add(directoryOf(path));
        await syncPath(path, disk);
        return;
      } catch (error) {
        // `git prune` has removed the object that stood there a moment ago.
        if (!isSystemError(error, 'ENOENT')) throw error;
      }
    }
    const parts: [Uint8Array, Uint8Array] = [objectHeader(type, data.length), data];
    const stream = (): AsyncIterable<readonly Buffer[]> => deflated(type, parts, compressionLevel);
    await writeFile({ oid, stream }, options, directories);
  });
}

/** `writeLooseObjects` for content that is deflated already; what is there already is replaced by the same. */
export async function writeLooseFiles(
  files: Iterable<LooseFileContent>,
  options: LooseWriterOptions,
): Promise<void> {
  await writeAll(files, options, (file, directories) => writeFile(file, options, directories));
}

async function writeAll<T extends { readonly oid: Oid }>(
  objects: Iterable<T>,
  options: LooseWriterOptions,
  write: (object: T, directories: OpenDirectories | undefined) => Promise<void>,
): Promise<void> {
  const { fsync, unsynced } = options;
  const directories = fsync ? unsynced.beginDirectories() : undefined;
  const paths: string[] = [];
  try {
    await forEachBounded(objects, parallelSyncs, async (object) => {
      await write(object, directories);
      paths.push(pathOf(object.oid, options));
    });
    await directories?.sync();
  } catch (error) {
    // Whoever tries again finds them, and does not write them a second time. The first failure is the
    // one to tell.
    await unsynced.add(paths).catch(() => undefined);
    throw error;
  } finally {
    directories?.close();
  }
  await (fsync ? unsynced.sync() : unsynced.add(paths));
}

function pathOf(oid: Oid, { objectsDirectory }: LooseWriterOptions): string {
  return join(objectsDirectory, oid.slice(0, 2), oid.slice(2));
}

function directoryOf(path: string): ByteString {
  return bytesFromText(dirname(path));
}

async function writeFile(
  content: LooseFileContent,
  options: LooseWriterOptions,
  directories: OpenDirectories | undefined,
): Promise<void> {
  const path = pathOf(content.oid, options);
  for (let attempt = 1; ; attempt++) {
    try {
      const file = await createFile(path, attempt, options, directories);
      try {
        await fill(file, content);
        await settle(file.handle, path, directories);
        await file.renameTo(path);
      } catch (error) {
        await file.handle.close().catch(() => undefined);
        // The first failure is the one to tell; git clears away what stays behind.
        await file.unlink().catch(() => undefined);
        throw error;
      }
      return;
    } catch (error) {
      // `git prune` removes temporary files, and directories in the moment that they are empty.
      if (attempt === mostAttempts || !isSystemError(error, 'ENOENT')) throw error;
    }
  }
}

async function createFile(
  path: string,
  attempt: number,
  { disk = farDisk }: LooseWriterOptions,
  directories: OpenDirectories | undefined,
): Promise<TemporaryFile> {
  if (directories?.isKnown(directoryOf(path)) === false) await disk.mkdirIfMissing(dirname(path));
  // After a few losses by a name that git leaves alone; it clears away only `tmp_obj_*`.
  const prefix = attempt <= 3 ? 'tmp_obj_' : 'vost_obj_';
  return TemporaryFile.create(dirname(path), prefix, disk);
}

async function fill(file: TemporaryFile, { stream }: LooseFileContent): Promise<void> {
  let position = 0;
  for await (const parts of stream()) {
    await writePartsFully(file.handle, parts, position);
    for (const { length } of parts) position += length;
  }
}

/** Brings what was written to stable storage, where that is asked for, and is done with the file. */
async function settle(
  handle: OpenFile,
  path: string,
  directories: OpenDirectories | undefined,
): Promise<void> {
  if (directories === undefined) {
    await handle.close();
    return;
  }
  // While the disk is at work. With the file in it the directory cannot be exchanged for another.
  await allOf([handle.sync(), nextTurn().then(() => directories.add(directoryOf(path)))]);
  handle.closeSoon();
}

async function* deflated(
  type: ObjectType,
  parts: readonly [Uint8Array, Uint8Array],
  level: number,
): AsyncGenerator<readonly Buffer[], void, undefined> {
  const sizeBytes = parts[0].length + parts[1].length;
  if (sizeBytes <= pieceBytes) yield [await deflateWhole(Buffer.concat(parts), level, type)];
  else {
    const pieces = deflatePieces(cutIntoPieces(parts), sizeBytes, level, type);
    for await (const piece of pieces) yield [piece];
  }
}
