import { InvalidArgumentError } from '../errors.ts';
import type { Identity } from '../git/identity.ts';
import type { Oid } from '../git/oid.ts';
import type { Repository } from '../git/repository.ts';
import { choosesCommit } from './mount-options.ts';
import type { MountOptions } from './mount-options.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';
import type { BranchStatus, MountStatus } from './observe/status.ts';
import { serveBranch, serveRepository } from './served-branches.ts';
import {
  chosenCommit,
  commitNamed,
  commitOfBranch,
  commitOfTag,
  serveSnapshot,
} from './served-snapshot.ts';
import type { NodeContext } from './vfs/node-context.ts';
import type { KernelNotifier } from './vfs/operations.ts';
import type { DirectoryVnode } from './vfs/vnode.ts';

/** What a mount shows: the root directory, and what is behind it. */
export interface ServedTree {
  /** Its inode number is `rootIno`. */
  readonly root: DirectoryVnode;
  /** Nothing can ever change, not even from outside. */
  readonly immutable: boolean;
  /** All directories are those of one branch or snapshot, see `VfsOptions.keepsListings`. */
  readonly keepsListings: boolean;
  branches(): readonly BranchStatus[];
  /** Commits what is closed, on every branch, and returns when that is durable. */
  commit(message?: string): Promise<void>;
  /** Makes durable what is closed, on every branch: by a commit, unless the policy is `manual`. */
  sync(): Promise<void>;
  /** The kernel is gone: as `sync`, and lets go of everything. */
  close(): Promise<void>;
}

/** What a tree is served from. */
export interface TreeSource {
  readonly repository: Repository;
  readonly options: MountOptions;
  readonly readOnly: boolean;
  /** Who commits, and who moves refs. */
  readonly identity: Identity;
  readonly context: NodeContext;
  readonly notifier: KernelNotifier;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly status: () => MountStatus;
}

/**
 * The tree that the options ask for: a snapshot, a branch, or the whole repository.
 * @throws {KeyNotFoundError} when there is no such branch, tag or commit
 */
export async function serveTree(source: TreeSource): Promise<ServedTree> {
  const { repository, options, context } = source;
  const named = await namedCommit(repository, options);
  if (named !== undefined) {
    const commit = choosesCommit(options) ? await chosenCommit(repository, named, options) : named;
    return serveSnapshot(repository, context, commit);
  }
  if (options.branch !== undefined) return serveBranch(source, options.branch);
  return serveRepository(source);
}

/** The commit that the options begin from; `undefined` when no snapshot is asked for. */
async function namedCommit(
  repository: Repository,
  options: MountOptions,
): Promise<Oid | undefined> {
  const { ref, tag, branch } = options;
  if (ref !== undefined) return commitNamed(repository, ref);
  if (tag !== undefined) return commitOfTag(repository, tag);
  if (!choosesCommit(options)) return undefined;
  if (branch !== undefined) return commitOfBranch(repository, branch);
  throw new InvalidArgumentError('a commit is chosen along a history: name a ref, tag or branch');
}
