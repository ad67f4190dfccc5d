import { InvalidArgumentError } from '../errors.ts';
import type { ByteString } from '../git/byte-string.ts';
import { parseCommit, parseTag } from '../git/object.ts';
import type { Commit } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import type { PlacedObject } from './tree-edit.ts';
import { entryAt } from './tree.ts';
import { compileWildcard } from './wildcard.ts';

/** A commit and its id. */
export interface IdentifiedCommit {
  readonly oid: Oid;
  readonly commit: Commit;
}

/** Which commits of a history are wanted; all conditions must hold. */
export interface LogFilter {
  /** Only commits in which this path holds something else than in their first parent. */
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

/** The first parent of a commit; `null` when it has none. */
export async function firstParent(
  odb: ObjectDatabase,
  { commit }: IdentifiedCommit,
): Promise<IdentifiedCommit | null> {
  const parent = commit.parents[0];
  return parent === undefined ? null : readCommit(odb, parent);
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
  const changes = new PathChanges(odb, path);
  for (let current: IdentifiedCommit | null = start; current !== null;) {
    const parent: IdentifiedCommit | null = await firstParent(odb, current);
    const { commit } = current;
    const isWanted = commit.committer.timeSec <= beforeSec && matches(messageText(commit));
    if (isWanted && (await changes.isChangedBetween(parent, current))) yield current;
    current = parent;
  }
}

/** The message of a commit as people want it: without the newlines that end it. */
export function messageText(commit: Commit): string {
  return commit.message.replace(/\n+$/, '');
}

/** Tells in which commits a path changes. Each commit's entry is looked up once, though two steps need it. */
class PathChanges {
  readonly #odb: ObjectDatabase;
  readonly #path: ByteString | undefined;
  #lastTree: Oid | undefined;
  #lastEntry: PlacedObject | null = null;

  constructor(odb: ObjectDatabase, path: ByteString | undefined) {
    this.#odb = odb;
    this.#path = path;
  }

  async isChangedBetween(
    parent: IdentifiedCommit | null,
    { commit }: IdentifiedCommit,
  ): Promise<boolean> {
    if (this.#path === undefined) return true;
    if (parent?.commit.tree === commit.tree) return false;
    const after = await this.#entry(commit.tree, this.#path);
    const before = parent === null ? null : await this.#entry(parent.commit.tree, this.#path);
    return before?.oid !== after?.oid || before?.mode !== after?.mode;
  }

  async #entry(tree: Oid, path: ByteString): Promise<PlacedObject | null> {
    if (this.#lastTree !== tree) {
      this.#lastEntry = await entryAt(this.#odb, tree, path);
      this.#lastTree = tree;
    }
    return this.#lastEntry;
  }
}
