import { parseCommitLinks } from '../git/commit-links.ts';
import type { CommitLinks } from '../git/commit-links.ts';
import type { CommitGraph } from '../git/odb/commit-graph.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { shallowCommits } from '../git/shallow.ts';

/** Where a walk along first parents finds its commits. */
export interface CommitSource {
  /** At once when it is in memory. */
  links(commit: Oid): CommitLinks | Promise<CommitLinks>;
  /** What git has noted of commits, as of the last look; undefined when there is nothing. */
  readonly graph: CommitGraph | undefined;
  /** Looks for what was noted of commits since. To be called before a long piece of work. */
  refresh(): Promise<void>;
}

type StoredCommitsOptions = Pick<
  ObjectDatabase,
  'commitGraph' | 'objectsDirectory' | 'read' | 'readIfCached'
>;

/** The commits of an object database; where git made a commit-graph, most of them are read from that. */
export class StoredCommits implements CommitSource {
  readonly #odb: StoredCommitsOptions;
  /** Where history ends, as of the last look. */
  #shallow: ReadonlySet<Oid> = new Set();
  #graph: CommitGraph | undefined;
  /** Where the last commit was found in the graph: as a rule the next question is about its parent. */
  #position: number | undefined;

  get graph(): CommitGraph | undefined {
    return this.#graph;
  }

  constructor(odb: StoredCommitsOptions) {
    this.#odb = odb;
  }

  links(commit: Oid): CommitLinks | Promise<CommitLinks> {
    const { graph } = this;
    const noted = graph?.answerIfReady(() => {
      this.#position = graph.find(commit, this.#position);
      return this.#position === undefined ? undefined : graph.linksAt(this.#position);
    });
    if (noted !== undefined) return noted;
    const cached = this.#odb.readIfCached(commit);
    if (cached?.type === 'commit') return this.#parse(cached.data, commit);
    return this.#odb.read(commit, 'commit').then(({ data }) => this.#parse(data, commit));
  }

  async refresh(): Promise<void> {
    this.#shallow = await shallowCommits(this.#odb.objectsDirectory);
    const graph = await this.#odb.commitGraph();
    if (graph === this.#graph) return;
    this.#graph = graph;
    this.#position = undefined;
  }

  #parse(data: Buffer, commit: Oid): CommitLinks {
    const links = parseCommitLinks(data, commit);
    return this.#shallow.has(commit) ? { ...links, parent: null } : links;
  }
}
