import { bufferFromByteString, type ByteString } from '../byte-string.ts';
import type { Disk, OpenFile } from '../disk.ts';
import type { CommitStamp, Identity } from '../identity.ts';
import { zeroOid, type HashAlgorithm, type Oid } from '../oid.ts';
import { identityOf } from '../synced-directories.ts';
import { isNothingThere, systemErrorCode } from '../system-error.ts';
import { deadlineAfter, LockFile } from './lock.ts';
import { isFile, removeEmptyParents, removeFile } from './ref-directories.ts';
import { namesAbove, type RefName } from './ref-name.ts';
import type { RefPaths } from './ref-paths.ts';
import { appendReflog, moveReflog } from './reflog-writer.ts';
import { formatReflogLine } from './reflog.ts';

/**
 * Which refs get a reflog when they have none, `core.logAllRefUpdates`: all of them, those under
 * refs/heads, refs/remotes and refs/notes and `HEAD`, or none.
 */
export type ReflogPolicy = 'always' | 'normal' | 'never';

/** What a reflog says about a change of a ref, and how durable the change is. */
export interface RefChange {
  /** White space in it is made into single spaces. */
  readonly message: string;
  readonly identity: Identity;
  /** Default now, in the zone of this machine. */
  readonly when?: Pick<CommitStamp, 'timeSec' | 'zoneMinutes'>;
  /** Default `false`: when the promise resolves, reflog and ref are on stable storage. */
  readonly fsync?: boolean;
  /** Default `false`: starts a reflog also where the configuration asks for none. */
  readonly createReflog?: boolean;
}

/** A move of a ref: `null` stands for "does not exist". */
export interface RefMove {
  readonly from: Oid | null;
  readonly to: Oid | null;
}

// How long to wait for the lock of another ref while holding one.
const patienceMs = 100;
const normallyLogged = /^(?:HEAD$|refs\/(?:heads|remotes|notes)\/)/;

/** Writes the reflogs of a repository. Callers hold the locks of the refs that they write about. */
export class RefLogs {
  readonly #paths: RefPaths;
  readonly #algorithm: HashAlgorithm;
  readonly #policy: ReflogPolicy;
  /** What the logs are whose names are on stable storage. */
  readonly #named = new Map<ByteString, string>();

  constructor(paths: RefPaths, algorithm: HashAlgorithm, policy: ReflogPolicy) {
    this.#paths = paths;
    this.#algorithm = algorithm;
    this.#policy = policy;
  }

  /** Tells whether a move of the ref would be written down, without `createReflog`. */
  async isKept(name: RefName): Promise<boolean> {
    return this.#startsLog(name) || isFile(this.#paths.log(name), this.#paths.disk);
  }

  /**
   * Writes the same move into the logs of some refs: into all of them or, when one fails, into none.
   * For stable storage see `sync`. The function that comes back takes it out of them again.
   */
  async record(
    names: readonly RefName[],
    move: RefMove,
    change: RefChange,
  ): Promise<() => Promise<void>> {
    const line = formatReflogLine({
      oldOid: move.from ?? zeroOid(this.#algorithm),
      newOid: move.to ?? zeroOid(this.#algorithm),
      committer: { identity: change.identity, ...(change.when ?? now()) },
      message: change.message,
    });
    const written: (() => Promise<void>)[] = [];
    const takeBack = async (): Promise<void> => {
      for (const undo of written.toReversed()) await undo();
    };
    try {
      for (const name of names) {
        const create = change.createReflog === true || this.#startsLog(name);
        const log = this.#paths.log(name);
        const undo = await this.#withRoomFor(name, () =>
          appendReflog(log, line, { create, disk: this.#paths.disk }),
        );
        if (undo !== null) written.push(undo);
      }
    } catch (error) {
      await takeBack();
      throw error;
    }
    return takeBack;
  }

  /** Brings to stable storage what the logs of some refs hold, and which of them there are. */
  async sync(names: Iterable<RefName>): Promise<void> {
    const { disk } = this.#paths;
    const opened = new Map<ByteString, OpenFile>();
    const found = new Map<ByteString, string>();
    try {
      const renamed: ByteString[] = [];
      for (const name of new Set(names)) {
        const path = this.#paths.log(name);
        const file = await openIfThere(path, disk);
        const identity = file && identityOf(file);
        if (file !== undefined) opened.set(path, file);
        if (identity === undefined || this.#named.get(path) !== identity) renamed.push(path);
        if (identity !== undefined) found.set(path, identity);
      }
      // Together, so that the disk can do it in one go.
      const syncs = Array.from(opened.values(), (file) => file.sync());
      await Promise.all([...syncs, this.#paths.syncNames(renamed)]);
    } finally {
      for (const file of opened.values()) await file.close();
    }
    for (const [path, identity] of found) this.#named.set(path, identity);
  }

  /** Removes the log of a ref, and the directories that this leaves empty. */
  async remove(name: RefName): Promise<void> {
    await removeFile(this.#paths.log(name));
    await removeEmptyParents(this.#base(name), name);
  }

  /** Gives the log of a ref to another one. */
  async move(from: RefName, to: RefName): Promise<void> {
    // Of `a` and `a/b`, one is a directory where the other is a file.
    const nested = from.startsWith(`${to}/`) || to.startsWith(`${from}/`);
    const by = nested ? this.#paths.logOnTheMove : undefined;
    const [oldLog, newLog] = [this.#paths.log(from), this.#paths.log(to)];
    await this.#withRoomFor(to, () => moveReflog(oldLog, newLog, by));
    await removeEmptyParents(this.#base(from), from);
  }

  async #withRoomFor<T>(name: RefName, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOTDIR') throw error;
      await this.#removeLogsAbove(name);
      return work();
    }
  }

  // No ref can exist above one whose lock is held, only the log of one that is gone. Somebody may be
  // about to create one all the same, and fail: his log is his own as long as he has the lock.
  async #removeLogsAbove(name: RefName): Promise<void> {
    for (const above of namesAbove(name)) {
      const log = this.#paths.log(above);
      if (!(await isFile(log))) continue;
      const lock = await LockFile.acquire(
        this.#paths.ref(above),
        deadlineAfter(patienceMs),
        this.#paths.marks,
      );
      try {
        await removeFile(log);
      } finally {
        await lock.release();
      }
    }
  }

  #startsLog(name: RefName): boolean {
    return this.#policy === 'always' || (this.#policy === 'normal' && normallyLogged.test(name));
  }

  #base(name: RefName): ByteString {
    return `${this.#paths.base(name)}/logs` as ByteString;
  }
}

async function openIfThere(path: ByteString, disk: Disk): Promise<OpenFile | undefined> {
  try {
    return await disk.open(bufferFromByteString(path), 'r');
  } catch (error) {
    if (isNothingThere(error)) return undefined;
    throw error;
  }
}

function now(): Pick<CommitStamp, 'timeSec' | 'zoneMinutes'> {
  const date = new Date();
  // `0 -` so that UTC is 0 and not -0.
  return { timeSec: Math.floor(date.getTime() / 1000), zoneMinutes: 0 - date.getTimezoneOffset() };
}
