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
    for (let level = new Set(directories); level.size > 0;) {
      const above = new Set<ByteString>();
      await Promise.all(
        [...level].map(async (path) => {
          const identity = await syncDirectory(path, this.#disk);
          if (path.length <= this.#top.length) return;
          if (identity !== undefined && this.#known.get(path) === identity) return;
          // The name of a directory is in the one above it; so is the news that it is gone.
          above.add(path.slice(0, path.lastIndexOf('/')) as ByteString);
          if (identity !== undefined) found.set(path, identity);
        }),
      );
      level = above;
    }
    for (const [path, identity] of found) this.#known.set(path, identity);
  }
}

/** Gives what tells a directory from an earlier one of the same name; `undefined` when there is none. */
async function syncDirectory(path: ByteString, disk: Disk): Promise<string | undefined> {
  let file: OpenFile;
  try {
    file = await disk.open(bufferFromByteString(path), 'r');
  } catch (error) {
    // Nothing has been put there, or it is gone again.
    if (isNothingThere(error)) return undefined;
    throw error;
  }
  try {
    await file.sync();
    const { ino, birthtimeNs } = file.stat();
    return `${ino} ${birthtimeNs}`;
  } finally {
    // Nobody waits for it: a directory that was only read loses nothing.
    file.close().catch(() => undefined);
  }
}
