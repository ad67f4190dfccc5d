import { StaleSnapshotError } from '../errors.ts';
import { isGitlinkMode } from '../git/mode.ts';
import { serializeCommit } from '../git/object.ts';
import type { Commit, CommitStamp, Identity } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import type { Oid } from '../git/oid.ts';
import type { Repository } from '../git/repository.ts';
import type { ChangeReport } from './change-report.ts';
import { CommitLanding } from './commit-landing.ts';
import type { CommitDestination } from './commit-landing.ts';
import { readCommit } from './history.ts';
import type { IdentifiedCommit } from './history.ts';
import { requireTip } from './ref-move.ts';
import { diffTrees } from './tree-diff.ts';
import { editTree } from './tree-edit.ts';
import type { EditedTree, TreeChange } from './tree-edit.ts';

/** A commit that is to become the tip of a ref. */
export interface CommitRequest extends CommitDestination {
  /** The tree of `base`, where that is known. */
  readonly baseTree?: Oid;
  /** What changes in the tree of `base`, or in the empty tree. */
  readonly change: TreeChange;
  /** Where the content of the changes lies, when it is not stored yet. The caller discards it. */
  readonly staging?: StagingArea;
  /** Told the trees and the commit that were staged there, when the tip turned out to be another. */
  readonly onAbandoned?: (staged: readonly Oid[]) => void;
  /** Told the commit, and what it needs that is staged there, when it is not known whether the ref moved. */
  readonly onUnsure?: (made: UnsureCommit) => void;
  /** Whether directories that become empty go away, as in git, or stay as empty trees. */
  readonly pruneEmpty: boolean;
  /** The message, or what makes one of the changes. A newline is added where it lacks one at its end. */
  readonly message: string | ((changes: ChangeReport) => string);
  /** A commit is made even when the tree stays as it is. */
  readonly allowUnchanged?: boolean;
}

/** A commit that a ref may or may not lead to: an attempt failed that had come so far. */
export interface UnsureCommit {
  readonly commit: Oid;
  /** What has to be in the repository if it does, out of the staging area. */
  readonly staged: readonly Oid[];
  /** Its trees and itself, which nobody needs if it does not. */
  readonly made: readonly Oid[];
}

/** A commit that was made. */
export interface CommitResult {
  readonly commit: Oid;
  readonly tree: Oid;
  /** What the commit says. */
  readonly object: Commit;
  readonly changes: ChangeReport;
}

/**
 * Makes a commit of changes and moves a ref to it: the only place that does. `null` when the tree
 * stays as it is; then nothing was written and the ref was only checked.
 *
 * The order makes it safe against every other writer and `git gc`: objects are stored before the
 * ref moves, and the ref moves by compare-and-swap under git's lock, so when the tip is not `base`
 * any more it is a `StaleSnapshotError` and nothing else happened. Until then no ref leads to the
 * objects, so a `gc --prune=now` may remove them: those that are gone are stored again afterwards,
 * and while one is still at work all of them are stored once more where it does not look.
 */
export async function commitChanges(
  repository: Repository,
  request: CommitRequest,
): Promise<CommitResult | null> {
  const { odb } = repository;
  const staging = request.staging ?? odb.stage();
  const staged: Oid[] = [];
  let unsure: UnsureCommit | undefined;
  try {
    const { baseTree, tree } = await editBase(odb, staging, request).catch(
      async (error: unknown) => {
        // What others have left behind may be gone by now.
        await requireTip(repository, request.ref, request.base);
        throw error;
      },
    );
    staged.push(...tree.written);
    if (tree.oid === baseTree && request.allowUnchanged !== true) {
      await requireTip(repository, request.ref, request.base);
      return null;
    }
    const changes = await diffTrees(odb, baseTree, tree.oid, request.change);
    const message =
      typeof request.message === 'string' ? request.message : request.message(changes);
    const made = await stageCommit(staging, { ...request, tree: tree.oid, message });
    staged.push(made.oid);
    odb.noteCommit(made.oid, serializeCommit(made.commit));
    const objects = [...contentOf(request.change), ...(request.extraParents ?? []), ...staged];
    const needed = objects.filter((oid) => staging.hasStaged(oid));
    unsure = { commit: made.oid, staged: needed, made: staged };
    const landing = { ...request, commit: made.oid, objects, message };
    await new CommitLanding(repository, staging, landing).land();
    odb.forgetTrees(tree.replaced);
    return { commit: made.oid, tree: tree.oid, object: made.commit, changes };
  } catch (error) {
    // After another failure the ref may have moved all the same, and what is staged is needed to mend that.
    if (unsure === undefined || error instanceof StaleSnapshotError) request.onAbandoned?.(staged);
    else request.onUnsure?.(unsure);
    throw error;
  } finally {
    if (request.staging === undefined) await staging.discard();
  }
}

async function editBase(
  odb: ObjectDatabase,
  staging: StagingArea,
  request: CommitRequest,
): Promise<{ readonly baseTree: Oid | null; readonly tree: EditedTree }> {
  const { base, change } = request;
  let baseTree: Oid | null = null;
  if (base !== null) baseTree = request.baseTree ?? (await readCommit(odb, base)).commit.tree;
  return { baseTree, tree: await editTree(odb, staging, baseTree, change, request) };
}

/** What changes to a tree come to, without a commit of them. */
export async function previewChanges(
  repository: Repository,
  staging: StagingArea,
  tree: Oid,
  change: TreeChange,
): Promise<ChangeReport> {
  const { odb } = repository;
  const { oid } = await editTree(odb, staging, tree, change, { pruneEmpty: true });
  return diffTrees(odb, tree, oid, change);
}

/** Makes a commit object for a tree that is stored or staged, and stages it. */
export async function stageCommit(
  staging: { write(type: 'commit', data: Uint8Array): Oid | Promise<Oid> },
  request: {
    readonly tree: Oid;
    readonly base: Oid | null;
    readonly extraParents?: readonly Oid[];
    readonly message: string;
    readonly author: Identity;
    readonly committer?: Identity;
  },
): Promise<IdentifiedCommit> {
  const { base, extraParents = [], message, author, committer = author } = request;
  const parents = new Set(base === null ? extraParents : [base, ...extraParents]);
  const commit: Commit = {
    tree: request.tree,
    parents: [...parents],
    author: stampNow(author),
    committer: stampNow(committer),
    message: message === '' || message.endsWith('\n') ? message : `${message}\n`,
  };
  return { oid: await staging.write('commit', serializeCommit(commit)), commit };
}

/**
 * The objects that changes put into a tree, and the trees that they start from; what lies below whole
 * trees is taken to be there with them.
 */
function* contentOf(change: TreeChange): Generator<Oid, void, undefined> {
  const changes = [change];
  for (let at = changes.pop(); at !== undefined; at = changes.pop()) {
    if (at.kind === 'set') {
      // The commit of a submodule is in another repository.
      if (!isGitlinkMode(at.mode)) yield at.oid;
    } else if (at.kind === 'edit') {
      if (typeof at.base === 'string') yield at.base;
      for (const child of at.children.values()) changes.push(child);
    }
  }
}

function stampNow(identity: Identity): CommitStamp {
  const now = new Date();
  return {
    identity,
    timeSec: Math.floor(now.getTime() / 1000),
    zoneMinutes: -Math.round(now.getTimezoneOffset()),
  };
}
