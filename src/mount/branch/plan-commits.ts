import { ObjectNotFoundError } from '../../errors.ts';
import type { ByteString } from '../../git/byte-string.ts';
import type { Oid } from '../../git/oid.ts';
import { refNameText } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { Repository } from '../../git/repository.ts';
import { descendsFrom } from '../../snapshot/ancestry.ts';
import { commitChanges } from '../../snapshot/commit.ts';
import type { CommitRequest, CommitResult, UnsureCommit } from '../../snapshot/commit.ts';
import type { FirstRef } from '../../snapshot/commit-landing.ts';
import { readCommit } from '../../snapshot/history.ts';
import type { IdentifiedCommit } from '../../snapshot/history.ts';
import type { Timespec } from '../vfs/operations.ts';
import type { BranchSetting } from './branch-setting.ts';
import type { CommitPlan } from './commit-plan.ts';
import { commitSubject, conflictNote } from './commit-subject.ts';

/** Others who have put more on top of a commit in the moment of its failure have hardly put more. */
const mostCommits = 1000;

/** A commit, as far as a working tree depends on it. */
export interface Tip {
  readonly oid: Oid;
  readonly tree: Oid;
  readonly time: Timespec;
}

/** What a commit on a branch is like. */
export interface BranchCommitOptions {
  readonly message: string | undefined;
  /** Paths at which it overrules others. */
  readonly conflicts: readonly ByteString[];
  readonly firstUnder: FirstRef | undefined;
}

/** The commit that a branch points at; `null` when there is no such branch. */
export async function readTip(repository: Repository, ref: RefName): Promise<Tip | null> {
  const resolved = await repository.refs.resolve(ref);
  return resolved && tipOf(await readCommit(repository.odb, resolved.oid));
}

/** A commit as the base of a working tree. */
export function tipOf({ oid, commit }: IdentifiedCommit): Tip {
  return { oid, tree: commit.tree, time: { sec: Math.max(0, commit.committer.timeSec), nsec: 0 } };
}

/**
 * Makes commits of plans. The content that a plan needs is kept while its commit is made, whatever
 * becomes of the files meanwhile. Everything is on stable storage before a ref moves, and the ref
 * with it: else a power cut could leave a branch that leads to objects which were never written.
 */
export class PlanCommits {
  readonly #setting: BranchSetting;
  /** Of the last attempt on the branch, if it failed when the ref may have moved already. */
  #unsure: UnsureCommit | undefined;

  constructor(setting: BranchSetting) {
    this.#setting = setting;
  }

  /**
   * Moves a branch from its tip to a commit of the plan. `null` when nothing differs. A
   * `StaleSnapshotError` when the tip is another.
   */
  onBranch(
    plan: CommitPlan,
    ref: RefName,
    tip: Tip,
    { message, conflicts, firstUnder }: BranchCommitOptions,
  ): Promise<CommitResult | null> {
    return this.#commit(plan, message, {
      ...{ ref, base: tip.oid, baseTree: tip.tree, change: plan.change },
      onUnsure: (made) => {
        this.#unsure = made;
      },
      ...(conflicts.length > 0 && { reflogMessage: conflictNote(conflicts) }),
      ...(firstUnder !== undefined && { firstUnder }),
    });
  }

  /** Puts the plan into a commit on the tip, or on nothing, under a ref that does not exist yet. */
  elsewhere(
    plan: CommitPlan,
    ref: RefName,
    tip: Tip | null,
    reflogMessage: string,
  ): Promise<CommitResult | null> {
    return this.#commit(plan, undefined, {
      ...{ ref, base: null, extraParents: tip === null ? [] : [tip.oid], reflogMessage },
      change: { ...plan.change, base: tip?.tree ?? null },
    });
  }

  /**
   * To be called before the next attempt on a branch. When the last one failed after the ref had moved,
   * it may not have come to look at what a `git gc` had taken meanwhile: that is put back. When it failed
   * before that, what it made is forgotten.
   */
  async mend(ref: RefName): Promise<void> {
    if (this.#unsure === undefined) return;
    const { repository, context, attempts } = this.#setting;
    const { staging } = context.contents;
    const { commit, staged, made } = this.#unsure;
    const tip = (await repository.refs.resolve(ref))?.oid;
    if (tip !== undefined && (await descendsFrom(repository.odb, tip, commit, mostCommits))) {
      await staging.republishMissing(staged.filter((oid) => staging.hasStaged(oid)));
    } else {
      await attempts.run((abandon) => {
        abandon(made);
        return Promise.resolve();
      });
    }
    this.#unsure = undefined;
  }

  /**
   * Commits what was staged in a branch that is gone, under a ref of its own. Gives the parent; `null` when
   * that was pruned, and the commit has what was staged alone.
   */
  async orphaned(
    plan: CommitPlan,
    ref: RefName,
    tip: Tip,
    reflogMessage: string,
  ): Promise<Oid | null> {
    try {
      await this.elsewhere(plan, ref, tip, reflogMessage);
      return tip.oid;
    } catch (error) {
      if (!(error instanceof ObjectNotFoundError)) throw error;
      const missing = await this.#setting.repository.odb.firstMissing([tip.oid, tip.tree]);
      if (missing === undefined) throw error;
      await this.elsewhere(plan, ref, null, reflogMessage);
      return null;
    }
  }

  /** Lets the staging area forget what the branch has by now. */
  async release({ oids }: CommitPlan, others: readonly Oid[]): Promise<void> {
    const { contents, log } = this.#setting.context;
    try {
      await contents.committed([...oids, ...others]);
      await contents.releaseUnused();
    } catch (error) {
      // The commit is made; what could not be given back is tried again with what comes next.
      log.warn('release-failed', { message: String(error) });
    }
  }

  async #commit(
    plan: CommitPlan,
    message: string | undefined,
    request: Pick<CommitRequest, 'ref' | 'base' | 'change'> & Partial<CommitRequest>,
  ): Promise<CommitResult | null> {
    const { repository, context, identity, messageTemplate, attempts } = this.#setting;
    const { contents, log } = context;
    const held = plan.oids.map((oid) => contents.hold(oid));
    try {
      const result = await attempts.run((onAbandoned) =>
        commitChanges(repository, {
          staging: contents.staging,
          onAbandoned,
          pruneEmpty: false,
          message: (changes) => commitSubject(changes, plan.change, message ?? messageTemplate),
          author: identity,
          ...request,
        }),
      );
      log.debug('committed', { ref: refNameText(request.ref), oid: result?.commit });
      return result;
    } finally {
      for (const content of held) contents.drop(content);
    }
  }
}
