import { RefChangedError } from '../../errors.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { isOwnerAlive } from '../../git/refs/lock-marks.ts';
import { branchPrefix, refNameFromBytes, refNameText } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { ListedRef } from '../../git/refs/ref-reader.ts';
import type { Oid } from '../../git/oid.ts';
import type { Repository } from '../../git/repository.ts';
import { descendsFrom } from '../../snapshot/ancestry.ts';
import type { FirstRef } from '../../snapshot/commit-landing.ts';
import { undoOnFailure } from '../vfs/maybe-promise.ts';
import type { BranchSetting } from './branch-setting.ts';
import type { CommitPlan } from './commit-plan.ts';
import type { PlanCommits, Tip } from './plan-commits.ts';

/** Where staged changes of a branch go that others have deleted: `refs/vost/orphaned/<branch>/<time>`. */
const orphanedPrefix = 'refs/vost/orphaned/';

/**
 * Where changes are kept that are durable but in no commit of their branch:
 * `refs/vost/staged/<branch>/<time>-<owner>` leads to a commit of them on top of what they were made
 * to. The owner is the mount (`Repository.owner`): as long as it lives, nobody else takes them.
 */
const stagedPrefix = 'refs/vost/staged/';

let lastSavedMs = 0;

/** Names sort in the order of saving, also when the clock is set back. */
async function newSavedRef({ repository }: BranchSetting, branch: RefName): Promise<RefName> {
  const owner = await repository.owner();
  lastSavedMs = Math.max(Date.now(), lastSavedMs + 1);
  return refForTime(stagedPrefix, branch, lastSavedMs, owner);
}

/** The owner in the name of a saved ref; `undefined` in that of a mount which could not mark itself. */
function ownerOf({ name }: ListedRef): string | undefined {
  const [, ...owner] = name.slice(name.lastIndexOf('/') + 1).split('-');
  return owner.length === 0 ? undefined : owner.join('-');
}

/** The changes of a branch that were made durable without being committed. */
export class SavedChanges {
  readonly #setting: BranchSetting;
  readonly #commits: PlanCommits;
  /** The newest last; more than one only after a crash. */
  #refs: readonly ListedRef[];

  constructor(setting: BranchSetting, commits: PlanCommits, refs: readonly ListedRef[]) {
    this.#setting = setting;
    this.#commits = commits;
    this.#refs = refs;
  }

  get isEmpty(): boolean {
    return this.#refs.length === 0;
  }

  /** Saves all changes, in the place of those that were saved before. */
  async save(plan: CommitPlan, branch: RefName, tip: Tip): Promise<void> {
    const before = this.#refs;
    const name = await newSavedRef(this.#setting, branch);
    const message = `vost: staged on ${refNameText(branch)}`;
    const result = await this.#commits.elsewhere(plan, name, tip, message);
    if (result !== null) this.#refs = [...before, { name, oid: result.commit }];
    await this.#delete(before);
  }

  /**
   * Where a commit on the branch has to be saved before the branch moves to it, if anything is saved. So
   * the newest that a mount leaves which is killed before `forget` is a commit that its branch has.
   */
  async refForCommit(branch: RefName): Promise<FirstRef | undefined> {
    if (this.isEmpty) return undefined;
    const name = await newSavedRef(this.#setting, branch);
    return {
      ref: name,
      message: `vost: committed on ${refNameText(branch)}`,
      onMade: (oid) => (this.#refs = [...this.#refs, { name, oid }]),
    };
  }

  /**
   * Goes with the branch, which `moveRef` gives another name. What is saved stands under that name first:
   * a mount that is killed in between leaves it under the one which the branch has then.
   */
  async move(branch: RefName, moveRef: () => Promise<void>): Promise<void> {
    const before = this.#refs;
    const newest = before.at(-1);
    if (newest === undefined) return moveRef();
    const copy = { name: await newSavedRef(this.#setting, branch), oid: newest.oid };
    await make(this.#setting, copy, `vost: staged on ${refNameText(branch)}`);
    this.#refs = [...before, copy];
    // In a later commit at the latest, should that fail now.
    const drop = (saved: readonly ListedRef[]): Promise<void> =>
      this.#delete(saved).catch((error: unknown) => {
        const { log } = this.#setting.context;
        log.warn('staged-changes-left', { ref: refNameText(branch), message: String(error) });
      });
    await undoOnFailure(moveRef, () => drop([copy]));
    await drop(before);
  }

  /** The branch has what was saved. */
  async forget(): Promise<void> {
    if (!this.isEmpty) await this.#delete(this.#refs);
  }

  async #delete(saved: readonly ListedRef[]): Promise<void> {
    for (const one of saved) {
      await forget(this.#setting, one);
      this.#refs = this.#refs.filter(({ name }) => name !== one.name);
    }
  }
}

async function make(
  { repository, identity }: BranchSetting,
  saved: ListedRef,
  message: string,
): Promise<void> {
  await repository.refs.update({ ...saved, expected: null, message, identity });
}

/** Deletes a ref of saved changes that are not needed any more. One that others have deleted or moved is theirs. */
async function forget(
  { repository, identity }: BranchSetting,
  { name, oid }: ListedRef,
): Promise<void> {
  const message = 'vost: not needed any more';
  try {
    await repository.refs.update({ name, oid: null, expected: oid, message, identity });
  } catch (error) {
    if (!(error instanceof RefChangedError)) throw error;
  }
}

/**
 * Takes over what an earlier mount that has ended saved for a branch, and gives its refs, the newest
 * last. What several have left is taken by one mount after the other, the newest first. What the branch
 * has at its tip or before it was left by a mount that was killed after its commit.
 */
export async function takeSaved(
  setting: BranchSetting,
  branch: RefName,
  tip: Oid,
): Promise<readonly ListedRef[]> {
  for (;;) {
    const saved = await abandonedRefs(setting.repository, branch);
    const newest = saved.at(-1);
    if (newest === undefined) return [];
    const [taken, others] = partition(saved, (one) => ownerOf(one) === ownerOf(newest));
    if (await descendsFrom(setting.repository.odb, tip, newest.oid)) {
      for (const one of taken) await forget(setting, one);
      continue;
    }
    for (const { name } of others) {
      setting.context.log.warn('staged-changes-left', { ref: refNameText(name) });
    }
    if (ownerOf(newest) === (await setting.repository.owner())) return taken;
    const own = await claim(setting, branch, newest);
    if (own !== undefined) return [...taken.slice(0, -1), own];
  }
}

/** What was saved for a branch by mounts that live no more, or by this one; the newest last. */
async function abandonedRefs(repository: Repository, branch: RefName): Promise<ListedRef[]> {
  const prefix = `${stagedPrefix}${shortName(branch)}/`;
  const abandoned: ListedRef[] = [];
  for (const saved of await repository.refs.list(prefix)) {
    // Branches whose names begin with this one's have theirs one level below.
    if (saved.name.slice(prefix.length).includes('/')) continue;
    const owner = ownerOf(saved);
    const isOurs = owner === undefined || owner === (await repository.owner());
    if (isOurs || !(await isOwnerAlive(repository.commonDir, owner))) abandoned.push(saved);
  }
  return abandoned;
}

/** Gives saved changes a name of ours instead of theirs; `undefined` when another mount was faster. */
async function claim(
  setting: BranchSetting,
  branch: RefName,
  { name, oid }: ListedRef,
): Promise<ListedRef | undefined> {
  const { repository, identity } = setting;
  const own = { name: await newSavedRef(setting, branch), oid };
  const message = 'vost: taken over from a mount that ended';
  // The new name first: what is killed in between leaves the same changes twice.
  await make(setting, own, message);
  try {
    await repository.refs.update({ name, oid: null, expected: oid, message, identity });
    await forgetTwins(setting, own);
    return own;
  } catch (error) {
    if (!(error instanceof RefChangedError)) throw error;
    await repository.refs.update({ ...own, oid: null, expected: oid, message, identity });
    return undefined;
  }
}

/**
 * Deletes what mounts that were killed while they took changes over, or renamed a branch, have left of the
 * same changes: taken up later, it would overrule what was written since.
 */
async function forgetTwins(setting: BranchSetting, { name, oid }: ListedRef): Promise<void> {
  const { refs, commonDir } = setting.repository;
  const self = await setting.repository.owner();
  for (const twin of await refs.list(stagedPrefix)) {
    const owner = ownerOf(twin);
    if (twin.oid !== oid || twin.name === name || owner === undefined || owner === self) continue;
    if (!(await isOwnerAlive(commonDir, owner))) await forget(setting, twin);
  }
}

function partition<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}

/** A ref for the staged changes of a branch that others have deleted. */
export function orphanedRef(branch: RefName): RefName {
  return refForTime(orphanedPrefix, branch, Date.now());
}

function refForTime(prefix: string, branch: RefName, timeMs: number, owner?: string): RefName {
  const time = new Date(timeMs).toISOString().replace(/[-:.]/g, '');
  const last = owner === undefined ? time : `${time}-${owner}`;
  return refNameFromBytes(`${prefix}${shortName(branch)}/${last}` as ByteString);
}

function shortName(branch: RefName): string {
  return branch.slice(branchPrefix.length);
}
