import { CorruptObjectError, StaleSnapshotError } from '../../errors.ts';
import { textFromBytes } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import type { Oid } from '../../git/oid.ts';
import { branchPrefix, refNameText } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { ListedRef } from '../../git/refs/ref-reader.ts';
import { requireStillThere } from '../../git/repository-layout.ts';
import { readCommit } from '../../snapshot/history.ts';
import type { BranchPlace } from '../namespace/branch-provider.ts';
import type { BranchStatus } from '../observe/status.ts';
import { ErrnoError } from '../vfs/errno.ts';
import type { BranchFile } from './branch-file.ts';
import type { Branch } from './branch-node.ts';
import { BranchRoot } from './branch-root.ts';
import type { BranchSetting } from './branch-setting.ts';
import { BranchTurn } from './branch-turn.ts';
import { CommitPlan } from './commit-plan.ts';
import { Committer } from './committer.ts';
import type { CommitOrder } from './committer.ts';
import { IgnoreRules } from './ignore-rules.ts';
import { followOutside } from './outside-changes.ts';
import { PlanCommits, readTip, tipOf } from './plan-commits.ts';
import type { Tip } from './plan-commits.ts';
import type { ReferringBranch } from './referred-content.ts';
import { restoreStaged } from './restore.ts';
import { SavedChanges, orphanedRef, takeSaved } from './saved-changes.ts';
import { stagedCounts } from './staged-counts.ts';
import { refersToStored } from './stored-references.ts';
import { whileRefChanges } from './while-ref-changes.ts';
import { isYoungLock } from './young-lock.ts';

/** How often one commit follows a branch that others keep moving before it gives up. */
const mostFollows = 20;
/** After how often it asks other mounts to make way. */
const followsUntilAsking = 3;
/** For how long it does, or waits for others who hold the lock. */
const patienceMs = 30_000;
/** How many conflicts are remembered for the status. */
const mostConflicts = 100;

/** A branch that is open on the mount: its working tree, and what commits it. */
export class WritableBranch implements Branch, ReferringBranch {
  readonly root: BranchRoot;
  readonly #setting: BranchSetting;
  readonly #committer: Committer;
  readonly #commits: PlanCommits;
  readonly #saved: SavedChanges;
  readonly #ignoreRules: IgnoreRules | undefined;
  /** Closed files that could not be stored, and why. */
  readonly #unstored = new Map<BranchFile, unknown>();
  #ref: RefName;
  #tip: Tip;
  #isGone = false;
  #isStopping = false;
  #isEnded = false;
  /** A commit has failed, perhaps after the ref had moved: the move is not known to be durable. */
  #isUnsure = false;
  #lastCommit: { readonly oid: Oid; readonly time: string } | null = null;
  /** The newest first, each once. */
  #conflicts: readonly ByteString[] = [];
  /** Since the last commit. */
  readonly #newConflicts: ByteString[] = [];

  private constructor(
    setting: BranchSetting,
    ref: RefName,
    tip: Tip,
    place: BranchPlace,
    saved: readonly ListedRef[],
  ) {
    this.#setting = setting;
    this.#ref = ref;
    this.#tip = tip;
    this.root = new BranchRoot(setting.context, this, place, tip.tree, tip.time);
    this.#commits = new PlanCommits(setting);
    this.#saved = new SavedChanges(setting, this.#commits, saved);
    setting.lookAgain(ref);
    const { policy, quietMs, longestMs, context, gitignore } = setting;
    this.#ignoreRules = gitignore ? new IgnoreRules(context.odb) : undefined;
    this.#committer = new Committer({
      policy,
      quietMs,
      longestMs,
      perform: (order) => this.#perform(order),
      onFailure: (error, retryMs) => {
        setting.counts.failures += 1;
        context.log.error('commit-failed', { ref: this.#text, message: String(error), retryMs });
      },
      onRecovery: () => {
        context.log.info('commit-recovered', { ref: this.#text });
      },
    });
  }

  /**
   * Opens a branch that exists, with what an earlier mount made durable but did not commit; ESTALE
   * when it does not exist any more.
   */
  static async open(
    setting: BranchSetting,
    ref: RefName,
    place: BranchPlace,
  ): Promise<WritableBranch> {
    const tip = await readTip(setting.repository, ref);
    if (tip === null) throw new ErrnoError('ESTALE', `${refNameText(ref)} does not exist`);
    const saved = setting.readOnly ? [] : await takeSaved(setting, ref, tip.oid);
    if (saved.length === 0) return new WritableBranch(setting, ref, tip, place, saved);
    return WritableBranch.#recover(setting, ref, place, saved);
  }

  static async #recover(
    setting: BranchSetting,
    ref: RefName,
    place: BranchPlace,
    saved: readonly ListedRef[],
  ): Promise<WritableBranch> {
    const { odb } = setting.repository;
    const newest = saved.at(-1);
    if (newest === undefined) throw new Error('nothing was saved');
    const { commit } = await readCommit(odb, newest.oid);
    const [base] = commit.parents;
    if (base === undefined) {
      const text = refNameText(newest.name);
      throw new CorruptObjectError(`${text} has no parent`, { oid: newest.oid });
    }
    const tip = tipOf(await readCommit(odb, base));
    const branch = new WritableBranch(setting, ref, tip, place, saved);
    await restoreStaged(branch.root, commit.tree);
    setting.context.log.info('staged-changes-recovered', { ref: refNameText(newest.name) });
    await branch.follow();
    branch.changed();
    return branch;
  }

  get ref(): RefName {
    return this.#ref;
  }

  get tip(): Oid {
    return this.#tip.oid;
  }

  /** Others have deleted the branch, or it was removed through the mount. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Gone, and what was staged is safe. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  requireWritable(): void {
    if (this.#isGone) throw new ErrnoError('ESTALE', `${this.#text} was deleted`);
  }

  changed(): void {
    this.#committer.changed();
  }

  sync(): Promise<void> {
    return this.#committer.sync();
  }

  durable(): Promise<void> {
    return this.#committer.durable();
  }

  /** Commits what was stored by now, whatever the policy. */
  commit(message?: string): Promise<void> {
    return this.#committer.commit(message);
  }

  throwCommitError(): void {
    this.#committer.throwFailure();
  }

  throwUnstored(): void {
    for (const error of this.#unstored.values()) throw error;
  }

  storeLater(file: BranchFile, error: unknown): void {
    if (this.#isGone) return;
    this.#unstored.set(file, error);
    this.#committer.failed(error);
  }

  recordConflict(path: ByteString): void {
    this.#newConflicts.push(path);
    const others = this.#conflicts.filter((known) => known !== path);
    this.#conflicts = [path, ...others].slice(0, mostConflicts);
    this.#setting.context.log.warn('conflict', { ref: this.#text, path: textFromBytes(path) });
  }

  /** Shows what the branch is now, if others have moved it. */
  follow(): Promise<void> {
    return this.#committer.exclusive(() => this.#follow());
  }

  async keepReferred(): Promise<void> {
    if (this.#isGone || !refersToStored(this.root)) return;
    if (this.#setting.policy === 'close') await this.sync();
    else await this.#committer.exclusive(() => this.#save());
  }

  /** Goes on under another name once `moveRef` has moved the ref. */
  rename(to: RefName, moveRef: () => Promise<void>): Promise<void> {
    return this.#committer.exclusive(async () => {
      await this.#saved.move(to, moveRef);
      this.#ref = to;
    });
  }

  /** Ends with the branch, which must be empty, once `deleteRef` has deleted the ref. */
  remove(deleteRef: (tip: Oid | null) => Promise<void>): Promise<void> {
    return this.#committer.exclusive(() =>
      whileRefChanges(async () => {
        // What others have committed a moment ago is in the branch too.
        await this.#follow();
        if (this.#isEnded) return;
        if (!(await this.root.isEmpty())) throw new ErrnoError('ENOTEMPTY');
        await this.#commit();
        // The commit may have had to follow others.
        if (!(await this.root.isEmpty())) throw new ErrnoError('ENOTEMPTY');
        await deleteRef(this.#tip.oid);
        this.#end();
      }),
    );
  }

  /** Another branch has taken the place of this one, which others have deleted. */
  abandon(): Promise<void> {
    return this.#committer.exclusive(async () => {
      if (!this.#isEnded) await this.#lose();
    });
  }

  /** Makes no commits any more but those that are asked for. */
  stop(): void {
    this.#isStopping = true;
    this.#committer.stop();
  }

  status(): BranchStatus {
    const { failure } = this.#committer;
    const { files, sizeBytes } = stagedCounts(this.root);
    return {
      name: textFromBytes(this.#ref.slice(branchPrefix.length) as ByteString),
      tip: this.tip,
      stagedFiles: files,
      stagedBytes: sizeBytes,
      lastCommit: this.#lastCommit,
      lastError:
        failure === undefined
          ? null
          : { message: messageOf(failure.error), time: new Date(failure.timeMs).toISOString() },
      conflicts: this.#conflicts.map(textFromBytes),
    };
  }

  get #text(): string {
    return refNameText(this.#ref);
  }

  #perform({ isExplicit, message }: CommitOrder): Promise<void> {
    const savesOnly = this.#setting.policy === 'manual' && !isExplicit && !this.#isGone;
    return savesOnly ? this.#save() : this.#commit(message);
  }

  async #commit(message?: string): Promise<void> {
    if (this.#isGone && !this.#isEnded) await this.#lose();
    const turn = new BranchTurn(this.#setting.repository, this.#ref);
    try {
      await this.#commitInTurn(turn, message);
    } finally {
      await turn.end();
    }
  }

  async #commitInTurn(turn: BranchTurn, message: string | undefined): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    for (let follows = 0; !this.#isEnded; follows++) {
      if (follows > 0 && follows % followsUntilAsking === 0) await turn.ask();
      await turn.makeWay();
      if (this.#unstored.size > 0) await this.#storeUnstored();
      await this.#commits.mend(this.#ref);
      const plan = await this.#plan();
      try {
        if (!plan.isEmpty) await this.#commitPlan(plan, message);
        // Nothing differs then any more, so the attempt that finds that out has to make it durable.
        if (this.#isUnsure) await this.#setting.repository.refs.sync(this.#ref);
        this.#isUnsure = false;
        await this.#saved.forget();
        return;
      } catch (error) {
        if (!(error instanceof StaleSnapshotError)) {
          this.#isUnsure = true;
          const mayWait = !this.#isStopping && performance.now() < deadlineMs;
          if (mayWait && (await isYoungLock(error))) continue;
          throw error;
        }
        if (follows >= mostFollows && performance.now() > deadlineMs) throw error;
        this.#setting.counts.retries += 1;
        await this.#follow();
      }
    }
  }

  async #plan(): Promise<CommitPlan> {
    return this.#ignoreRules?.plan(this.root) ?? new CommitPlan(this.root);
  }

  async #commitPlan(plan: CommitPlan, message: string | undefined): Promise<void> {
    const firstUnder = await this.#saved.refForCommit(this.#ref);
    const conflicts = [...this.#newConflicts];
    const tip = this.#tip;
    const options = { message, conflicts, firstUnder };
    const result = await this.#commits.onBranch(plan, this.#ref, tip, options);
    if (result !== null) this.#committer.becameDurable();
    const trees = await plan.settle(this.#setting.repository.odb, result?.tree ?? tip.tree);
    if (result === null) {
      await this.#commits.release(plan, trees);
      return;
    }
    this.#newConflicts.splice(0, conflicts.length);
    this.#tip = { ...tip, oid: result.commit, tree: result.tree };
    this.#setting.lookAgain(this.#ref);
    this.#setting.counts.commits += 1;
    this.#lastCommit = { oid: result.commit, time: new Date().toISOString() };
    await this.#commits.release(plan, [...trees, result.commit]);
  }

  /** Makes what is staged durable without committing it, for a later mount to go on with. */
  async #save(): Promise<void> {
    if (this.#isGone) return;
    if (this.#unstored.size > 0) await this.#storeUnstored();
    const plan = await this.#plan();
    if (plan.isEmpty) await this.#saved.forget();
    else await this.#saved.save(plan, this.#ref, this.#tip);
  }

  async #follow(): Promise<void> {
    if (this.#isEnded) return;
    const tip = this.#isGone ? null : await this.#readTip();
    if (tip === null) return this.#lose();
    if (tip.oid === this.#tip.oid) return;
    await followOutside(this.root, tip.tree, tip.time);
    this.#setting.counts.reconciles += 1;
    this.#setting.context.log.info('branch-moved', { ref: this.#text, oid: tip.oid });
    this.#setting.context.referred.tipMoved(this.#tip.oid, tip.oid);
    this.#tip = tip;
    this.#setting.lookAgain(this.#ref);
  }

  /** `null` when others have deleted the branch; with all of the repository gone nobody has, and that is an error. */
  async #readTip(): Promise<Tip | null> {
    const { repository } = this.#setting;
    const tip = await readTip(repository, this.#ref);
    if (tip !== null) return tip;
    await requireStillThere(repository.commonDir, repository.disk);
    // It may have come back in between.
    return readTip(repository, this.#ref);
  }

  /** Others have deleted the branch: nothing more can be written, and what was staged gets a ref of its own. */
  async #lose(): Promise<void> {
    const { log } = this.#setting.context;
    if (this.#unstored.size > 0) await this.#storeUnstored();
    // Nothing can be stored in a branch that is gone, so it is tried again until the mount ends.
    const unstored = [...this.#unstored.values()];
    if (unstored.length > 0 && !this.#isStopping) throw unstored[0];
    // From now on, so that nothing is staged behind what is saved.
    this.#isGone = true;
    const plan = await this.#plan();
    if (plan.isEmpty) {
      log.info('branch-deleted', { ref: this.#text });
    } else {
      const ref = orphanedRef(this.#ref);
      const message = `vost: staged when ${this.#text} was deleted`;
      const parent = await this.#commits.orphaned(plan, ref, this.#tip, message);
      log.warn('branch-deleted', {
        ref: this.#text,
        staged: refNameText(ref),
        parent: parent ?? 'pruned',
      });
    }
    this.#end();
    this.#setting.context.referred.tipMoved(this.#tip.oid, null);
    await this.#saved.forget();
    if (unstored.length > 0) throw unstored[0];
  }

  #end(): void {
    this.#isGone = true;
    this.#isEnded = true;
    this.#unstored.clear();
    this.#committer.stop();
  }

  /** A file that cannot be stored must not keep the others from being committed. */
  async #storeUnstored(): Promise<void> {
    const files = [...this.#unstored.keys()];
    this.#unstored.clear();
    for (const file of files) {
      // What fails comes back through `storeLater`.
      await file.storeAgain().catch(() => undefined);
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
