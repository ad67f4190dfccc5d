import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { isUint8Array } from 'node:util/types';
import { InvalidArgumentError, IsADirectoryError } from '../errors.ts';
import { bufferFromByteString, bytesFromText } from '../git/byte-string.ts';
import { localError } from '../git/local-error.ts';
import { modeBlob, modeExecutable, modeSymlink } from '../git/mode.ts';
import { pieceBytes } from '../git/odb/deflate.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import { readFully } from '../git/read-write-fully.ts';
import { fileModeFromOption } from './file-type.ts';
import type { ModeOption } from './file-type.ts';
import { encodeText } from './text-encoding.ts';
import type { PlacedObject } from './tree-edit.ts';

/** A file on the local disk, as the content of a write. */
export type LocalFile = URL | { readonly path: string };

/** One write of `FS.apply`: exactly one of `data` and `target`. */
export interface WriteEntry {
  /** Bytes, a text (stored as UTF-8) or a file on the local disk. */
  data?: Uint8Array | string | LocalFile;
  /** Default a regular file; for a local file its own executable bit. Not allowed with `target`. */
  mode?: ModeOption;
  /** The target of a symbolic link. */
  target?: string;
}

/** What `FS.apply` writes to a path; bytes and texts are short for a `WriteEntry` of them. */
export type WriteValue = Uint8Array | string | WriteEntry;

// Below this a file is cheaper read at once than streamed.
const wholeFileBytes = 256 * 1024;

/**
 * Stages bytes as a file. What is hashed is what is stored, whatever the caller does with his memory
 * meanwhile: up to a mebibyte is copied at once, and more piece by piece, for so much fresh memory can take
 * as long as to store it.
 */
export async function stageBytes(
  staging: StagingArea,
  data: Uint8Array | undefined,
  mode?: ModeOption,
): Promise<PlacedObject> {
  const fileMode = fileModeFromOption(mode);
  if (isUint8Array(data) && data.length > pieceBytes) {
    const oid = await staging.writeStream('blob', data.length, oneChunk(data));
    return { mode: fileMode, oid };
  }
  return { mode: fileMode, oid: await staging.write('blob', copyOfBytes(data)) };
}

// eslint-disable-next-line @typescript-eslint/require-await -- it has to be an async iterable
async function* oneChunk(data: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield data;
}

/** A copy of what is to be stored; an `InvalidArgumentError` when it is no `Uint8Array`. */
export function copyOfBytes(data: unknown): Buffer {
  if (isUint8Array(data)) return Buffer.from(data);
  throw new InvalidArgumentError(
    'content has to be a Uint8Array, as a Buffer is; a text has `writeText`',
  );
}

/** Stages a symbolic link. A target that is empty or holds a NUL byte is an `InvalidArgumentError`. */
export async function stageSymlink(staging: StagingArea, target: string): Promise<PlacedObject> {
  if (target === '' || target.includes('\0')) {
    throw new InvalidArgumentError(`not the target of a link: ${JSON.stringify(target)}`);
  }
  const data = bufferFromByteString(bytesFromText(target));
  return { mode: modeSymlink, oid: await staging.write('blob', data) };
}

/** Stages what a `WriteValue` describes. */
export async function stageValue(staging: StagingArea, value: WriteValue): Promise<PlacedObject> {
  if (typeof value === 'string' || isUint8Array(value)) {
    return stageValue(staging, { data: value });
  }
  const { data, mode, target } = value;
  if ((data === undefined) === (target === undefined)) {
    throw new InvalidArgumentError('a write needs either data or the target of a link');
  }
  if (target !== undefined) {
    if (mode !== undefined) throw new InvalidArgumentError('a link has no mode of its own');
    return stageSymlink(staging, target);
  }
  if (typeof data === 'string') return stageBytes(staging, encodeText(data), mode);
  if (isLocalFile(data)) return stageLocalFile(staging, data, mode);
  return stageBytes(staging, data, mode);
}

function isLocalFile(data: unknown): data is LocalFile {
  if (data instanceof URL) return true;
  return typeof data === 'object' && data !== null && 'path' in data;
}

/**
 * Stages a file of the local disk, whose content is streamed; without a mode its executable bit
 * counts. Of a file that grows meanwhile it takes what was there when it was opened; one that becomes
 * shorter is an `InvalidArgumentError` when it is streamed. A `FileNotFoundError` or
 * `IsADirectoryError` names the local path.
 */
export async function stageLocalFile(
  staging: StagingArea,
  file: LocalFile,
  mode?: ModeOption,
): Promise<PlacedObject> {
  const localPath = file instanceof URL ? fileURLToPath(file) : file.path;
  const fileMode = mode === undefined ? undefined : fileModeFromOption(mode);
  const handle = await openLocalFile(localPath);
  try {
    const stats = await handle.stat();
    if (stats.isDirectory()) {
      throw new IsADirectoryError(`is a directory: ${localPath}`, { path: localPath });
    }
    // Files in /proc and pipes say 0 and hold more: only a size above that is believed.
    const sizeBytes = stats.isFile() && stats.size > 0 ? stats.size : undefined;
    const oid =
      sizeBytes !== undefined && sizeBytes <= wholeFileBytes
        ? await staging.write('blob', await readFully(handle, 0, sizeBytes))
        : await staging.writeStream('blob', sizeBytes, readStream(handle, sizeBytes));
    return { mode: fileMode ?? ((stats.mode & 0o100) === 0 ? modeBlob : modeExecutable), oid };
  } finally {
    await handle.close();
  }
}

async function openLocalFile(localPath: string): Promise<FileHandle> {
  try {
    // A name may be of any bytes, as `diskGlob` gives them.
    return await open(bufferFromByteString(bytesFromText(localPath)), 'r');
  } catch (error) {
    throw localError(localPath, error);
  }
}

/** The content of a file up to a size, whatever is appended meanwhile; without one all that comes. */
function readStream(handle: FileHandle, sizeBytes: number | undefined): AsyncIterable<Buffer> {
  const range = sizeBytes === undefined ? {} : { start: 0, end: sizeBytes - 1 };
  return handle.createReadStream({ autoClose: false, highWaterMark: wholeFileBytes, ...range });
}
