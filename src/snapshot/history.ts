import { InvalidArgumentError, ObjectNotFoundError } from '../errors.ts';
import type { ByteString } from '../git/byte-string.ts';
import { parseCommit, parseTag } from '../git/object.ts';
import type { Commit } from '../git/object.ts';
import { ChangedPathQuery } from '../git/odb/changed-paths.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { shallowCommits } from '../git/shallow.ts';
import { graphCandidates } from './graph-history.ts';
import type { Candidate } from './graph-history.ts';
import { PathChanges } from './path-changes.ts';
import { compileWildcard } from './wildcard.ts';

/** A commit and its id. */
export interface IdentifiedCommit {
  readonly oid: Oid;
  readonly commit: Commit;
}

/** Which commits of a history are wanted; all conditions must hold. */
export interface LogFilter {
  /**
   * Only commits in which this path holds something else than in their first parent. As for git,
   * directories without any file in them do not count.
   */
  readonly path?: ByteString;
  /** Only commits whose message, without its last newline, matches: `*` is any text, `?` one character. */
  readonly match?: string;
  /** Only commits made at this time or before: seconds since the epoch. */
  readonly beforeSec?: number;
}

// A tag can name a tag; nobody nests them, and a chain must end.
const longestTagChain = 10;

/** Reads a commit. */
export async function readCommit(odb: ObjectDatabase, oid: Oid): Promise<IdentifiedCommit> {
  const { data } = await odb.read(oid, 'commit');
  return { oid, commit: parseCommit(data, oid) };
}

/** The commit that an object id leads to through annotated tags; `null` when it leads to something else. */
export async function peelToCommit(odb: ObjectDatabase, start: Oid): Promise<Oid | null> {
  let oid = start;
  for (let depth = 0; depth < longestTagChain; depth++) {
    const { type } = await odb.header(oid);
    if (type === 'commit') return oid;
    if (type !== 'tag') return null;
    oid = parseTag((await odb.read(oid, 'tag')).data, oid).object;
  }
  return null;
}

/** The first parent of a commit; `null` when it has none, or a shallow history ends here. */
export async function firstParent(
  odb: ObjectDatabase,
  { oid, commit }: IdentifiedCommit,
): Promise<IdentifiedCommit | null> {
  const parent = commit.parents[0];
  if (parent === undefined) return null;
  try {
    return await readCommit(odb, parent);
  } catch (error) {
    if (!(error instanceof ObjectNotFoundError)) throw error;
    if ((await shallowCommits(odb.objectsDirectory)).has(oid)) return null;
    throw error;
  }
}

/** The commit that is `steps` first parents back; an `InvalidArgumentError` when history is shorter. */
export async function ancestor(
  odb: ObjectDatabase,
  start: IdentifiedCommit,
  steps: number,
): Promise<IdentifiedCommit> {
  if (!Number.isSafeInteger(steps) || steps < 0) {
    throw new InvalidArgumentError(`not a number of commits: ${steps}`);
  }
  let commit = start;
  for (let taken = 0; taken < steps; taken++) {
    const parent = await firstParent(odb, commit);
    if (parent === null) {
      throw new InvalidArgumentError(
        `cannot go ${steps} commits back from ${start.oid}: there are only ${taken} before it`,
        { oid: start.oid },
      );
    }
    commit = parent;
  }
  return commit;
}

/**
 * The history of a commit, itself first, along first parents: each step is one state that the
 * branch was in. Further parents say what a commit took in, not what stood here before.
 */
export async function* walkHistory(
  odb: ObjectDatabase,
  start: IdentifiedCommit,
  filter: LogFilter = {},
): AsyncGenerator<IdentifiedCommit, void, undefined> {
  const { path, beforeSec = Infinity } = filter;
  const matches = filter.match === undefined ? () => true : compileWildcard(filter.match);
  const changes = path === undefined ? undefined : new PathChanges(odb, path);
  for await (const candidate of candidates(odb, start, filter)) {
    const { oid } = candidate;
    if (changes !== undefined && !(await changes.isChangedIn(candidate))) continue;
    const found = candidate.read ?? (oid === start.oid ? start : await readCommit(odb, oid));
    const { committer } = found.commit;
    if (committer.timeSec <= beforeSec && matches(messageText(found.commit))) yield found;
  }
}

/** A candidate, and the commit where it has been read already. */
type WalkedCandidate = Omit<Candidate, 'step'> & { readonly read?: IdentifiedCommit };

/**
 * The commits that may be wanted. Where git made a commit-graph, it only makes this quicker: what it
 * does not cover, or cannot answer because its files are damaged, is read from the commits.
 */
async function* candidates(
  odb: ObjectDatabase,
  start: IdentifiedCommit,
  { path, beforeSec = Infinity }: LogFilter,
): AsyncGenerator<WalkedCandidate, void, undefined> {
  // When all commits are wanted for their own sake, all have to be read.
  const isSelective = path !== undefined || beforeSec !== Infinity;
  const graph = isSelective ? await odb.commitGraph() : undefined;
  const query = path === undefined ? undefined : new ChangedPathQuery(path);
  for (let current: IdentifiedCommit | null = start; current !== null;) {
    const { oid, commit }: IdentifiedCommit = current;
    const position = await graph?.answer(() => graph.find(oid));
    if (graph !== undefined && position !== undefined) {
      const wanted = { position, end: Infinity, path: query, beforeSec };
      const last = yield* graphCandidates(graph, wanted);
      if (last === null) return;
      if (last !== undefined) current = await firstParent(odb, await readCommit(odb, last));
      continue;
    }
    const parent = await firstParent(odb, current);
    const parentTree = parent?.commit.tree ?? null;
    yield { oid, tree: commit.tree, parentTree, isContinued: false, read: current };
    current = parent;
  }
}

/** The message of a commit as people want it: without the newlines that end it. */
export function messageText(commit: Commit): string {
  return commit.message.replace(/\n+$/, '');
}
