import type { Disk } from '../disk.ts';
import type { HashAlgorithm } from '../oid.ts';
import type { LockMaker } from './lock-marks.ts';
import type { RefValue } from './loose-refs.ts';
import { RefLogs, type RefChange, type ReflogPolicy } from './ref-logs.ts';
import type { RefName } from './ref-name.ts';
import { RefPaths } from './ref-paths.ts';
import { RefReader, type ListedRef, type ListOptions, type ResolvedRef } from './ref-reader.ts';
import { renameRef } from './ref-rename.ts';
import { RefWriter, syncRefs, type LockTimeouts, type RefUpdate } from './ref-writer.ts';
import { readReflog, readReflogNewestFirst, type ReflogRecord } from './reflog.ts';

/** Where the refs of a repository are, and how they are treated. */
export interface RefStoreOptions {
  /** The git directory of this worktree: it holds `HEAD`. */
  readonly gitDir: string;
  /** The git directory that all worktrees share. Default `gitDir`. */
  readonly commonDir?: string;
  readonly algorithm: HashAlgorithm;
  /** Where the directories are; without it, nothing is known of that. */
  readonly disk?: Disk;
  readonly reflogPolicy: ReflogPolicy;
  /** How long to wait for the lock of a ref. Default 1000. */
  readonly lockTimeoutMs?: number;
  /** Marks the locks, so that those of this process can be removed should it be killed. Default: no. */
  readonly lockMarks?: LockMaker | undefined;
  /** How long to wait for the lock of packed-refs. Default 1000. */
  readonly packedRefsTimeoutMs?: number;
  /** Whether a change is on stable storage when it is done, reflog and ref. Default `true`. */
  readonly fsync?: boolean;
}

const defaultTimeoutMs = 1000;

/**
 * The refs of a repository in git's files format: loose refs, packed-refs and reflogs, with git's
 * own locks, so that it can be used beside other processes that change the same refs.
 *
 * A failed system call (no space, no permission) comes through as it is. `CorruptRefError` concerns
 * only the ref that it names (or packed-refs as a whole, when that is damaged).
 */
export class RefStore {
  readonly #reader: RefReader;
  readonly #logs: RefLogs;
  readonly #writer: RefWriter;
  readonly #timeouts: LockTimeouts;
  readonly #queues = new Map<RefName, Promise<unknown>>();

  constructor(options: RefStoreOptions) {
    const { gitDir, commonDir = gitDir, algorithm, reflogPolicy } = options;
    const { lockMarks: marks, disk, fsync: syncs } = options;
    const paths = new RefPaths(gitDir, commonDir, { marks, disk, syncs });
    this.#timeouts = {
      refTimeoutMs: options.lockTimeoutMs ?? defaultTimeoutMs,
      packedRefsTimeoutMs: options.packedRefsTimeoutMs ?? defaultTimeoutMs,
    };
    this.#reader = new RefReader(paths, algorithm);
    this.#logs = new RefLogs(paths, algorithm, reflogPolicy);
    this.#writer = new RefWriter(this.#reader, this.#logs, algorithm, this.#timeouts);
  }

  /** What a ref holds itself; `null` when it does not exist, `CorruptRefError` when it is broken. */
  read(name: RefName): Promise<RefValue | null> {
    return this.#reader.read(name);
  }

  /**
   * Follows symbolic refs to the object id at the end. `null` when the last ref does not exist;
   * `CorruptRefError` for a broken one, a loop, or a chain of more than five.
   */
  resolve(name: RefName): Promise<ResolvedRef | null> {
    return this.#reader.resolve(name);
  }

  /**
   * The name of the ref at the end of symbolic ones, whether it exists or not; the same name when it is
   * not symbolic. `CorruptRefError` for a loop.
   */
  async end(name: RefName): Promise<RefName> {
    return (await this.#reader.chain(name)).at(-1) ?? name;
  }

  /**
   * The refs whose names begin with `prefix` (bytes: `refs/heads/`), sorted by name. As git does, it
   * leaves out broken refs and symbolic ones that lead nowhere.
   */
  list(prefix: string, options?: ListOptions): Promise<ListedRef[]> {
    return this.#reader.list(prefix, options);
  }

  /**
   * Creates, moves or deletes a ref and writes its reflog (that of a symbolic ref leading to it,
   * too). Nothing happens when it holds the value already. Errors: `RefChangedError` when it does
   * not hold `expected`, `RefLockedError` when somebody else keeps a lock, `RefConflictError` when
   * another ref stands in its way, `InvalidArgumentError` for an object id that it cannot hold.
   */
  update(update: RefUpdate): Promise<void> {
    return this.#inTurn(update.name, () => this.#writer.update(update));
  }

  /** Brings to stable storage what a ref is named and where it is, which an `update` that failed may not have done. */
  sync(name: RefName): Promise<void> {
    return this.#inTurn(name, () => syncRefs(this.#reader.paths, this.#logs, [name]));
  }

  /**
   * Makes a ref lead to another one, which need not exist: `HEAD` to the current branch. The reflog
   * tells of it when the other one exists. Errors as for `update`.
   */
  setSymbolic(name: RefName, target: RefName, change: RefChange): Promise<void> {
    return this.#inTurn(name, () => this.#writer.setSymbolic(name, target, change));
  }

  /**
   * Gives a ref another name, and its reflog with it; `HEAD` follows when it leads to it (that of
   * this worktree). `KeyNotFoundError` when there is no ref `from`, `RefConflictError` when `to`
   * exists or cannot, `InvalidArgumentError` when `from` is symbolic; else as for `update`.
   */
  rename(from: RefName, to: RefName, change: RefChange): Promise<void> {
    const context = { reader: this.#reader, logs: this.#logs, timeouts: this.#timeouts };
    return this.#inTurn(from, () => renameRef(context, from, to, change));
  }

  /** The moves of a ref, oldest first; none when it has no reflog. */
  reflog(name: RefName): Promise<ReflogRecord[]> {
    return readReflog(this.#reader.paths.log(name));
  }

  /** The moves of a ref, newest first, read as they are asked for; none when it has no reflog. */
  reflogNewestFirst(name: RefName): AsyncGenerator<ReflogRecord> {
    return readReflogNewestFirst(this.#reader.paths.log(name));
  }

  // Within this process, changes of one ref wait for each other in the order in which they came,
  // not by trying for the lock again and again; that is for other processes.
  async #inTurn<T>(name: RefName, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(name) ?? Promise.resolve();
    const turn = before.then(work);
    const settled = turn.catch(() => undefined);
    this.#queues.set(name, settled);
    try {
      return await turn;
    } finally {
      if (this.#queues.get(name) === settled) this.#queues.delete(name);
    }
  }
}
