import type { ChangedPathQuery } from '../git/odb/changed-paths.ts';
import type { CommitGraph } from '../git/odb/commit-graph.ts';
import { YieldFault } from '../git/odb/fault.ts';
import type { Oid } from '../git/oid.ts';

/** A commit that may be wanted, for all that a commit-graph can tell. */
export interface Candidate {
  readonly oid: Oid;
  readonly tree: Oid;
  /** The tree of the first parent; `null` when there is none. */
  readonly parentTree: Oid | null;
  /** How many first parents it is away from the first commit that is looked at. */
  readonly step: number;
  /** True where the path is known to be the same in this commit as in the last candidate's parent. */
  readonly isContinued: boolean;
}

/** What may be wanted of a history. */
export interface GraphFilter {
  /** The position of the first commit that is looked at. */
  readonly position: number;
  /** How many commits are looked at; `Infinity` for all. */
  readonly end: number;
  readonly path: ChangedPathQuery | undefined;
  /** Seconds since the epoch. Times that a graph does not hold (see `timeSecAt`) exclude nothing. */
  readonly beforeSec: number;
}

const commitsPerTurn = 5000;

/**
 * The candidates along first parents in a commit-graph. At the end of history `null` comes back; when
 * the graph cannot answer any more, the last candidate, or undefined when there was none.
 */
export async function* graphCandidates(
  graph: CommitGraph,
  filter: GraphFilter,
): AsyncGenerator<Candidate, Oid | null | undefined, undefined> {
  const history = new GraphHistory(graph, filter);
  for (let last: Oid | undefined; ;) {
    const candidate = await graph.answer(() => history.next());
    if (candidate === null) return null;
    if (candidate === undefined) return last;
    yield candidate;
    last = candidate.oid;
  }
}

/**
 * Goes along first parents in a commit-graph, past the commits that it knows not to be wanted. No
 * commit is inflated for it, and where there are filters of changed paths, no tree either.
 */
class GraphHistory {
  readonly #graph: CommitGraph;
  readonly #path: ChangedPathQuery | undefined;
  readonly #beforeSec: number;
  readonly #end: number;
  #position: number | undefined;
  #step = 0;
  #untilTurn = commitsPerTurn;
  /** Whether all commits since the last candidate left the path as it was. */
  #isContinued = false;

  constructor(graph: CommitGraph, { position, end, path, beforeSec }: GraphFilter) {
    this.#end = end;
    this.#graph = graph;
    this.#position = position;
    this.#path = path;
    this.#beforeSec = beforeSec;
  }

  /** The next candidate, `null` at the end. It may throw a `Fault`, and then goes on from there. */
  next(): Candidate | null {
    while (this.#position !== undefined && this.#step < this.#end) {
      if (--this.#untilTurn < 0) {
        this.#untilTurn = commitsPerTurn;
        throw new YieldFault('others have their turn');
      }
      const position = this.#position;
      const parent = this.#graph.firstParentAt(position);
      const candidate = this.#isExcluded(position) ? null : this.#candidate(position, parent);
      // From here on nothing can fault: the position moves on once for each commit.
      this.#position = parent;
      this.#step += 1;
      if (candidate === null) continue;
      this.#isContinued = true;
      return candidate;
    }
    return null;
  }

  #isExcluded(position: number): boolean {
    if (this.#path !== undefined && this.#graph.changedPathAt(position, this.#path) === 'no') {
      return true;
    }
    if (this.#beforeSec === Infinity) return false;
    const timeSec = this.#graph.timeSecAt(position);
    if (timeSec === undefined || timeSec <= this.#beforeSec) return false;
    this.#isContinued = false;
    return true;
  }

  #candidate(position: number, parent: number | undefined): Candidate | null {
    const tree = this.#graph.treeAt(position);
    const parentTree = parent === undefined ? null : this.#graph.treeAt(parent);
    if (this.#path !== undefined && tree === parentTree) return null;
    const oid = this.#graph.oidAt(position);
    return { oid, tree, parentTree, step: this.#step, isContinued: this.#isContinued };
  }
}
