import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { InvalidArgumentError } from '../errors.ts';
import { textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { localError } from '../git/local-error.ts';
import {
  canonicalMode,
  isGitlinkMode,
  isSymlinkMode,
  isTreeMode,
  modeExecutable,
} from '../git/mode.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { FS } from '../snapshot/fs.ts';
import { joinPath, rootPath } from '../snapshot/path.ts';
import { walkTree } from '../snapshot/tree.ts';
import { compress } from './archive-compression.ts';
import type { ByteStream } from './archive-compression.ts';
import { noContent } from './archive-entry.ts';
import type { ArchiveEntry } from './archive-entry.ts';
import { archiveFormat } from './archive-format.ts';
import type { ArchiveFormat, ArchiveFormatName } from './archive-format.ts';
import { counting } from './archive-progress.ts';
import { writeTar } from './archive-tar-writer.ts';
import { writeZip } from './archive-zip-writer.ts';
import { localPathBytes, localPathFromText } from './local-path.ts';
import type { TransferProgress } from './transfer-options.ts';

/** How a snapshot is written to an archive. */
export interface ArchiveOutOptions {
  /** What the name of the file says by default; a stream needs it. */
  format?: ArchiveFormatName | undefined;
  /** Called after each file and link. An error that it throws ends it. */
  progress?: ((progress: TransferProgress) => void) | undefined;
  /** Ends it, with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * Writes all files and symbolic links of a snapshot to an archive, with their modes and the time of
 * the commit; submodules become empty directories. The same snapshot gives the same tar or zip.
 *
 * `target` is the path of a local file, which appears whole or not at all and replaces what stood
 * there, or a stream, which is ended. `.zip`, `.tar`, `.tar.gz`, `.tgz`, `.tar.bz2` and `.tar.xz` are
 * told by the name; the last two need the programs `bzip2` and `xz`, else a `ProgramNotFoundError`.
 * An `InvalidArgumentError` when the format is not known. Memory is bounded, whatever the sizes.
 */
export async function archiveOut(
  fs: FS,
  target: string | Writable,
  options: ArchiveOutOptions = {},
): Promise<void> {
  const { progress, signal } = options;
  const isFile = typeof target === 'string';
  const format = archiveFormat(isFile ? target : null, options.format);
  const content = Readable.from(archiveBytes(fs, format, progress), { objectMode: false });
  const write = (stream: Writable): Promise<void> => pipeline(content, stream, { signal });
  try {
    signal?.throwIfAborted();
    await (isFile ? writeFile(localPathFromText(target), write) : write(target));
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    content.destroy();
  }
}

function archiveBytes(
  fs: FS,
  format: ArchiveFormat,
  progress: ArchiveOutOptions['progress'],
): ByteStream {
  const mtimeSec = fs.head.commit.committer.timeSec;
  const entries = counting(entriesOf(fs.context.repository.odb, fs), progress);
  if (format.container === 'zip') return writeZip(entries, mtimeSec);
  const tar = writeTar(entries, mtimeSec);
  return format.compression === null ? tar : compress(tar, format.compression);
}

/** Writes beside the file first, so that nobody ever sees half an archive under its name. */
async function writeFile(
  path: ByteString,
  write: (stream: Writable) => Promise<void>,
): Promise<void> {
  if (path.endsWith('/')) throw new InvalidArgumentError('the name of an archive ends in "/"');
  const suffix = `.${process.pid}_${randomBytes(6).toString('hex')}.tmp`;
  const temporary = localPathBytes((path + suffix) as ByteString);
  try {
    await write(createWriteStream(temporary, { flags: 'wx' }));
    await rename(temporary, localPathBytes(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw localError(textFromBytes(path), error);
  }
}

/** What a snapshot holds, as entries of an archive: directories only where nothing is in them. */
async function* entriesOf(
  odb: ObjectDatabase,
  fs: FS,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  for await (const { path: directory, tree } of walkTree(odb, fs.head.commit.tree)) {
    if (tree.size === 0 && directory !== rootPath) yield emptyDirectory(directory);
    for (const { name, mode, oid } of tree) {
      if (isTreeMode(mode)) continue;
      const path = joinPath(directory, name);
      if (isGitlinkMode(mode)) {
        yield emptyDirectory(path);
        continue;
      }
      yield {
        path,
        kind: isSymlinkMode(mode) ? 'link' : 'file',
        isExecutable: canonicalMode(mode) === modeExecutable,
        sizeBytes: (await odb.header(oid)).sizeBytes,
        content: () => odb.stream(oid),
      };
    }
  }
}

function emptyDirectory(path: ByteString): ArchiveEntry {
  return { path, kind: 'directory', isExecutable: false, sizeBytes: 0, content: noContent };
}
