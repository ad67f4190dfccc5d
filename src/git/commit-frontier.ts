import { ObjectNotFoundError } from '../errors.ts';
import { parseCommit } from './object.ts';
import type { ObjectDatabase } from './odb/object-database.ts';
import type { Oid } from './oid.ts';

/** What a walk along the history keeps of a commit. */
export interface WalkedCommit {
  readonly oid: Oid;
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  readonly timeSec: number;
  /** Whether it can be reached from a commit that is left out. */
  isExcluded: boolean;
}

// Commits that were made by a clock that went wrong are met late; so many more are looked at before
// the rest is believed to be excluded.
const commitsBeyondTheLast = 8;

/**
 * Walks the history newest first, from the commits that are wanted and from those that are left out
 * with all that they reach, until only the latter remain. Histories older than what both share are
 * not read. Dates that contradict the history can make it give some excluded commits as wanted, but
 * never the other way round.
 */
export class CommitFrontier {
  readonly #odb: ObjectDatabase;
  readonly #signal: AbortSignal | undefined;
  readonly #commits = new Map<Oid, WalkedCommit>();
  readonly #queue = new NewestFirst();
  #wantedInQueue = 0;

  constructor(odb: ObjectDatabase, signal?: AbortSignal) {
    this.#odb = odb;
    this.#signal = signal;
  }

  /** Adds a commit to begin from. */
  async add(oid: Oid, isExcluded: boolean): Promise<void> {
    const known = this.#commits.get(oid);
    if (known !== undefined) {
      if (isExcluded) this.#exclude(known);
      return;
    }
    let data: Buffer;
    try {
      ({ data } = await this.#odb.read(oid, 'commit'));
    } catch (error) {
      // Of what is left out, nothing need be here: a leftover whose history is gone, say.
      if (isExcluded && error instanceof ObjectNotFoundError) return;
      throw error;
    }
    const { tree, parents, committer } = parseCommit(data, oid);
    const commit = { oid, tree, parents, timeSec: committer.timeSec, isExcluded };
    this.#commits.set(oid, commit);
    this.#queue.push(commit);
    if (!isExcluded) this.#wantedInQueue += 1;
  }

  /** Walks; gives all commits that were met, the excluded ones at the edge among them. */
  async walk(): Promise<WalkedCommit[]> {
    for (let beyond = 0; beyond < commitsBeyondTheLast;) {
      this.#signal?.throwIfAborted();
      const commit = this.#queue.pop();
      if (commit === undefined) break;
      if (!commit.isExcluded) this.#wantedInQueue -= 1;
      for (const parent of commit.parents) await this.add(parent, commit.isExcluded);
      beyond = this.#wantedInQueue === 0 ? beyond + 1 : 0;
    }
    return [...this.#commits.values()];
  }

  /** Passes on to those that were met before that they are excluded. */
  #exclude(start: WalkedCommit): void {
    const stack = [start];
    for (let commit = stack.pop(); commit !== undefined; commit = stack.pop()) {
      if (commit.isExcluded) continue;
      commit.isExcluded = true;
      if (this.#queue.has(commit)) this.#wantedInQueue -= 1;
      for (const parent of commit.parents) {
        const known = this.#commits.get(parent);
        if (known !== undefined) stack.push(known);
      }
    }
  }
}

/** A binary heap of commits, the newest on top. */
class NewestFirst {
  readonly #heap: WalkedCommit[] = [];
  readonly #members = new Set<WalkedCommit>();

  has(commit: WalkedCommit): boolean {
    return this.#members.has(commit);
  }

  push(commit: WalkedCommit): void {
    this.#members.add(commit);
    let at = this.#heap.push(commit) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.#swapIfNewer(at, above)) return;
      at = above;
    }
  }

  pop(): WalkedCommit | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (top === undefined || last === undefined) return undefined;
    this.#members.delete(top);
    if (top === last) return top;
    this.#heap[0] = last;
    for (let at = 0; ;) {
      const child = 2 * at + (this.#isNewer(2 * at + 2, 2 * at + 1) ? 2 : 1);
      if (!this.#swapIfNewer(child, at)) return top;
      at = child;
    }
  }

  #isNewer(a: number, b: number): boolean {
    return (this.#heap[a]?.timeSec ?? -Infinity) > (this.#heap[b]?.timeSec ?? -Infinity);
  }

  #swapIfNewer(below: number, above: number): boolean {
    const [a, b] = [this.#heap[below], this.#heap[above]];
    if (a === undefined || b === undefined || a.timeSec <= b.timeSec) return false;
    this.#heap[below] = b;
    this.#heap[above] = a;
    return true;
  }
}
