import { dirname } from 'node:path';
import { bytesFromText } from '../byte-string.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import { SyncedDirectories } from '../synced-directories.ts';
import type { OpenDirectories } from '../synced-directories.ts';
import { ignoring } from '../system-error.ts';
import { forEachBounded } from './for-each-bounded.ts';

/**
 * How many `fsync` calls run at once: each holds a thread of the pool for as long as the disk takes. A
 * commit of one file has four objects, whose syncs then are one for the disk.
 */
export const parallelSyncs = 4;

const mostUnsynced = 1024;

/** Makes what a file holds survive a power cut; for a directory, the names in it. */
export async function syncPath(path: string, disk: Disk = farDisk): Promise<void> {
  const file = await disk.open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * The files that were given their final name without an `fsync`. A commit that must survive a power
 * cut needs all of them, not only its own: its tree and its parents refer to what earlier commits
 * wrote. One of these is shared by everything that writes to one object directory.
 */
export class UnsyncedFiles {
  readonly #disk: Disk;
  readonly #directories: SyncedDirectories;
  #paths = new Set<string>();
  #syncing: Promise<void> = Promise.resolve();
  #underWay = 0;

  /** For one object directory. */
  constructor(objectsDirectory: string, disk: Disk = farDisk) {
    this.#disk = disk;
    this.#directories = new SyncedDirectories(bytesFromText(objectsDirectory), disk);
  }

  /** Notes files; the directories that hold them are meant too. Past a bound they are synced at once. */
  async add(paths: Iterable<string>): Promise<void> {
    for (const path of paths) this.#paths.add(path);
    if (this.#paths.size > mostUnsynced) await this.sync();
  }

  /** Makes everything noted so far durable. What fails stays noted. */
  sync(): Promise<void> {
    // What is under way may fail, and is then to be done again.
    if (this.#paths.size === 0 && this.#underWay === 0) return this.#syncing;
    this.#underWay += 1;
    const sync = this.#syncing.then(() => this.#sync());
    this.#syncing = sync.catch(() => undefined).finally(() => (this.#underWay -= 1));
    return sync;
  }

  async #sync(): Promise<void> {
    const paths = this.#paths;
    this.#paths = new Set();
    try {
      await forEachBounded(paths, parallelSyncs, (path) => this.#syncIfThere(path));
      await this.#directories.sync(Array.from(paths, (path) => bytesFromText(dirname(path))));
    } catch (error) {
      for (const path of paths) this.#paths.add(path);
      throw error;
    }
  }

  /** A file that is gone was packed by `git gc` (which syncs what it writes) or not needed any more. */
  async #syncIfThere(path: string): Promise<void> {
    await syncPath(path, this.#disk).catch(ignoring('ENOENT'));
  }

  /** Begins with directories of the object directory that are synced later. */
  beginDirectories(): OpenDirectories {
    return this.#directories.begin();
  }
}
