import { bufferFromByteString, type ByteString } from './byte-string.ts';
import { farDisk } from './disk.ts';
import type { Disk, OpenFile } from './disk.ts';
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
    const found = new Map<ByteString, string>();
    const opened: OpenFile[] = [];
    try {
      for (let level = new Set(directories); level.size > 0;) {
        const above = new Set<ByteString>();
        await Promise.all(
          [...level].map(async (path) => {
            const directory = await this.#open(path);
            if (directory !== undefined) opened.push(directory);
            if (path.length <= this.#top.length) return;
            const identity = directory && identityOf(directory);
            if (identity !== undefined && this.#known.get(path) === identity) return;
            // The name of a directory is in the one above it; so is the news that it is gone.
            above.add(path.slice(0, path.lastIndexOf('/')) as ByteString);
            if (identity !== undefined) found.set(path, identity);
          }),
        );
        level = above;
      }
      await Promise.all(opened.map((directory) => directory.sync()));
    } finally {
      // Nobody waits for it: a directory that was only read loses nothing.
      for (const directory of opened) directory.close().catch(() => undefined);
    }
    for (const [path, identity] of found) this.#known.set(path, identity);
  }

  /** `undefined` when there is none. */
  async #open(path: ByteString): Promise<OpenFile | undefined> {
    try {
      return await this.#disk.open(bufferFromByteString(path), 'r');
    } catch (error) {
      // Nothing has been put there, or it is gone again.
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  }
}

/** What tells a directory or a file from an earlier one of the same name. */
export function identityOf(file: OpenFile): string {
  const { ino, birthtimeNs } = file.stat();
  return `${ino} ${birthtimeNs}`;
}
