import { allOf } from './all-of.ts';
import { bufferFromByteString, type ByteString } from './byte-string.ts';
import { farDisk } from './disk.ts';
import type { Disk } from './disk.ts';
import type { OpenFile } from './open-file.ts';
import { isNothingThere } from './system-error.ts';

/**
 * Brings names in directories to stable storage. A directory that somebody else made a moment ago may
 * not be there after a power cut, whatever is in it was synced or not; so those above it are synced as
 * well, unless that was done for this very directory before.
 */
export class SyncedDirectories {
  readonly #top: ByteString;
  readonly #disk: Disk;
  /** What directories are, whose own names are on stable storage. */
  readonly #known = new Map<ByteString, string>();

  /** The topmost directory counts as safe. */
  constructor(top: ByteString, disk: Disk = farDisk) {
    this.#top = top;
    this.#disk = disk;
  }

  /** Syncs directories, together, so that the disk can do it in one go. */
  async sync(directories: Iterable<ByteString>): Promise<void> {
    const some = this.begin();
    try {
      await allOf(Array.from(directories, (path) => some.add(path)));
      await some.sync();
    } finally {
      some.close();
    }
  }

  /** Begins with directories that are synced later. */
  begin(): OpenDirectories {
    return new OpenDirectories(this.#top, this.#disk, this.#known);
  }
}

/**
 * Directories that are going to be synced. To open them takes as long as other steps of a commit, and is
 * done while the disk is at work on something else.
 */
export class OpenDirectories {
  readonly #top: ByteString;
  readonly #disk: Disk;
  readonly #known: Map<ByteString, string>;
  readonly #opened = new Map<ByteString, OpenFile>();
  readonly #found = new Map<ByteString, string>();

  /** Made by `SyncedDirectories.begin`. */
  constructor(top: ByteString, disk: Disk, known: Map<ByteString, string>) {
    this.#top = top;
    this.#disk = disk;
    this.#known = known;
  }

  /** Whether a directory was there once, and its name is on stable storage. */
  isKnown(path: ByteString): boolean {
    return this.#known.has(path);
  }

  /**
   * Opens a directory, and those above it where they are needed. One that is not there is passed over. What
   * is to be synced has to stand in it already, or else it may be exchanged for another until then.
   */
  async add(path: ByteString): Promise<void> {
    for (let at = path; ; at = at.slice(0, at.lastIndexOf('/')) as ByteString) {
      const before = this.#opened.get(at);
      if (before !== undefined && before.stat().nlink > 0n) return;
      const directory = await openIfThere(at, this.#disk);
      this.#opened.get(at)?.closeSoon();
      if (directory === undefined) this.#opened.delete(at);
      else this.#opened.set(at, directory);
      if (at.length <= this.#top.length) return;
      // The name of a directory is in the one above it; so is the news that it is gone.
      if (directory === undefined) continue;
      const identity = identityOf(directory);
      if (this.#known.get(at) === identity) return;
      this.#found.set(at, identity);
    }
  }

  /** Syncs all that were added, together. */
  async sync(): Promise<void> {
    await Promise.all(Array.from(this.#opened.values(), (directory) => directory.sync()));
    for (const [path, identity] of this.#found) this.#known.set(path, identity);
  }

  /** To be called in the end, whatever happened. */
  close(): void {
    for (const directory of this.#opened.values()) directory.closeSoon();
    this.#opened.clear();
  }
}

/** Opens a file or directory for reading or syncing; `undefined` when there is none, or it is gone again. */
export async function openIfThere(path: ByteString, disk: Disk): Promise<OpenFile | undefined> {
  try {
    return await disk.open(bufferFromByteString(path), 'r');
  } catch (error) {
    if (isNothingThere(error)) return undefined;
    throw error;
  }
}

/** What tells a directory or a file from an earlier one of the same name. */
export function identityOf(file: OpenFile): string {
  const { ino, birthtimeNs } = file.stat();
  return `${ino} ${birthtimeNs}`;
}
