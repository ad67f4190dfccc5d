import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  chmod,
  mkdir,
  open,
  readdir,
  realpath,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InvalidArgumentError, IsADirectoryError } from '../errors.ts';
import { byteStringFromBuffer, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { modeBlob, modeExecutable, modeSymlink } from '../git/mode.ts';
import type { FileMode } from '../git/mode.ts';
import { isNothingThere } from '../git/system-error.ts';
import { kindOf } from './disk-source.ts';
import type { DiskKind } from './disk-source.ts';
import { identityOf, joinLocalPath, localPathBytes, lstatIfThere } from './local-path.ts';

/** A regular file to be made. */
export interface NewFile {
  readonly chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  readonly isExecutable: boolean;
  /** The permissions of the file in its place, which stay but for the executable bits. */
  readonly permissions: number | undefined;
  readonly mtimeSec: number;
}

/** Tells of a file, link or other thing that was, or would be, removed. */
export type OnRemoval = (path: ByteString, mode: FileMode) => void;

/**
 * Changes the disk that is copied to. Nothing is written through what stands there: files and links
 * are made beside their place and renamed into it, so that a link is replaced and not followed, and
 * whoever has the old file open, or reads it under another name, keeps it. With `dryRun` nothing
 * is changed at all.
 */
export class DiskTarget {
  readonly #dryRun: boolean;
  readonly #forbidden: ReadonlySet<string>;

  constructor(dryRun: boolean, forbidden: ReadonlySet<string>) {
    this.#dryRun = dryRun;
    this.#forbidden = forbidden;
  }

  /** Throws an `InvalidArgumentError` when a directory, which may not be there yet, is the repository or in it. */
  async refuseWithin(directory: ByteString): Promise<void> {
    // Up from where the way really ends: `..` of a link is not the directory that holds the link.
    for (let path = await realPathAbove(directory); ; path = parentOf(path)) {
      await this.refuseRepository(path);
      if (path === parentOf(path)) return;
    }
  }

  /** The same for one that is there, and that none above is. */
  async refuseRepository(directory: ByteString): Promise<void> {
    if (!(await this.#isForbidden(directory))) return;
    const path = textFromBytes(directory);
    throw new InvalidArgumentError(`nothing is copied into the repository itself: ${path}`, {
      path,
    });
  }

  async #isForbidden(directory: ByteString): Promise<boolean> {
    return this.#forbidden.has(identityOf(await stat(localPathBytes(directory), { bigint: true })));
  }

  /** What is in a directory, by name. */
  async list(path: ByteString): Promise<Map<ByteString, DiskKind>> {
    const dirents = await readdir(localPathBytes(path), {
      encoding: 'buffer',
      withFileTypes: true,
    });
    return new Map(dirents.map((dirent) => [byteStringFromBuffer(dirent.name), kindOf(dirent)]));
  }

  async makeDirectory(path: ByteString, options: { readonly recursive: boolean }): Promise<void> {
    if (!this.#dryRun) await mkdir(localPathBytes(path), options);
  }

  async writeFile(path: ByteString, file: NewFile): Promise<void> {
    if (this.#dryRun) return;
    await this.#replace(path, async (beside) => {
      const { O_WRONLY, O_CREAT, O_EXCL } = constants;
      const mode = file.isExecutable ? 0o777 : 0o666;
      const handle = await open(beside, O_WRONLY | O_CREAT | O_EXCL, mode);
      try {
        for await (const chunk of file.chunks) await writeAll(handle, chunk);
        if (file.permissions !== undefined) {
          await handle.chmod(permissionsFor(file.permissions, file.isExecutable));
        }
        await handle.utimes(new Date(), file.mtimeSec);
      } finally {
        await handle.close();
      }
    });
  }

  async writeLink(path: ByteString, target: Buffer): Promise<void> {
    if (target.length === 0 || target.includes(0)) {
      const text = textFromBytes(path);
      throw new InvalidArgumentError(`a link to nowhere: ${text}`, { path: text });
    }
    if (!this.#dryRun) await this.#replace(path, (beside) => symlink(target, beside));
  }

  /** Sets or takes away the executable bits of a file, where it can be read. */
  async setExecutable(path: ByteString, permissions: number, isExecutable: boolean): Promise<void> {
    if (this.#dryRun) return;
    await chmod(localPathBytes(path), permissionsFor(permissions, isExecutable));
  }

  /** Sets when a file was last changed. */
  async setTime(path: ByteString, mtimeSec: number): Promise<void> {
    if (!this.#dryRun) await utimes(localPathBytes(path), new Date(), mtimeSec);
  }

  /** Removes a directory that is empty; one that is not is an `IsADirectoryError`. */
  async removeEmptyDirectory(path: ByteString): Promise<void> {
    if ((await readdir(localPathBytes(path))).length > 0) {
      const text = textFromBytes(path);
      throw new IsADirectoryError(`a directory that is not empty is in the way: ${text}`, {
        path: text,
      });
    }
    if (!this.#dryRun) await rmdir(localPathBytes(path));
  }

  /**
   * Removes what stands at a path, and all below it, following no link. A directory that holds a
   * forbidden one, the repository, is kept: that gives `false`.
   */
  async remove(path: ByteString, kind: DiskKind, onRemoval: OnRemoval): Promise<boolean> {
    const bytes = localPathBytes(path);
    if (kind !== 'directory') {
      const found = await lstatIfThere(path);
      if (found === null) return true;
      const mode = (found.mode & 0o100n) === 0n ? modeBlob : modeExecutable;
      if (!this.#dryRun) await unlink(bytes);
      onRemoval(path, kind === 'link' ? modeSymlink : mode);
      return true;
    }
    if (await this.#isForbidden(path)) return false;
    let isEmpty = true;
    for (const [name, childKind] of await this.list(path)) {
      if (!(await this.remove(joinLocalPath(path, name), childKind, onRemoval))) isEmpty = false;
    }
    if (isEmpty && !this.#dryRun) await rmdir(bytes);
    return isEmpty;
  }

  async #replace(path: ByteString, make: (beside: Buffer) => Promise<void>): Promise<void> {
    const directory = path.slice(0, path.lastIndexOf('/') + 1) as ByteString;
    // Its length does not depend on the name, which may be as long as the system allows.
    const name = `.vost-${randomBytes(8).toString('hex')}.tmp` as ByteString;
    const beside = localPathBytes((directory + name) as ByteString);
    try {
      await make(beside);
      await rename(beside, localPathBytes(path));
    } catch (error) {
      await rm(beside, { force: true });
      throw error;
    }
  }
}

/** The real path of a directory, or of the innermost one above it that is there. */
async function realPathAbove(directory: ByteString): Promise<ByteString> {
  for (let path = directory; ; path = parentOf(path)) {
    try {
      return byteStringFromBuffer(await realpath(localPathBytes(path), { encoding: 'buffer' }));
    } catch (error) {
      if (!isNothingThere(error) || path === parentOf(path)) throw error;
    }
  }
}

/** The path of the directory that a path is in; `/` and `.` are their own. */
function parentOf(path: ByteString): ByteString {
  return dirname(path) as ByteString;
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    written += (await handle.write(chunk, written)).bytesWritten;
  }
}

/** Executable for everybody who may read it, or for nobody; all else as it is. */
function permissionsFor(permissions: number, isExecutable: boolean): number {
  const others = permissions & 0o666;
  return isExecutable ? others | 0o100 | ((others & 0o444) >> 2) : others;
}
