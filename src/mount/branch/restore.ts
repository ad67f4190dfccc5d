import type { ByteString } from '../../git/byte-string.ts';
import { isTreeMode } from '../../git/mode.ts';
import type { TreeEntry } from '../../git/object.ts';
import type { Oid } from '../../git/oid.ts';

import { BranchDirectory } from './branch-directory.ts';
import { differingNames } from './differing-names.ts';
import { LoadedTrees } from './loaded-trees.ts';

/**
 * Makes what differs between the tree of a directory and a later tree the staged changes of the
 * directory, as they were when that tree was written. Nothing may have been done to it yet.
 */
export async function restoreStaged(root: BranchDirectory, staged: Oid): Promise<void> {
  const trees = new LoadedTrees(root.inode.context.odb);
  await trees.walk(() => {
    findTrees(trees, root.names.origin, staged);
    if (trees.hasAll) restoreDirectory(trees, root, staged);
  });
}

/** Asks for all trees that differ. */
function findTrees(trees: LoadedTrees, from: Oid | null, to: Oid): void {
  for (const { old, entry } of differences(trees, from, to)) {
    if (isDirectory(old) && isDirectory(entry)) findTrees(trees, old.oid, entry.oid);
  }
}

function restoreDirectory(trees: LoadedTrees, directory: BranchDirectory, to: Oid): void {
  const { names } = directory;
  for (const { name, old, entry } of differences(trees, names.origin, to)) {
    names.pending.add(name);
    if (entry === undefined) {
      names.removed.add(name);
    } else if (isDirectory(old) && isDirectory(entry)) {
      const inner = directory.restore(old, true);
      if (inner instanceof BranchDirectory) restoreDirectory(trees, inner, entry.oid);
    } else {
      directory.restore(entry, false);
    }
  }
}

interface Difference {
  readonly name: ByteString;
  readonly old: TreeEntry | undefined;
  readonly entry: TreeEntry | undefined;
}

/** What differs between two trees, as far as both are in memory. */
function* differences(trees: LoadedTrees, from: Oid | null, to: Oid): Generator<Difference> {
  const before = trees.get(from);
  const after = trees.get(to);
  if (before === undefined || after === undefined) return;
  for (const name of differingNames(before, after)) {
    yield { name, old: before.get(name), entry: after.get(name) };
  }
}

function isDirectory(entry: TreeEntry | undefined): entry is TreeEntry {
  return entry !== undefined && isTreeMode(entry.mode);
}
