import { StaleSnapshotError } from '../../errors.ts';
import { textFromBytes } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import type { Identity } from '../../git/identity.ts';
import type { Oid } from '../../git/oid.ts';
import { branchPrefix, refNameFromBytes, refNameText } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { Repository } from '../../git/repository.ts';
import { commitChanges } from '../../snapshot/commit.ts';
import type { CommitRequest, CommitResult } from '../../snapshot/commit.ts';
import { readCommit } from '../../snapshot/history.ts';
import type { CommitPolicy } from '../mount-options.ts';
import type { BranchPlace } from '../namespace/branch-provider.ts';
import type { BranchStatus } from '../observe/status.ts';
import { ErrnoError } from '../vfs/errno.ts';
import type { Timespec } from '../vfs/operations.ts';
import type { BranchContext } from './branch-context.ts';
import type { BranchFile } from './branch-file.ts';
import type { Branch } from './branch-node.ts';
import { BranchRoot } from './branch-root.ts';
import { CommitPlan } from './commit-plan.ts';
import { commitSubject, conflictNote } from './commit-subject.ts';
import { Committer } from './committer.ts';
import { followOutside } from './outside-changes.ts';
import { stagedCounts } from './staged-counts.ts';

/** What all branches of a mount have in common. */
export interface BranchSetting {
  readonly repository: Repository;
  readonly context: BranchContext;
  /** Who commits. */
  readonly identity: Identity;
  /** For commit messages; see `formatCommitMessage`. */
  readonly messageTemplate: string | undefined;
  readonly policy: CommitPolicy;
  readonly quietMs: number;
  readonly longestMs: number;
}

/** A commit, as far as a working tree depends on it. */
interface Tip {
  readonly oid: Oid;
  readonly tree: Oid;
  readonly time: Timespec;
}

/** Where staged changes of a branch go that others have deleted: `refs/vost/orphaned/<branch>/<time>`. */
export const orphanedPrefix = 'refs/vost/orphaned/';

/** How often one commit follows a branch that others keep moving. */
const mostFollows = 20;
/** How many conflicts are remembered for the status. */
const mostConflicts = 100;

/** A branch that is open on the mount: its working tree, and what commits it. */
export class WritableBranch implements Branch {
  readonly root: BranchRoot;
  readonly #setting: BranchSetting;
  readonly #committer: Committer;
  /** Closed files that could not be stored. */
  readonly #unstored = new Set<BranchFile>();
  #ref: RefName;
  #tip: Tip;
  #isGone = false;
  /** Gone, and what was staged is safe. */
  #isEnded = false;
  #lastCommit: { readonly oid: Oid; readonly time: string } | null = null;
  /** The newest first, each once. */
  #conflicts: readonly ByteString[] = [];
  /** Since the last commit. */
  #newConflicts: ByteString[] = [];

  private constructor(setting: BranchSetting, ref: RefName, tip: Tip, place: BranchPlace) {
    this.#setting = setting;
    this.#ref = ref;
    this.#tip = tip;
    this.root = new BranchRoot(setting.context, this, place, tip.tree, tip.time);
    const { policy, quietMs, longestMs, context } = setting;
    this.#committer = new Committer({
      policy,
      quietMs,
      longestMs,
      commit: (message) => this.#commit(message),
      onFailure: (error, retryMs) => {
        context.log.error('commit-failed', { ref: this.#text, message: String(error), retryMs });
      },
      onRecovery: () => {
        context.log.info('commit-recovered', { ref: this.#text });
      },
    });
  }

  /** Opens a branch that exists; ESTALE when it does not any more. */
  static async open(
    setting: BranchSetting,
    ref: RefName,
    place: BranchPlace,
  ): Promise<WritableBranch> {
    const tip = await readTip(setting.repository, ref);
    if (tip === null) throw new ErrnoError('ESTALE', `${refNameText(ref)} does not exist`);
    return new WritableBranch(setting, ref, tip, place);
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

  requireWritable(): void {
    if (this.#isGone) throw new ErrnoError('ESTALE', `${this.#text} was deleted`);
  }

  changed(): void {
    this.#committer.changed();
  }

  commitNow(message?: string): Promise<void> {
    return this.#committer.commitNow(message);
  }

  throwCommitError(): void {
    this.#committer.throwFailure();
  }

  storeLater(file: BranchFile, error: unknown): void {
    if (this.#isGone) return;
    this.#unstored.add(file);
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

  /** Goes on under another name once `moveRef` has moved the ref. */
  rename(to: RefName, moveRef: () => Promise<void>): Promise<void> {
    return this.#committer.exclusive(async () => {
      await moveRef();
      this.#ref = to;
    });
  }

  /** Ends with the branch, which must be empty, once `deleteRef` has deleted the ref. */
  remove(deleteRef: () => Promise<void>): Promise<void> {
    return this.#committer.exclusive(async () => {
      if (!(await this.root.isEmpty())) throw new ErrnoError('ENOTEMPTY');
      await this.#commit(undefined);
      await deleteRef();
      this.#end();
    });
  }

  /** Another branch has taken the place of this one, which others have deleted. */
  abandon(): Promise<void> {
    return this.#committer.exclusive(async () => {
      if (!this.#isEnded) await this.#lose();
    });
  }

  /** Makes no commits any more. What is not committed stays where it is. */
  stop(): void {
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

  async #commit(message: string | undefined): Promise<void> {
    if (this.#isGone && !this.#isEnded) await this.#lose();
    for (let follows = 0; !this.#isGone; follows++) {
      if (this.#unstored.size > 0) await this.#storeUnstored();
      const plan = new CommitPlan(this.root);
      if (plan.isEmpty) return;
      try {
        await this.#commitPlan(plan, message);
        return;
      } catch (error) {
        if (!(error instanceof StaleSnapshotError) || follows === mostFollows) throw error;
        await this.#follow();
      }
    }
  }

  async #commitPlan(plan: CommitPlan, message: string | undefined): Promise<void> {
    const { repository, context } = this.#setting;
    const conflicts = this.#newConflicts.length;
    const result = await this.#holding(plan, () =>
      commitChanges(repository, {
        ...this.#request(plan, message),
        ref: this.#ref,
        base: this.#tip.oid,
        ...(conflicts > 0 && { reflogMessage: conflictNote(this.#newConflicts) }),
      }),
    );
    const trees = await plan.settle(repository.odb, result?.tree ?? this.#tip.tree);
    if (result === null) return;
    this.#newConflicts.splice(0, conflicts);
    this.#tip = { oid: result.commit, tree: result.tree, time: this.#tip.time };
    this.#lastCommit = { oid: result.commit, time: new Date().toISOString() };
    await this.#release(plan, trees, result);
    context.log.debug('committed', { ref: this.#text, oid: result.commit });
  }

  /** Keeps content that is being committed, whatever becomes of the files meanwhile. */
  async #holding<T>(plan: CommitPlan, work: () => Promise<T>): Promise<T> {
    const { contents } = this.#setting.context;
    const held = plan.oids.map((oid) => contents.hold(oid));
    try {
      return await work();
    } finally {
      for (const content of held) contents.drop(content);
    }
  }

  async #release(plan: CommitPlan, trees: readonly Oid[], result: CommitResult): Promise<void> {
    const { contents, log } = this.#setting.context;
    try {
      await contents.committed([...plan.oids, ...trees, result.commit]);
      await contents.releaseUnused();
    } catch (error) {
      // The commit is made; what could not be given back is tried again with what comes next.
      log.warn('release-failed', { message: String(error) });
    }
  }

  #request(plan: CommitPlan, message: string | undefined): Omit<CommitRequest, 'ref' | 'base'> {
    const { context, identity, messageTemplate } = this.#setting;
    return {
      change: plan.change,
      staging: context.contents.staging,
      pruneEmpty: false,
      message: (changes) => commitSubject(changes, plan.change, message ?? messageTemplate),
      author: identity,
      fsync: true,
    };
  }

  async #follow(): Promise<void> {
    if (this.#isEnded) return;
    if (this.#isGone) return this.#lose();
    const tip = await readTip(this.#setting.repository, this.#ref);
    if (tip === null) return this.#lose();
    if (tip.oid === this.#tip.oid) return;
    await followOutside(this.root, tip.tree, tip.time);
    this.#setting.context.log.info('branch-moved', { ref: this.#text, oid: tip.oid });
    this.#tip = tip;
  }

  /** Others have deleted the branch: nothing more can be written, and what was staged gets a ref of its own. */
  async #lose(): Promise<void> {
    const { log } = this.#setting.context;
    if (this.#unstored.size > 0) await this.#storeUnstored();
    // From now on, so that nothing is staged behind what is saved.
    this.#isGone = true;
    const plan = new CommitPlan(this.root);
    if (plan.isEmpty) {
      log.info('branch-deleted', { ref: this.#text });
    } else {
      const saved = await this.#saveOrphan(plan);
      log.warn('branch-deleted', { ref: this.#text, staged: refNameText(saved) });
    }
    this.#end();
  }

  async #saveOrphan(plan: CommitPlan): Promise<RefName> {
    const { repository } = this.#setting;
    const { oid, tree } = this.#tip;
    const time = new Date().toISOString().replace(/[-:.]/g, '');
    const shortName = this.#ref.slice(branchPrefix.length);
    const ref = refNameFromBytes(`${orphanedPrefix}${shortName}/${time}` as ByteString);
    const change = { ...plan.change, base: tree };
    await this.#holding(plan, () =>
      commitChanges(repository, {
        ...this.#request(plan, undefined),
        ref,
        base: null,
        change,
        extraParents: [oid],
        reflogMessage: `vost: staged when ${this.#text} was deleted`,
      }),
    );
    return ref;
  }

  #end(): void {
    this.#isGone = true;
    this.#isEnded = true;
    this.#unstored.clear();
    this.#committer.stop();
  }

  /** A file that cannot be stored must not keep the others from being committed. */
  async #storeUnstored(): Promise<void> {
    const files = [...this.#unstored];
    this.#unstored.clear();
    for (const file of files) {
      // What fails comes back through `storeLater`.
      await file.storeAgain().catch(() => undefined);
    }
  }
}

async function readTip(repository: Repository, ref: RefName): Promise<Tip | null> {
  const resolved = await repository.refs.resolve(ref);
  if (resolved === null) return null;
  const { oid, commit } = await readCommit(repository.odb, resolved.oid);
  return { oid, tree: commit.tree, time: { sec: Math.max(0, commit.committer.timeSec), nsec: 0 } };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
