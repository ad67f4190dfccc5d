import type { ByteString } from '../git/byte-string.ts';
import { canonicalMode, isTreeMode } from '../git/mode.ts';
import type { Tree } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Candidate } from './graph-history.ts';
import { PathLookup } from './path-versions.ts';
import type { PlacedEntry } from './path-versions.ts';
import { treeOf } from './tree.ts';

/**
 * Tells in which commits along a history a path changes. As for git, directories that hold no file at
 * all are none: their coming and going is no change, for the filters of a commit-graph do not know it.
 */
export class PathChanges {
  readonly #odb: ObjectDatabase;
  readonly #lookup: PathLookup;
  /** What stood there before the last commit; undefined when nothing was asked yet. */
  #before: PlacedEntry | null | undefined;

  constructor(odb: ObjectDatabase, path: ByteString) {
    this.#odb = odb;
    this.#lookup = new PathLookup(odb, path);
  }

  /** Tells it of the next commit, newest first. */
  async isChangedIn(commit: Omit<Candidate, 'step'>): Promise<boolean> {
    const { tree, parentTree, isContinued } = commit;
    const known = isContinued ? this.#before : undefined;
    const after = known === undefined ? await this.#lookup.in(tree) : known;
    // Where the root is the same, so is all below it: that costs no look at a tree.
    const before = parentTree === null ? null : await this.#lookup.in(parentTree);
    this.#before = before;
    return differ(this.#odb, before, after);
  }
}

async function differ(
  odb: ObjectDatabase,
  from: PlacedEntry | null,
  to: PlacedEntry | null,
): Promise<boolean> {
  if (isFile(from) || isFile(to)) {
    const isSame =
      from?.oid === to?.oid && canonicalMode(from?.mode ?? 0) === canonicalMode(to?.mode ?? 0);
    return !isSame;
  }
  if (from?.oid === to?.oid) return false;
  const before = from === null ? null : await treeOf(odb, from.oid);
  const after = to === null ? null : await treeOf(odb, to.oid);
  // The first entry that is not the same is a file, or leads to one, nearly always.
  const start = before === null || after === null ? 0 : before.sameRun(0, after, 0);
  return (
    (await differFrom(odb, start, before, after)) || (await differFrom(odb, start, after, before))
  );
}

/** Looks at the entries of one tree from an index on. */
async function differFrom(
  odb: ObjectDatabase,
  start: number,
  tree: Tree | null,
  other: Tree | null,
): Promise<boolean> {
  if (tree === null) return false;
  for (let index = start; index < tree.size; index++) {
    const entry = tree.at(index);
    const there = other?.get(entry.name) ?? null;
    if (there?.oid === entry.oid && there.mode === entry.mode) continue;
    if (await differ(odb, there, entry)) return true;
  }
  return false;
}

function isFile(entry: PlacedEntry | null): boolean {
  return entry !== null && !isTreeMode(entry.mode);
}
