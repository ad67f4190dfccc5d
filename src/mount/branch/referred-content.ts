import type { ObjectDatabase } from '../../git/odb/object-database.ts';
import type { Oid } from '../../git/oid.ts';
import { descendsFrom } from '../../snapshot/ancestry.ts';
import type { Log } from '../observe/log.ts';
import type { BranchFile } from './branch-file.ts';

/** A tip that has a longer way to the one before counts as if it had none: things are kept in vain then. */
const mostCommits = 1000;

/** A branch, as far as it is concerned by what others take back. */
export interface ReferringBranch {
  /** Gives a ref to what is staged, if some of it is only referred to. */
  keepReferred(): Promise<void>;
}

/**
 * What the mount refers to by a hash without having it: content that was copied or moved by it, whole
 * trees, and what is open. The repository has all that as long as a ref leads to the commits that it came
 * from. As soon as others have taken such a commit back (deleted a branch or tag, or set it elsewhere), the
 * next `git gc` may prune it; so what is staged gets a ref, by a commit or by saving it, and what is open
 * and in no commit of a branch is staged. Neither waits for the other: one costs the same for a tree of any
 * size, the other is needed where no commit would take the content.
 */
export class ReferredContent {
  /** Files that are open, or hold what could not be stored yet. */
  readonly openFiles: Set<BranchFile> = new Set();
  readonly #odb: ObjectDatabase;
  readonly #log: Log;
  readonly #branches: () => Iterable<ReferringBranch>;
  #last: Promise<void> = Promise.resolve();
  /** Begins when what is under way has ended. */
  #next: Promise<void> | undefined;

  constructor(odb: ObjectDatabase, log: Log, branches: () => Iterable<ReferringBranch>) {
    this.#odb = odb;
    this.#log = log;
    this.#branches = branches;
  }

  /**
   * A ref led to one commit, and leads to another one now, or nowhere. Nobody waits for what follows from
   * it: content may take long to be copied, and others go on moving refs.
   */
  tipMoved(from: Oid, to: Oid | null): void {
    void this.#hasStill(from, to).then((hasStill) => (hasStill ? undefined : this.#keep()));
  }

  async #hasStill(from: Oid, to: Oid | null): Promise<boolean> {
    if (to === null) return false;
    // What is no commit (the tags of trees, and annotated ones), or cannot be read, says nothing.
    return descendsFrom(this.#odb, to, from, mostCommits).catch(() => false);
  }

  #keep(): Promise<void> {
    // Whoever comes before it has begun shares it: it looks at what is there then.
    this.#next ??= this.#last.then(() => {
      this.#next = undefined;
      return this.#keepAll();
    });
    this.#last = this.#next;
    return this.#next;
  }

  /** What cannot be kept, since it is gone already or the disk is full, must not hold the rest back. */
  async #keepAll(): Promise<void> {
    const saved = Array.from(this.#branches(), (branch) =>
      this.#attempt('staged-content-not-kept', () => branch.keepReferred()),
    );
    // One after the other: there may be many, and big ones.
    for (const file of [...this.openFiles]) {
      await this.#attempt('open-content-not-kept', () => file.keepContent());
    }
    await Promise.all(saved);
  }

  async #attempt(event: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log.warn(event, { message: String(error) });
    }
  }
}
