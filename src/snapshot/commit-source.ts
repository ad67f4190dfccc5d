import { parseCommitLinks } from '../git/commit-links.ts';
import type { CommitLinks } from '../git/commit-links.ts';
import type { ChangedPathQuery } from '../git/odb/changed-paths.ts';
import type { CommitGraph } from '../git/odb/commit-graph.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';

/** Where a walk along first parents finds its commits. */
export interface CommitSource {
  /** At once when it is in memory. */
  links(commit: Oid): CommitLinks | Promise<CommitLinks>;
  /** Whether a path differs between a commit and its first parent, as far as that is noted in memory. */
  changedPath(commit: Oid, path: ChangedPathQuery): 'no' | 'maybe';
  /** Looks for what was noted of commits since. To be called before a long piece of work. */
  refresh(): Promise<void>;
}

/** The commits of an object database; where git made a commit-graph, most of them are read from that. */
export class StoredCommits implements CommitSource {
  readonly #odb: Pick<ObjectDatabase, 'commitGraph' | 'read' | 'readIfCached'>;
  #graph: CommitGraph | undefined;

  constructor(odb: Pick<ObjectDatabase, 'commitGraph' | 'read' | 'readIfCached'>) {
    this.#odb = odb;
  }

  links(commit: Oid): CommitLinks | Promise<CommitLinks> {
    const graph = this.#graph;
    const noted = graph?.answerIfReady(() => graph.links(commit));
    if (noted !== undefined) return noted;
    const cached = this.#odb.readIfCached(commit);
    if (cached?.type === 'commit') return parseCommitLinks(cached.data, commit);
    return this.#odb.read(commit, 'commit').then(({ data }) => parseCommitLinks(data, commit));
  }

  changedPath(commit: Oid, path: ChangedPathQuery): 'no' | 'maybe' {
    const graph = this.#graph;
    const answer = graph?.answerIfReady(() => {
      const position = graph.find(commit);
      return position === undefined ? 'maybe' : graph.changedPathAt(position, path);
    });
    return answer ?? 'maybe';
  }

  async refresh(): Promise<void> {
    this.#graph = await this.#odb.commitGraph();
  }
}
