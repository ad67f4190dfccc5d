import { setTimeout as sleep } from 'node:timers/promises';
import { RefChangedError, StaleSnapshotError } from '../../errors.ts';
import type { Identity } from '../../git/identity.ts';
import { branchPrefix, refNameText } from '../../git/refs/ref-name.ts';
import type { Oid } from '../../git/oid.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { Repository } from '../../git/repository.ts';
import { commitChanges } from '../../snapshot/commit.ts';
import { treeOf } from '../../snapshot/tree.ts';
import type { MountOptions } from '../mount-options.ts';
import { isReadOnly } from '../mount-request.ts';
import type { BranchPlace, BranchProvider } from '../namespace/branch-provider.ts';
import type { Log } from '../observe/log.ts';
import type { BranchStatus } from '../observe/status.ts';
import { readBlob } from '../snapshot-files.ts';
import { ErrnoError } from '../vfs/errno.ts';
import type { NodeContext, Owner } from '../vfs/node-context.ts';
import type { KernelNotifier, MaybePromise } from '../vfs/operations.ts';
import type { DirectoryVnode } from '../vfs/vnode.ts';
import { BufferPool } from '../vfs/buffer-pool.ts';
import { Clock } from './clock.ts';
import { noCommits } from './commit-counts.ts';
import type { CommitCounts } from './commit-counts.ts';
import { CommitAttempts } from './commit-attempts.ts';
import { ContentStore } from './content-store.ts';
import { MemoryBudget } from './memory-budget.ts';
import { readTip } from './plan-commits.ts';
import type { LeftTip } from './ref-watcher.ts';
import { ReferredContent } from './referred-content.ts';
import { ScratchNames } from './scratch-names.ts';
import { SpoolDirectory } from './spool-file.ts';
import { whileRefChanges } from './while-ref-changes.ts';
import { WritableBranch } from './writable-branch.ts';
import type { BranchSetting } from './branch-setting.ts';

/** What the writable branches of a mount are made from. */
export interface WritableBranchesOptions {
  readonly repository: Repository;
  readonly context: NodeContext;
  readonly notifier: KernelNotifier;
  readonly log: Log;
  /** Who commits. */
  readonly identity: Identity;
  readonly mount: Pick<
    MountOptions,
    'commitOn' | 'commitDelayMs' | 'message' | 'scratch' | 'maxFileSizeBytes' | 'spoolDirectory'
  > & {
    /** What a branch's own `.gitignore` files name lives for the session only, as scratch names do. */
    readonly gitignore?: boolean;
  };
  /** Whose files show the owner of the mount; default is the user of this process. */
  readonly mountingUser?: Owner;
  /** See `BranchSetting`; not needed where nobody watches the refs. */
  readonly lookAgain?: (ref: RefName) => void;
}

/** A change of a branch is to be seen within a second, whatever the commit of another one waits for. */
const followPatienceMs = 100;

/** A file that grows beyond this in memory goes on in a spool file. */
const memoryFileBytes = 1024 * 1024;
/** The largest write that the kernel sends, and how many buffers of that size are kept for those on their way. */
const copySizeBytes = 1024 * 1024;
const mostCopies = 8;
/** What all files together may take of memory while they are written. */
const memoryBudgetBytes = 64 * 1024 * 1024;
/**
 * Everything is hashed when it is closed, holes too: a sparse file of this size takes a minute or
 * two, one of a terabyte would take the better part of an hour.
 */
const defaultMaxFileSizeBytes = 64 * 2 ** 30;
const defaultQuietMs = 100;
const longestDelayMs = 1000;
/** How long a stop waits for the last commits: as long as `vost-mount unmount` does. */
const stopTimeoutMs = 120_000;

/** The branches of a repository that can be written through a mount. */
export class WritableBranches implements BranchProvider {
  readonly #setting: BranchSetting;
  readonly #contents: ContentStore;
  readonly #branches = new Map<RefName, WritableBranch>();
  readonly #opening = new Map<RefName, Promise<WritableBranch>>();
  readonly #following = new Map<WritableBranch, Promise<void>>();
  readonly #isWatched: boolean;

  constructor(options: WritableBranchesOptions) {
    const { repository, context, notifier, log, identity, mount } = options;
    const { odb } = repository;
    const quietMs = mount.commitDelayMs ?? defaultQuietMs;
    const staging = odb.stage({ keepsAll: true });
    this.#isWatched = options.lookAgain !== undefined;
    this.#contents = new ContentStore(staging, odb, log);
    this.#setting = {
      counts: noCommits(),
      attempts: new CommitAttempts(staging, log),
      repository,
      identity,
      messageTemplate: mount.message,
      policy: mount.commitOn ?? 'close',
      readOnly: isReadOnly(mount),
      gitignore: mount.gitignore ?? false,
      quietMs,
      longestMs: Math.max(longestDelayMs, quietMs),
      lookAgain: options.lookAgain ?? ((): void => undefined),
      context: {
        ...context,
        odb,
        contents: this.#contents,
        referred: new ReferredContent(odb, log, () => this.#branches.values()),
        notifier,
        log,
        clock: new Clock(),
        scratch: new ScratchNames(mount.scratch),
        mountingUser: options.mountingUser ?? processOwner(),
        writing: {
          blobs: { readRange: (blob, offset, length) => readBlob(odb, blob, offset, length) },
          memory: new MemoryBudget(memoryBudgetBytes),
          copies: new BufferPool(copySizeBytes, mostCopies),
          spool: new SpoolDirectory(mount.spoolDirectory ?? `${odb.objectsDirectory}/pack`),
          memoryFileBytes,
          maxFileSizeBytes: mount.maxFileSizeBytes ?? defaultMaxFileSizeBytes,
        },
      },
    };
  }

  open(ref: RefName, place: BranchPlace): MaybePromise<DirectoryVnode> {
    const known = this.#known(ref);
    return known?.root.place === place ? known.root : this.#open(ref, place);
  }

  async create(ref: RefName): Promise<void> {
    const { repository, identity } = this.#setting;
    const shortName = refNameText(ref).slice(branchPrefix.length);
    try {
      await commitChanges(repository, {
        ref,
        base: null,
        change: { kind: 'edit', base: null, children: new Map() },
        pruneEmpty: false,
        message: `Initialize ${shortName}`,
        author: identity,
      });
    } catch (error) {
      if (!(error instanceof StaleSnapshotError)) throw error;
      throw new RefChangedError(`${refNameText(ref)} exists by now`, { cause: error });
    }
  }

  async rename(from: RefName, to: RefName, moveRef: () => Promise<void>): Promise<void> {
    await this.#opening.get(from);
    const branch = this.#known(from);
    if (branch === undefined) return moveRef();
    // One that others have deleted may still hold what could not be saved.
    await this.#branches.get(to)?.abandon();
    await branch.rename(to, moveRef);
    this.#branches.delete(from);
    this.#branches.set(to, branch);
  }

  async remove(ref: RefName, deleteRef: (tip: Oid | null) => Promise<void>): Promise<void> {
    await this.#opening.get(ref);
    const branch = this.#known(ref);
    if (branch === undefined) {
      await whileRefChanges(() => this.#removeUnopened(ref, deleteRef));
      return;
    }
    await branch.remove(deleteRef);
    this.#branches.delete(ref);
  }

  /** What was done on all branches, those included that are gone. */
  get counts(): Readonly<CommitCounts> {
    return this.#setting.counts;
  }

  status(): readonly BranchStatus[] {
    return Array.from(this.#branches.values(), (branch) => branch.status());
  }

  /** Refs, of branches or not, have left these commits. */
  tipsLeft(left: readonly LeftTip[]): void {
    for (const { from, to } of left) this.#setting.context.referred.tipMoved(from, to);
  }

  /**
   * Shows what these branches are now. When one fails, the others have been looked at all the same. One whose
   * commit waits for a lock or a disk follows when that is over, and is looked at again meanwhile.
   */
  async refsChanged(changed: readonly RefName[]): Promise<void> {
    // One that is just being opened may have read its tip before.
    await Promise.allSettled(changed.flatMap((ref) => this.#opening.get(ref) ?? []));
    const branches = changed.flatMap((ref) => this.#branches.get(ref) ?? []);
    const follows = await Promise.allSettled(branches.map((branch) => this.#follow(branch)));
    for (const branch of branches) {
      // One whose staged changes could not be saved yet stays: that is tried again.
      if (branch.isEnded && this.#branches.get(branch.ref) === branch) {
        this.#branches.delete(branch.ref);
      }
    }
    throwFailures(follows);
  }

  async #follow(branch: WritableBranch): Promise<void> {
    let following = this.#following.get(branch);
    if (following === undefined) {
      following = branch.follow().finally(() => this.#following.delete(branch));
      this.#following.set(branch, following);
    }
    if (!this.#isWatched) return following;
    const isDone = await Promise.race([
      following.then(() => true),
      sleep(followPatienceMs, false, { ref: false }),
    ]);
    // What becomes of it, and what it has read too early, the next look finds out.
    if (!isDone) this.#setting.lookAgain(branch.ref);
  }

  /** Commits everything that was closed or synced by now, on all branches. */
  async commitAll(message?: string): Promise<void> {
    const branches = [...this.#branches.values()];
    const commits = branches.map(async (branch) => {
      await branch.commit(message);
      branch.throwUnstored();
    });
    throwFailures(await Promise.allSettled(commits));
  }

  /** Makes everything durable that was closed or synced by now: as `commitAll`, unless the policy is `manual`. */
  async syncAll(): Promise<void> {
    const branches = [...this.#branches.values()];
    const syncs = branches.map(async (branch) => {
      await branch.sync();
      branch.throwUnstored();
    });
    throwFailures(await Promise.allSettled(syncs));
  }

  /**
   * Makes everything durable that was closed (`syncAll`), and lets go of files and memory. It takes a
   * bounded time; what could not be made durable is the error.
   */
  async stop(): Promise<void> {
    for (const branch of this.#branches.values()) branch.stop();
    try {
      await within(stopTimeoutMs, this.syncAll());
    } finally {
      await within(stopTimeoutMs, this.#contents.staging.discard());
    }
  }

  #known(ref: RefName): WritableBranch | undefined {
    const branch = this.#branches.get(ref);
    return branch?.isGone === true ? undefined : branch;
  }

  async #open(ref: RefName, place: BranchPlace): Promise<DirectoryVnode> {
    const opening = this.#opening.get(ref);
    if (opening !== undefined) {
      await opening;
      return this.open(ref, place);
    }
    const opened = this.#replace(ref, place);
    this.#opening.set(ref, opened);
    try {
      return (await opened).root;
    } finally {
      this.#opening.delete(ref);
    }
  }

  async #replace(ref: RefName, place: BranchPlace): Promise<WritableBranch> {
    // Under the same name, but it is another branch: this one was deleted in between.
    await this.#branches.get(ref)?.abandon();
    const branch = await WritableBranch.open(this.#setting, ref, place);
    this.#branches.set(ref, branch);
    return branch;
  }

  async #removeUnopened(
    ref: RefName,
    deleteRef: (tip: Oid | null) => Promise<void>,
  ): Promise<void> {
    const { odb } = this.#setting.repository;
    const tip = await readTip(this.#setting.repository, ref);
    if (tip !== null && (await treeOf(odb, tip.tree)).size > 0) throw new ErrnoError('ENOTEMPTY');
    await deleteRef(tip?.oid ?? null);
  }
}

function processOwner(): Owner {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

function throwFailures(results: readonly PromiseSettledResult<unknown>[]): void {
  const errors: unknown[] = [];
  for (const result of results) if (result.status === 'rejected') errors.push(result.reason);
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, `${errors.length} branches have failed`);
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new ErrnoError('ETIMEDOUT', `not done within ${timeoutMs} ms`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
