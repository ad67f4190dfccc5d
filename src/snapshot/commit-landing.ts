import { ObjectNotFoundError } from '../errors.ts';
import { isGcRunning } from '../git/gc-lock.ts';
import type { Identity } from '../git/identity.ts';
import { PackKeeps } from '../git/odb/pack-keeps.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import type { Oid } from '../git/oid.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { Repository } from '../git/repository.ts';
import { moveRefChecked, requireTip } from './ref-move.ts';
import type { RefMove } from './ref-move.ts';

/** A ref of its own that a commit gets. It stays, whatever becomes of the other one. */
export interface FirstRef {
  readonly ref: RefName;
  readonly message: string;
  /** Told when it leads to the commit. */
  readonly onMade: (commit: Oid) => void;
}

/** Where a commit goes, and what is written down about that. */
export interface CommitDestination {
  /** The ref that moves, usually a branch. A symbolic one moves what it leads to. */
  readonly ref: RefName;
  /** The commit that must be the tip, and becomes the first parent; `null` when the ref must not exist. */
  readonly base: Oid | null;
  readonly author: Identity;
  /** The author, unless somebody else commits. */
  readonly committer?: Identity;
  /** Further parents, after `base`; those that are parents already are left out. */
  readonly extraParents?: readonly Oid[];
  /** What the reflog says, instead of `commit: ` and the subject. */
  readonly reflogMessage?: string;
  /** A ref that does not exist, and is made to lead to the commit before `ref` does. */
  readonly firstUnder?: FirstRef;
}

/** A commit whose objects are stored or staged. */
export interface LandingRequest extends CommitDestination {
  readonly commit: Oid;
  /** What the commit leads to, and `base` does not, the commit itself among them. */
  readonly objects: readonly Oid[];
  readonly message: string;
}

/**
 * The last steps of a commit: its objects become a part of the repository, and the ref moves to it.
 *
 * Few objects are stored while the ref is locked, and not at all when the ref is elsewhere by now. With many
 * of them others would have to wait for the lock: these are stored before.
 */
export class CommitLanding {
  readonly #repository: Repository;
  readonly #staging: StagingArea;
  readonly #request: LandingRequest;
  readonly #staged: readonly Oid[];
  readonly #stored: readonly Oid[];
  // Of this commit alone: other branches commit out of the same area at the same time.
  readonly #keeps = new PackKeeps();
  readonly #packedBeside = new Set<Oid>();

  constructor(repository: Repository, staging: StagingArea, request: LandingRequest) {
    this.#repository = repository;
    this.#staging = staging;
    this.#request = request;
    this.#staged = request.objects.filter((oid) => staging.hasStaged(oid));
    this.#stored = request.objects.filter((oid) => !staging.hasStaged(oid));
  }

  /** Once. After an error the ref may have moved all the same, unless that is a `StaleSnapshotError`. */
  async land(): Promise<void> {
    const { ref, base, firstUnder } = this.#request;
    const isQuick = firstUnder === undefined && this.#staging.areFew(this.#staged);
    try {
      if (!isQuick) {
        await requireTip(this.#repository, ref, base);
        await this.#publish();
      }
      const beforeMove = (): Promise<void> => this.#beforeMove(isQuick);
      if (firstUnder !== undefined) await this.#moveFirst(firstUnder, beforeMove);
      const afterMove = (): Promise<void> => this.#afterMove();
      await this.#move({ ...this.#refMove(), beforeMove, afterMove });
      this.#staging.referred(this.#staged);
    } finally {
      await this.#keeps.letGo();
    }
  }

  get #how(): { readonly fsync: boolean; readonly keeps: PackKeeps } {
    return { fsync: this.#repository.syncs, keeps: this.#keeps };
  }

  async #publish(): Promise<void> {
    if (await this.#packBeside()) return;
    await this.#staging.publish(this.#request.objects, this.#how);
  }

  /**
   * A `git gc` at work may remove loose objects before it sees the ref, and whoever reads the ref until they
   * are put back meets a commit without content. It leaves packs alone that came after it began.
   */
  async #packBeside(): Promise<boolean> {
    const { commonDir, disk } = this.#repository;
    if (this.#packedBeside.size > 0 || !(await isGcRunning(commonDir, disk))) return false;
    // An attempt before this one may have published some of them, as loose objects.
    await this.#packAgain(this.#request.objects);
    for (const oid of this.#staged) this.#packedBeside.add(oid);
    return true;
  }

  #packAgain(oids: readonly Oid[]): Promise<void> {
    return this.#staging.publish(oids, { ...this.#how, besideGc: true, again: true });
  }

  async #beforeMove(isQuick: boolean): Promise<void> {
    if (isQuick) {
      await this.#publish();
    } else {
      await this.#packBeside();
      // A whole `git gc` may have passed while the ref was locked by others.
      await this.#republishMissing();
    }
    const missing = await this.#repository.odb.firstMissing(this.#stored);
    if (missing !== undefined) throw new ObjectNotFoundError(missing);
  }

  async #afterMove(): Promise<void> {
    // A repack that began when one of the packs was not protected may be about to remove it. One that
    // begins from now on sees the ref.
    if (!(await this.#keeps.areStanding())) await this.#packAgain(this.#staged);
    await this.#republishMissing();
  }

  async #republishMissing(): Promise<void> {
    await this.#staging.republishMissing(this.#staged, this.#how);
  }

  async #moveFirst(
    { ref, message, onMade }: FirstRef,
    beforeMove: () => Promise<void>,
  ): Promise<void> {
    await this.#move({ ...this.#refMove(), ref, from: null, message, beforeMove });
    onMade(this.#request.commit);
  }

  #refMove(): RefMove {
    const { ref, base, commit, author, committer, message, extraParents } = this.#request;
    return {
      ref,
      from: base,
      to: commit,
      identity: committer ?? author,
      message: this.#request.reflogMessage ?? reflogMessage(message, base, extraParents),
    };
  }

  async #move(move: Parameters<typeof moveRefChecked>[1]): Promise<void> {
    await moveRefChecked(this.#repository, move, this.#request.objects, this.#packedBeside);
  }
}

function reflogMessage(
  message: string,
  base: Oid | null,
  extraParents: readonly Oid[] = [],
): string {
  const subject = message.split('\n', 1)[0] ?? '';
  if (base === null) return `commit (initial): ${subject}`;
  return extraParents.length > 0 ? `commit (merge): ${subject}` : `commit: ${subject}`;
}
