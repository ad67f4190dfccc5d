import type { ByteString } from '../../git/byte-string.ts';
import { branchPrefix, refNameFromBytes, refNameText } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { ListedRef } from '../../git/refs/ref-reader.ts';
import type { Repository } from '../../git/repository.ts';
import type { BranchSetting } from './branch-setting.ts';
import type { CommitPlan } from './commit-plan.ts';
import type { PlanCommits, Tip } from './plan-commits.ts';

/** Where staged changes of a branch go that others have deleted: `refs/vost/orphaned/<branch>/<time>`. */
const orphanedPrefix = 'refs/vost/orphaned/';

/**
 * Where changes are kept that are durable but in no commit of their branch:
 * `refs/vost/staged/<branch>/<time>` leads to a commit of them on top of what they were made to.
 */
const stagedPrefix = 'refs/vost/staged/';

let lastSavedMs = 0;

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
    // Names sort in the order of saving, also when the clock is set back.
    lastSavedMs = Math.max(Date.now(), lastSavedMs + 1);
    const name = refForTime(stagedPrefix, branch, lastSavedMs);
    const message = `vost: staged on ${refNameText(branch)}`;
    const result = await this.#commits.elsewhere(plan, name, tip, message);
    if (result !== null) this.#refs = [...before, { name, oid: result.commit }];
    await this.#delete(before);
  }

  /** The branch has what was saved. */
  async forget(): Promise<void> {
    if (!this.isEmpty) await this.#delete(this.#refs);
  }

  async #delete(saved: readonly ListedRef[]): Promise<void> {
    const { repository, identity } = this.#setting;
    const message = 'vost: not needed any more';
    for (const { name, oid } of saved) {
      await repository.refs.update({ name, oid: null, expected: oid, message, identity });
      this.#refs = this.#refs.filter((other) => other.name !== name);
    }
  }
}

/** What earlier mounts have saved for a branch, the newest last. */
export async function savedRefs(
  { refs }: Pick<Repository, 'refs'>,
  branch: RefName,
): Promise<ListedRef[]> {
  const prefix = `${stagedPrefix}${shortName(branch)}/`;
  // Branches whose names begin with this one's have theirs one level below.
  return (await refs.list(prefix)).filter(({ name }) => !name.slice(prefix.length).includes('/'));
}

/** A ref for the staged changes of a branch that others have deleted. */
export function orphanedRef(branch: RefName): RefName {
  return refForTime(orphanedPrefix, branch, Date.now());
}

function refForTime(prefix: string, branch: RefName, timeMs: number): RefName {
  const time = new Date(timeMs).toISOString().replace(/[-:.]/g, '');
  return refNameFromBytes(`${prefix}${shortName(branch)}/${time}` as ByteString);
}

function shortName(branch: RefName): string {
  return branch.slice(branchPrefix.length);
}
