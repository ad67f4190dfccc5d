import { open, realpath, rename, rm } from 'node:fs/promises';
import {
  bufferFromByteString,
  byteStringFromBuffer,
  textFromBytes,
  type ByteString,
} from '../byte-string.ts';
import { farDisk, withoutWaiting } from '../disk.ts';
import type { Disk } from '../disk.ts';
import type { HashAlgorithm } from '../oid.ts';
import { readWhole } from '../read-write-fully.ts';
import { isNothingThere } from '../system-error.ts';
import type { LockMaker } from './lock-marks.ts';
import { LockFile, type DeadlineMs } from './lock.ts';
import { PackedRefs, type PackedRef } from './packed-refs.ts';
import type { RefName } from './ref-name.ts';

/** New values for packed refs; `null` leaves a ref out. */
export type PackedChanges = ReadonlyMap<RefName, Omit<PackedRef, 'name'> | null>;

/** A new packed-refs file that is not in its place yet. */
export interface PreparedPackedRefs {
  /** Puts it in its place, and gives its content. */
  readonly commit: () => Promise<PackedRefs>;
  readonly discard: () => Promise<void>;
}

interface FileState {
  readonly inode: bigint;
  readonly sizeBytes: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

const nothing: FileState = { inode: 0n, sizeBytes: 0n, modifiedNs: 0n, changedNs: 0n };

/**
 * The packed-refs file of a repository. What was read of it is used as long as the file's inode,
 * size and times are the same; others replace it at any time, always by a rename.
 */
export class PackedRefsFile {
  readonly #path: ByteString;
  readonly #algorithm: HashAlgorithm;
  readonly #marks: LockMaker | undefined;
  readonly #disk: Disk;
  #raw: Buffer = Buffer.alloc(0);
  #current: PackedRefs;
  #state: FileState = nothing;
  #trusted = false;
  #loading: Promise<unknown> = Promise.resolve();

  constructor(
    path: ByteString,
    algorithm: HashAlgorithm,
    {
      marks,
      disk = farDisk,
    }: { readonly marks?: LockMaker | undefined; readonly disk?: Disk } = {},
  ) {
    this.#path = path;
    this.#algorithm = algorithm;
    this.#marks = marks;
    this.#disk = disk;
    this.#current = PackedRefs.parse(this.#raw, algorithm);
  }

  /** What was read last, without a look at the disk. */
  get current(): PackedRefs {
    return this.#current;
  }

  /** The content as it is now: the same object as before when nothing has changed. */
  async load(): Promise<PackedRefs> {
    if (this.#trusted && sameState(await this.#stat(), this.#state)) return this.#current;
    // One after the other, so that many who find the file changed do not all read it; each looks
    // again when its turn has come, since what an earlier one saw can be older than its own call.
    const load = this.#loading.then(() => this.#reload());
    this.#loading = load.catch(() => undefined);
    return load;
  }

  /**
   * Takes packed-refs.lock, calls `work` with the content under it, and gives the lock up when that
   * is done. A `RefLockedError` when somebody else keeps the lock.
   */
  async locked<T>(deadlineMs: DeadlineMs, work: (packed: PackedRefs) => Promise<T>): Promise<T> {
    const lock = await LockFile.acquire(await this.#realPath(), deadlineMs, this.#marks);
    try {
      return await work(await this.load());
    } finally {
      await lock.release();
    }
  }

  /**
   * Writes a file with some refs changed beside the present one; the caller is inside `locked`. It
   * is on stable storage before it can take the place of the old one, whatever is asked for single
   * refs: it holds every other ref too.
   */
  async prepare(packed: PackedRefs, changes: PackedChanges): Promise<PreparedPackedRefs> {
    const path = await this.#realPath();
    // The name that git uses. One that is left from a crash is nobody's, since the lock is ours.
    const newPath = bufferFromByteString(`${path}.new` as ByteString);
    try {
      await writeDurably(newPath, packed.with(changes));
    } catch (error) {
      await rm(newPath, { force: true });
      throw error;
    }
    return {
      commit: async () => {
        await rename(newPath, bufferFromByteString(path));
        return this.load();
      },
      discard: () => rm(newPath, { force: true }),
    };
  }

  /** Changes some refs in one step, inside `locked`, and gives the new content. */
  async replace(packed: PackedRefs, changes: PackedChanges): Promise<PackedRefs> {
    return (await this.prepare(packed, changes)).commit();
  }

  async #reload(): Promise<PackedRefs> {
    if (this.#trusted && sameState(await this.#stat(), this.#state)) return this.#current;
    const { raw, state, readAtMs } = await this.#read();
    if (!raw.equals(this.#raw)) {
      this.#current = PackedRefs.parse(raw, this.#algorithm, textFromBytes(this.#path));
      this.#raw = raw;
    }
    this.#state = state;
    this.#trusted = !isRacy(state, readAtMs);
    return this.#current;
  }

  async #read(): Promise<{ raw: Buffer; state: FileState; readAtMs: number }> {
    const readAtMs = Date.now();
    try {
      const file = await this.#disk.open(bufferFromByteString(this.#path), withoutWaiting);
      try {
        const state = stateOf(file.stat());
        return { raw: await readWhole(file), state, readAtMs };
      } finally {
        file.closeSoon();
      }
    } catch (error) {
      if (isNothingThere(error)) return { raw: Buffer.alloc(0), state: nothing, readAtMs };
      throw error;
    }
  }

  async #stat(): Promise<FileState> {
    const found = await this.#disk.stat(bufferFromByteString(this.#path));
    return found === undefined ? nothing : stateOf(found);
  }

  // Old tools share one packed-refs between working directories by a symbolic link, which has to stay.
  async #realPath(): Promise<ByteString> {
    try {
      const path = await realpath(bufferFromByteString(this.#path), { encoding: 'buffer' });
      return byteStringFromBuffer(path);
    } catch (error) {
      if (isNothingThere(error)) return this.#path;
      throw error;
    }
  }
}

async function writeDurably(path: Buffer, content: Buffer): Promise<void> {
  const handle = await open(path, 'w', 0o666);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function stateOf(stats: {
  ino: bigint;
  size: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
}): FileState {
  return {
    inode: stats.ino,
    sizeBytes: stats.size,
    modifiedNs: stats.mtimeNs,
    changedNs: stats.ctimeNs,
  };
}

function sameState(a: FileState, b: FileState): boolean {
  return (
    a.inode === b.inode &&
    a.sizeBytes === b.sizeBytes &&
    a.modifiedNs === b.modifiedNs &&
    a.changedNs === b.changedNs
  );
}

// A file that was put in place in the same tick of the filesystem's clock as it was read can be
// replaced by one that gets its inode, in the same tick, and looks the same. So it is not relied on
// until it is read again later. Whole seconds are the sign of a filesystem with a coarse clock.
function isRacy(state: FileState, readAtMs: number): boolean {
  if (state === nothing) return false;
  const tickMs = state.changedNs % 1_000_000_000n === 0n ? 2000 : 50;
  return readAtMs - Number(state.changedNs / 1_000_000n) < tickMs;
}
