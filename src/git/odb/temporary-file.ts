import { randomUUID } from 'node:crypto';
import { constants, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import type { OpenFile } from '../open-file.ts';
import { ignoring, isSystemError } from '../system-error.ts';

// Files that stand under their temporary name now. A process that ends in an orderly way takes them
// along; what one that was killed leaves, git clears away.
const standing = new Set<string>();

function removeStanding(): void {
  for (const path of standing) {
    try {
      unlinkSync(path);
    } catch {
      // The process is ending, nobody is left to be told, and git will clear the file away.
    }
  }
}

/**
 * A file under a name that nobody reads, until it is renamed to its own. `git prune` and `git gc`
 * clear away names in the object directory that start with `tmp_`: after two weeks, or at once with
 * `--prune=now`. What was written stays readable through the handle then.
 */
export class TemporaryFile {
  readonly handle: OpenFile;
  readonly #disk: Disk;
  #path: string;

  private constructor(path: string, handle: OpenFile, disk: Disk) {
    this.#path = path;
    this.handle = handle;
    this.#disk = disk;
    if (standing.size === 0) process.on('exit', removeStanding);
    standing.add(path);
  }

  /** The name that it has now. */
  get path(): string {
    return this.#path;
  }

  /**
   * Creates an empty file for reading and writing, with the mode that git gives to objects (0444,
   * less the umask; `core.sharedRepository` is not looked at). The directory is made when it is
   * missing; the one above it has to be there.
   */
  static async create(
    directory: string,
    prefix: string,
    disk: Disk = farDisk,
  ): Promise<TemporaryFile> {
    // Its last twelve digits are random, and it asks the system for many at once, as `randomBytes` does not.
    const name = `${prefix}${process.pid}_${randomUUID().slice(-12)}`;
    const path = join(directory, name);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    try {
      return new TemporaryFile(path, await disk.open(path, flags, 0o444), disk);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
      await disk.mkdir(directory).catch(ignoring('EEXIST'));
      return new TemporaryFile(path, await disk.open(path, flags, 0o444), disk);
    }
  }

  /** Gives the file its own name, in place of what had it. ENOENT: it has been cleared away. */
  async renameTo(path: string): Promise<void> {
    await this.#disk.rename(this.#path, path);
    this.#forget();
    this.#path = path;
  }

  /** Removes the temporary name, if it has it still; the content lives for as long as the handle is open. */
  async unlink(): Promise<void> {
    if (!standing.has(this.#path)) return;
    await this.#disk.unlink(this.#path).catch(ignoring('ENOENT'));
    this.#forget();
  }

  /** Tells whether somebody else took the name away. */
  isUnlinked(): boolean {
    return this.handle.stat().nlink === 0n;
  }

  #forget(): void {
    standing.delete(this.#path);
    if (standing.size === 0) process.off('exit', removeStanding);
  }
}
