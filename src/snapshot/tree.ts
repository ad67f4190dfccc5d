import type { ByteString } from '../git/byte-string.ts';
import { isTreeMode, modeTree } from '../git/mode.ts';
import type { Tree, TreeEntry } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { joinPath, rootPath, splitPath } from './path.ts';

/** A tree at once when it is in memory, else the promise of it. */
export function treeOf(odb: ObjectDatabase, oid: Oid): Tree | Promise<Tree> {
  return odb.treeIfCached(oid) ?? odb.tree(oid);
}

/**
 * The entry at a path below a root tree: `null` when nothing stands there, also when a part of the
 * path is no directory. The root itself is an entry without a name.
 */
export async function entryAt(
  odb: ObjectDatabase,
  root: Oid,
  path: ByteString,
): Promise<TreeEntry | null> {
  let entry: TreeEntry = { name: rootPath, mode: modeTree, oid: root };
  for (const name of splitPath(path)) {
    if (!isTreeMode(entry.mode)) return null;
    const next: TreeEntry | undefined = (await treeOf(odb, entry.oid)).get(name);
    if (next === undefined) return null;
    entry = next;
  }
  return entry;
}

/** A directory that a walk comes to. */
export interface TreeVisit {
  /** Its path, seen from where the walk began and with the path that was given for that before it. */
  readonly path: ByteString;
  readonly tree: Tree;
  /** The names of the directories in it, in order; the walk goes on with those that are left here. */
  readonly subdirectories: ByteString[];
}

/** Every directory from a tree downwards, parents before their children, in git's order. */
export async function* walkTree(
  odb: ObjectDatabase,
  root: Oid,
  path: ByteString = rootPath,
): AsyncGenerator<TreeVisit, void, undefined> {
  // Not by calls of itself: a tree may be nested deeper than those can be.
  const pending = [{ path, oid: root }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const tree = await treeOf(odb, next.oid);
    const oids = new Map<ByteString, Oid>();
    for (const { name, mode, oid } of tree) if (isTreeMode(mode)) oids.set(name, oid);
    const subdirectories = [...oids.keys()];
    yield { path: next.path, tree, subdirectories };
    for (const name of subdirectories.toReversed()) {
      const oid = oids.get(name);
      if (oid !== undefined) pending.push({ path: joinPath(next.path, name), oid });
    }
  }
}
