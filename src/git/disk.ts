import {
  access,
  accessSync,
  close,
  closeSync,
  constants,
  existsSync,
  link,
  linkSync,
  lstat,
  lstatSync,
  mkdir,
  mkdirSync,
  open,
  openSync,
  opendir,
  opendirSync,
  read,
  readdir,
  readdirSync,
  readFileSync,
  readSync,
  realpath,
  realpathSync,
  rename,
  renameSync,
  stat,
  statSync,
  unlink,
  unlinkSync,
  utimes,
  utimesSync,
} from 'node:fs';
import type { BigIntStats, Dirent, PathLike, Stats } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { isNear } from './near-filesystem.ts';
import { OpenFile } from './open-file.ts';
import { isNothingThere, systemErrorCode } from './system-error.ts';
import { ThreadPace } from './thread-pace.ts';

const accessAsync = promisify(access);
const closeAsync = promisify(close);
const linkAsync = promisify(link);
const lstatAsync = promisify(lstat);
const mkdirAsync = promisify(mkdir);
const openAsync = promisify(open);
const opendirAsync = promisify(opendir);
const readAsync = promisify(read);
const readdirAsync = promisify(readdir);
const realpathAsync = promisify(realpath.native);
const renameAsync = promisify(rename);
const statAsync = promisify(stat);
const unlinkAsync = promisify(unlink);
const utimesAsync = promisify(utimes);

// Among the dozens of calls of a commit some take half of that because this thread had to make way for
// another one, which says nothing of the disk.
const slowMs = 1;

/** For reading whatever stands at a path: a pipe that somebody has put there would be waited for. */
export const withoutWaiting: number = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Calls that change a name or a few bytes, of which a commit makes some dozens. Where the disk is near
 * they are over sooner than another thread would begin, and are made in this one, at the pace of
 * `ThreadPace`. What waits for the disk itself (`sync`) is left to the pool always. Errors are those
 * of the system.
 */
export class Disk {
  readonly #pace: ThreadPace | undefined;

  /** See the function `isNear`. */
  constructor(isNear: boolean) {
    this.#pace = isNear ? new ThreadPace(slowMs) : undefined;
  }

  /** See the function `isNear`. */
  get isNear(): boolean {
    return this.#pace !== undefined;
  }

  async open(path: PathLike, flags: string | number, mode?: number): Promise<OpenFile> {
    const fd = await this.#call(
      () => openSync(path, flags, mode),
      () => openAsync(path, flags, mode),
    );
    return new OpenFile(fd, this.#pace);
  }

  async rename(from: PathLike, to: PathLike): Promise<void> {
    await this.#call(
      () => renameSync(from, to),
      () => renameAsync(from, to),
    );
  }

  async link(existing: PathLike, path: PathLike): Promise<void> {
    await this.#call(
      () => linkSync(existing, path),
      () => linkAsync(existing, path),
    );
  }

  /** Makes a directory, in one that is there. */
  async mkdir(path: PathLike): Promise<void> {
    await this.#call(
      () => mkdirSync(path),
      () => mkdirAsync(path),
    );
  }

  /** The same unless one is there: where most are, that is sooner known than it is told by an error. */
  async mkdirIfMissing(path: PathLike): Promise<void> {
    try {
      await this.#call(
        () => {
          if (!existsSync(path)) mkdirSync(path);
        },
        () => mkdirAsync(path),
      );
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
  }

  async unlink(path: PathLike): Promise<void> {
    await this.#call(
      () => unlinkSync(path),
      () => unlinkAsync(path),
    );
  }

  /** Fails where nothing is. */
  async access(path: PathLike): Promise<void> {
    await this.#call(
      () => accessSync(path),
      () => accessAsync(path),
    );
  }

  /** What is at a path; `undefined` when nothing is. */
  stat(path: PathLike): Promise<BigIntStats | undefined> {
    return this.#find(
      () => statSync(path, { bigint: true, throwIfNoEntry: false }),
      () => statAsync(path, { bigint: true }),
    );
  }

  /** The same without following a link. */
  lstat(path: PathLike): Promise<Stats | undefined> {
    return this.#find(
      () => lstatSync(path, { throwIfNoEntry: false }),
      () => lstatAsync(path),
    );
  }

  /** What a small file holds; `undefined` when nothing is there. */
  readFile(path: PathLike): Promise<Buffer | undefined> {
    return this.#find(
      () => {
        const fd = openSync(path, withoutWaiting);
        try {
          return readFileSync(fd);
        } finally {
          closeSync(fd);
        }
      },
      () => readFile(path, { flag: withoutWaiting }),
    );
  }

  /** The first bytes of a file; `flags` are added to `withoutWaiting`. Fails where nothing is. */
  async readStart(path: PathLike, mostBytes: number, flags: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(mostBytes);
    const length = await this.#call(
      () => {
        const fd = openSync(path, withoutWaiting | flags);
        try {
          return readSync(fd, buffer, 0, mostBytes, 0);
        } finally {
          closeSync(fd);
        }
      },
      async () => {
        const fd = await openAsync(path, withoutWaiting | flags);
        try {
          return (await readAsync(fd, buffer, 0, mostBytes, 0)).bytesRead;
        } finally {
          // Nobody waits for it: a file that was only read loses nothing.
          closeAsync(fd).catch(() => undefined);
        }
      },
    );
    return buffer.subarray(0, length);
  }

  /** What stands in a directory; nothing when there is none. */
  async readdir(path: PathLike): Promise<Dirent<Buffer>[]> {
    const options = { withFileTypes: true, encoding: 'buffer' } as const;
    const found = await this.#find(
      () => readdirSync(path, options),
      () => readdirAsync(path, options),
    );
    return found ?? [];
  }

  /** Whether nothing stands in a directory; fails where none is. */
  async isEmptyDirectory(path: string): Promise<boolean> {
    return this.#call(
      () => {
        const directory = opendirSync(path);
        try {
          return directory.readSync() === null;
        } finally {
          directory.closeSync();
        }
      },
      async () => {
        const directory = await opendirAsync(path);
        try {
          return (await directory.read()) === null;
        } finally {
          await directory.close();
        }
      },
    );
  }

  /** A path without symbolic links; fails where nothing is. */
  async realpath(path: string): Promise<string> {
    return this.#call(
      () => realpathSync.native(path),
      () => realpathAsync(path),
    );
  }

  /** Sets the times of a file to now; `false` where that cannot be done, as where no file is. */
  async touch(path: PathLike): Promise<boolean> {
    const now = new Date();
    try {
      return await this.#call(
        () => {
          // As a rule none is, and to throw an error takes longer than to ask.
          if (!existsSync(path)) return false;
          utimesSync(path, now, now);
          return true;
        },
        () => utimesAsync(path, now, now).then(() => true),
      );
    } catch {
      return false;
    }
  }

  async #find<Result>(
    here: () => Result,
    elsewhere: () => Promise<Result>,
  ): Promise<Result | undefined> {
    try {
      return await this.#call(here, elsewhere);
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  }

  #call<Result>(here: () => Result, elsewhere: () => Promise<Result>): Result | Promise<Result> {
    return this.#pace?.takeNext() === true ? this.#pace.run(here) : elsewhere();
  }
}

/** For whoever does not know where the disk is: everything is asked of another thread. */
export const farDisk: Disk = new Disk(false);

/** Where a path is: a path that does not exist is far. It may be waited for, in another thread. */
export async function diskAt(path: string): Promise<Disk> {
  try {
    return new Disk(await isNear(Buffer.from(path)));
  } catch (error) {
    if (isNothingThere(error)) return farDisk;
    throw error;
  }
}
