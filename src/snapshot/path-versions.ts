import type { ByteString } from '../git/byte-string.ts';
import { isGitlinkMode, isSymlinkMode, isTreeMode, modeTree } from '../git/mode.ts';
import type { FileMode } from '../git/mode.ts';
import type { Tree } from '../git/object.ts';
import { ChangedPathQuery } from '../git/odb/changed-paths.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import type { WalkedCommit } from './commit-column.ts';
import type { FirstParentWalk } from './first-parent-walk.ts';
import { graphCandidates } from './graph-history.ts';
import type { Candidate } from './graph-history.ts';
import { rootPath, splitPath } from './path.ts';
import { TimeSlice } from './time-slice.ts';

type Trees = Pick<ObjectDatabase, 'tree' | 'treeIfCached'>;

/** What stands at a path. */
export interface PlacedEntry {
  readonly mode: FileMode;
  readonly oid: Oid;
}

/** A content of a file, and where along a history it came. */
export interface PathVersion extends PlacedEntry {
  /** Of the commit in the walk. */
  readonly position: number;
  readonly commit: WalkedCommit;
}

/**
 * What stands at one path in one tree after another. Trees that follow each other share most of
 * what is below them: from the first directory on the way that is the one of the last tree, the
 * answer is the last one too.
 */
export class PathLookup {
  readonly #trees: Trees;
  readonly #names: readonly ByteString[];
  readonly #way: Oid[] = [];
  #last: PlacedEntry | null = null;

  constructor(trees: Trees, path: ByteString) {
    this.#trees = trees;
    this.#names = splitPath(path);
  }

  /** The entry below a root tree, `null` when there is none; at once when the trees are in memory. */
  in(root: Oid): PlacedEntry | null | Promise<PlacedEntry | null> {
    return this.#descend({ mode: modeTree, oid: root }, 0);
  }

  /** Goes on from an entry at some depth; `loaded` is its tree, where that had to be waited for. */
  #descend(
    from: PlacedEntry,
    depth: number,
    loaded?: Tree,
  ): PlacedEntry | null | Promise<PlacedEntry | null> {
    let entry = from;
    for (let level = depth; level < this.#names.length; level++) {
      if (!isTreeMode(entry.mode)) return this.#found(level, null);
      const { oid } = entry;
      if (this.#way[level] === oid) return this.#last;
      const tree = level === depth && loaded ? loaded : this.#trees.treeIfCached(oid);
      if (tree === undefined) {
        const here = entry;
        return this.#trees.tree(oid).then((late) => this.#descend(here, level, late));
      }
      this.#way[level] = oid;
      const next = tree.get(this.#names[level] ?? rootPath);
      if (next === undefined) return this.#found(level + 1, null);
      entry = next;
    }
    return this.#found(this.#names.length, entry);
  }

  /** Notes the answer; what was noted of the way beyond `depth` is that of another answer. */
  #found(depth: number, entry: PlacedEntry | null): PlacedEntry | null {
    this.#way.length = depth;
    this.#last = entry;
    return entry;
  }
}

/**
 * The contents that a file had, newest first, each once, with the commit that brought it (the last
 * one, when it came more than once). Renames are not followed; what stood there as a directory or a
 * submodule is no content. A change of the executable bit alone is none either.
 */
export async function* pathVersions(
  trees: Trees,
  walk: FirstParentWalk,
  path: ByteString,
): AsyncGenerator<PathVersion, void, undefined> {
  const seen = new Set<string>();
  for await (const version of contentChanges(trees, walk, path)) {
    const key = contentKey(version);
    if (key === null || seen.has(key)) continue;
    seen.add(key);
    yield version;
  }
}

/** Each commit from the tip on that gave a file another content than it had before, or any. */
async function* contentChanges(
  trees: Trees,
  walk: FirstParentWalk,
  path: ByteString,
): AsyncGenerator<PathVersion, void, undefined> {
  const lookup = new PathLookup(trees, path);
  let entryBefore: PlacedEntry | null = null;
  for await (const { position, oid, tree, parentTree, isContinued } of changes(walk, path)) {
    const entry: PlacedEntry | null = isContinued ? entryBefore : await lookup.in(tree);
    entryBefore = parentTree === null ? null : await lookup.in(parentTree);
    if (entry === null || !isContent(entry) || contentKey(entry) === contentKey(entryBefore)) {
      continue;
    }
    const { timeSec } = await walk.source.links(oid);
    yield { position, commit: { oid, tree, timeSec }, mode: entry.mode, oid: entry.oid };
  }
}

/** A commit that may have changed a path. */
type Change = Omit<Candidate, 'step'> & Pick<PathVersion, 'position'>;

/**
 * The commits along a walk that may have changed a path, from the tip on and before position `end`.
 * As far as git has noted them in a commit-graph they are found there, and the walk does not have to
 * read them.
 */
async function* changes(
  walk: FirstParentWalk,
  path: ByteString,
  end = Infinity,
): AsyncGenerator<Change, void, undefined> {
  const query = new ChangedPathQuery(path);
  const slice = new TimeSlice();
  await walk.source.refresh();
  const { graph } = walk.source;
  let position = walk.top;
  while (position < end) {
    const commit = await walk.at(position);
    if (commit === undefined) return;
    const noted = await graph?.answer(() => graph.find(commit.oid));
    if (graph !== undefined && noted !== undefined) {
      const filter = { position: noted, end: end - position, path: query, beforeSec: Infinity };
      const next = yield* changesInGraph(graphCandidates(graph, filter), position);
      if (next === null) return;
      position = next;
      continue;
    }
    const parent = await walk.at(position + 1);
    const parentTree = parent?.tree ?? null;
    if (commit.tree !== parentTree) {
      yield { position, oid: commit.oid, tree: commit.tree, parentTree, isContinued: false };
    }
    position += 1;
    if (slice.isOver) await slice.rest();
  }
}

/** Tells at the end where to go on, when the graph has proved damaged; `null` when there is no more. */
async function* changesInGraph(
  candidates: ReturnType<typeof graphCandidates>,
  start: number,
): AsyncGenerator<Change, number | null, undefined> {
  for (let next = start; ;) {
    const { value, done } = await candidates.next();
    if (done === true) return value === null ? null : next;
    const { step, ...candidate } = value;
    next = start + step + 1;
    yield { ...candidate, position: start + step };
  }
}

/** The content that a commit brought to a path; `null` when it left the content as it was. */
export async function versionAt(
  trees: Trees,
  walk: FirstParentWalk,
  path: ByteString,
  position: number,
): Promise<PathVersion | null> {
  const lookup = new PathLookup(trees, path);
  const [commit, before] = [await walk.at(position), await walk.at(position + 1)];
  const entry = commit === undefined ? null : await lookup.in(commit.tree);
  if (commit === undefined || entry === null || !isContent(entry)) return null;
  const entryBefore = before === undefined ? null : await lookup.in(before.tree);
  if (contentKey(entry) === contentKey(entryBefore)) return null;
  return { position, commit, mode: entry.mode, oid: entry.oid };
}

/**
 * What stood last at a path, from the tip of a walk back to `end` (a position that is not looked at
 * any more; the beginning of history by default). `null` when nothing ever did.
 */
export async function lastEntry(
  trees: Trees,
  walk: FirstParentWalk,
  path: ByteString,
  end: number = Infinity,
): Promise<PlacedEntry | null> {
  const lookup = new PathLookup(trees, path);
  for await (const { tree, parentTree, isContinued } of changes(walk, path, end)) {
    const entry = isContinued ? null : await lookup.in(tree);
    if (entry !== null) return entry;
    const entryBefore = parentTree === null ? null : await lookup.in(parentTree);
    if (entryBefore !== null) return entryBefore;
  }
  return null;
}

function isContent({ mode }: PlacedEntry): boolean {
  return !isTreeMode(mode) && !isGitlinkMode(mode);
}

function contentKey(entry: PlacedEntry | null): string | null {
  if (entry === null || !isContent(entry)) return null;
  return `${isSymlinkMode(entry.mode) ? 'link' : 'file'} ${entry.oid}`;
}
