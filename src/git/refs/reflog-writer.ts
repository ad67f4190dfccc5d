import { constants } from 'node:fs';
import { rename, truncate } from 'node:fs/promises';
import { RefConflictError } from '../../errors.ts';
import { bufferFromByteString, textFromBytes, type ByteString } from '../byte-string.ts';
import type { Disk } from '../disk.ts';
import type { OpenFile } from '../open-file.ts';
import { writeFully } from '../read-write-fully.ts';
import { isNothingThere, systemErrorCode } from '../system-error.ts';
import { isFile, makeParent, removeEmptyDirectories, removeFile } from './ref-directories.ts';

const newline = 0x0a;
// Bound on the attempts to clear the way to a log, against others who make and remove directories.
const clearingAttempts = 20;

/** How a log is opened. */
export interface OpenReflogOptions {
  /** Makes the log when there is none. */
  readonly create: boolean;
  /** Where the log is. */
  readonly disk: Disk;
}

/** The log at a path, open for one more line. The caller holds the lock of the ref: nobody else writes to it. */
export class OpenReflog {
  readonly path: ByteString;
  readonly file: OpenFile;
  readonly #isWanted: boolean;
  readonly #sizeBytes: number;
  readonly #isWhole: boolean;
  #hasLine = false;

  private constructor(
    path: ByteString,
    file: OpenFile,
    options: { readonly isWanted: boolean; readonly sizeBytes: number; readonly isWhole: boolean },
  ) {
    this.path = path;
    this.file = file;
    this.#isWanted = options.isWanted;
    this.#sizeBytes = options.sizeBytes;
    this.#isWhole = options.isWhole;
  }

  /**
   * Opens a log; `null` when there is none and none is wanted. ENOTDIR when another log stands where a
   * directory is needed.
   */
  static async open(path: ByteString, options: OpenReflogOptions): Promise<OpenReflog | null> {
    const file = await openForAppending(path, options);
    if (file === null) return null;
    try {
      const sizeBytes = Number(file.stat().size);
      // A last line that a power loss cut off must not swallow the next one.
      const isWhole = await endsWithNewline(file, sizeBytes);
      return new OpenReflog(path, file, { isWanted: options.create, sizeBytes, isWhole });
    } catch (error) {
      file.closeSoon();
      throw error;
    }
  }

  /** Appends a line in one write, so that readers never see a part of it. */
  async append(line: Buffer): Promise<void> {
    this.#hasLine = true;
    await writeFully(
      this.file,
      this.#isWhole ? line : Buffer.concat([Buffer.of(newline), line]),
      null,
    );
  }

  /**
   * Takes the line away again, for a move that could not be completed, or what of it was written. An empty
   * log says that one is wanted; where that is known anyway, none is the cleaner state: for a ref that was
   * not created after all it could stand in the way of others.
   */
  async takeBack(): Promise<void> {
    if (this.#sizeBytes === 0 && this.#isWanted) await removeFile(this.path);
    else if (this.#hasLine) await truncate(bufferFromByteString(this.path), this.#sizeBytes);
  }
}

async function endsWithNewline(file: OpenFile, sizeBytes: number): Promise<boolean> {
  if (sizeBytes === 0) return true;
  const last = Buffer.alloc(1);
  await file.read(last, 0, 1, sizeBytes - 1);
  return last[0] === newline;
}

// What stands in the place of the log are the directories of refs that are gone, since the caller
// holds the lock of a ref that can exist.
async function openForAppending(
  path: ByteString,
  { create, disk }: OpenReflogOptions,
): Promise<OpenFile | null> {
  const flags = constants.O_RDWR | constants.O_APPEND | (create ? constants.O_CREAT : 0);
  for (let attempt = 1; ; attempt++) {
    try {
      return await disk.open(bufferFromByteString(path), flags, 0o666);
    } catch (error) {
      const code = systemErrorCode(error);
      if (!create && (isNothingThere(error) || code === 'EISDIR')) return null;
      if (attempt === clearingAttempts) throw error;
      if (code === 'EISDIR') {
        if (!(await removeEmptyDirectories(path))) throw logInTheWay(path);
      } else if (code === 'ENOENT') {
        await makeParent(path).catch(passOverFileInTheWay);
      } else {
        throw error;
      }
    }
  }
}

function passOverFileInTheWay(error: unknown): void {
  const code = systemErrorCode(error);
  if (code !== 'ENOTDIR' && code !== 'EEXIST') throw error;
}

function logInTheWay(path: ByteString): RefConflictError {
  const text = textFromBytes(path);
  return new RefConflictError(
    `the directory ${text} holds reflogs of refs that are gone, and is where a reflog has to be; ` +
      'remove it and try again',
    { path: text },
  );
}

/**
 * Moves a log to another name, over what may be left there. With `by` it stands there meanwhile:
 * needed when one of the two names is a directory in the other.
 */
export async function moveReflog(from: ByteString, to: ByteString, by?: ByteString): Promise<void> {
  if (!(await isFile(from))) {
    await removeFile(to);
  } else if (by === undefined) {
    await moveFile(from, to);
  } else {
    await moveFile(from, by);
    try {
      await moveFile(by, to);
    } catch (error) {
      await moveFile(by, from);
      throw error;
    }
  }
}

async function moveFile(from: ByteString, to: ByteString): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await rename(bufferFromByteString(from), bufferFromByteString(to));
      return;
    } catch (error) {
      const code = systemErrorCode(error);
      if (attempt === clearingAttempts) throw error;
      if (code === 'EISDIR') {
        if (!(await removeEmptyDirectories(to))) throw logInTheWay(to);
      } else if (code === 'ENOENT') {
        await makeParent(to);
      } else {
        throw error;
      }
    }
  }
}
