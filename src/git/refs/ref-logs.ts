import type { ByteString } from '../byte-string.ts';
import type { OpenFile } from '../open-file.ts';
import type { CommitStamp, Identity } from '../identity.ts';
import { zeroOid, type HashAlgorithm, type Oid } from '../oid.ts';
import { identityOf, openIfThere } from '../synced-directories.ts';
import { systemErrorCode } from '../system-error.ts';
import { deadlineAfter, LockFile } from './lock.ts';
import { isFile, removeEmptyParents, removeFile } from './ref-directories.ts';
import { namesAbove, type RefName } from './ref-name.ts';
import type { RefPaths } from './ref-paths.ts';
import { moveReflog, OpenReflog } from './reflog-writer.ts';
import { formatReflogLine } from './reflog.ts';

/**
 * Which refs get a reflog when they have none, `core.logAllRefUpdates`: all of them, those under
 * refs/heads, refs/remotes and refs/notes and `HEAD`, or none.
 */
export type ReflogPolicy = 'always' | 'normal' | 'never';

/** What a reflog says about a change of a ref. */
export interface RefChange {
  /** White space in it is made into single spaces. */
  readonly message: string;
  readonly identity: Identity;
  /** Default now, in the zone of this machine. */
  readonly when?: Pick<CommitStamp, 'timeSec' | 'zoneMinutes'>;
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
    const logs = await this.open(names, change);
    try {
      await logs.append(move);
    } finally {
      logs.close();
    }
    return () => logs.takeBack();
  }

  /** Opens the logs of some refs for a line about one move: all of them or, when one fails, none. */
  async open(names: readonly RefName[], change: RefChange): Promise<OpenLogs> {
    const { disk } = this.#paths;
    const opened: OpenReflog[] = [];
    const missing: ByteString[] = [];
    const logs = new OpenLogs(opened, missing, ({ from, to }) =>
      formatReflogLine({
        oldOid: from ?? zeroOid(this.#algorithm),
        newOid: to ?? zeroOid(this.#algorithm),
        committer: { identity: change.identity, ...(change.when ?? now()) },
        message: change.message,
      }),
    );
    try {
      for (const name of names) {
        const create = change.createReflog === true || this.#startsLog(name);
        const path = this.#paths.log(name);
        const log = await this.#withRoomFor(name, () => OpenReflog.open(path, { create, disk }));
        if (log === null) missing.push(path);
        else opened.push(log);
      }
    } catch (error) {
      await logs.discard().catch(() => undefined);
      throw error;
    }
    return logs;
  }

  /** Brings to stable storage what the logs of some refs hold, and which of them there are. */
  async sync(names: Iterable<RefName>): Promise<void> {
    const opened = new Map<ByteString, OpenFile | undefined>();
    try {
      for (const name of new Set(names)) {
        const path = this.#paths.log(name);
        opened.set(path, await openIfThere(path, this.#paths.disk));
      }
      await this.#sync(opened);
    } finally {
      for (const file of opened.values()) file?.closeSoon();
    }
  }

  /** The same for logs that are open. */
  async syncOpen(logs: OpenLogs): Promise<void> {
    await this.#sync(logs.files());
  }

  async #sync(logs: ReadonlyMap<ByteString, OpenFile | undefined>): Promise<void> {
    const renamed: ByteString[] = [];
    const found = new Map<ByteString, string>();
    const syncs: Promise<void>[] = [];
    for (const [path, file] of logs) {
      const identity = file && identityOf(file);
      if (identity === undefined || this.#named.get(path) !== identity) renamed.push(path);
      if (identity !== undefined) found.set(path, identity);
      // Together, so that the disk can do it in one go.
      if (file !== undefined) syncs.push(file.sync());
    }
    await Promise.all([...syncs, renamed.length > 0 && this.#paths.syncNames(renamed)]);
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

/** The logs of some refs, open for a line about one move. */
export class OpenLogs {
  readonly #logs: readonly OpenReflog[];
  readonly #missing: readonly ByteString[];
  readonly #line: (move: RefMove) => Buffer;

  /** Made by `RefLogs.open`. */
  constructor(
    logs: readonly OpenReflog[],
    missing: readonly ByteString[],
    line: (move: RefMove) => Buffer,
  ) {
    this.#logs = logs;
    this.#missing = missing;
    this.#line = line;
  }

  /** Writes the move into all of the logs or, when one fails, into none. */
  async append(move: RefMove): Promise<void> {
    const line = this.#line(move);
    try {
      for (const log of this.#logs) await log.append(line);
    } catch (error) {
      await this.takeBack();
      throw error;
    }
  }

  /** Makes the logs what they were when they were opened. */
  async takeBack(): Promise<void> {
    for (const log of this.#logs.toReversed()) await log.takeBack();
  }

  /** The logs by their paths; `undefined` stands for one that there is not, and that is not wanted. */
  files(): Map<ByteString, OpenFile | undefined> {
    const files = new Map<ByteString, OpenFile | undefined>();
    for (const { path, file } of this.#logs) files.set(path, file);
    for (const path of this.#missing) files.set(path, undefined);
    return files;
  }

  /** To be called in the end, whatever happened. */
  close(): void {
    for (const { file } of this.#logs) file.closeSoon();
  }

  /** Closes logs that no line is to be written into after all. */
  async discard(): Promise<void> {
    try {
      await this.takeBack();
    } finally {
      this.close();
    }
  }
}

function now(): Pick<CommitStamp, 'timeSec' | 'zoneMinutes'> {
  const date = new Date();
  // `0 -` so that UTC is 0 and not -0.
  return { timeSec: Math.floor(date.getTime() / 1000), zoneMinutes: 0 - date.getTimezoneOffset() };
}
