import type { ByteString } from '../../git/byte-string.ts';
import { repositoryName } from '../../git/forbidden-name.ts';
import { isTreeMode } from '../../git/mode.ts';
import type { Tree, TreeEntry } from '../../git/object.ts';
import type { Oid } from '../../git/oid.ts';
import { BranchDirectory } from './branch-directory.ts';
import { differingNames } from './differing-names.ts';
import { reconsider } from './left-out.ts';
import type { LoadedTrees } from './loaded-trees.ts';

/**
 * Tells a directory as changes to `tree`, which the tree of its parent has under its name, or to the
 * empty one where that has no directory (`null`). It may have been made anew or moved there, and so be
 * based on another tree, or on none; what it shows stays the same. False, and nothing is done, while a
 * tree has to be read first.
 */
export function putInPlace(
  trees: LoadedTrees,
  directory: BranchDirectory,
  tree: Oid | null,
): boolean {
  const { names } = directory;
  if (names.origin !== tree) {
    const before = trees.get(names.origin);
    const after = trees.get(tree);
    if (before === undefined || after === undefined) return false;
    for (const name of differingNames(before, after)) {
      // What a tree has there is never shown.
      if (name !== repositoryName) keepAcross(directory, name, before, after.get(name));
    }
    names.moveOn(tree);
  }
  // No commit will see any more that it was moved.
  if (!directory.isInPlace) reconsider(directory);
  directory.isInPlace = tree !== null;
  return true;
}

/** Has a name lead to what it does, though the tree of its directory will have `after` there. */
function keepAcross(
  directory: BranchDirectory,
  name: ByteString,
  before: Tree,
  after: TreeEntry | undefined,
): void {
  const { names } = directory;
  const node = names.getIn(before, name);
  if (node === undefined && after === undefined) {
    names.removed.delete(name);
    names.pending.delete(name);
    return;
  }
  if (node === undefined) names.removed.add(name);
  if (node instanceof BranchDirectory) {
    const { origin } = node.names;
    node.isInPlace = after !== undefined && isTreeMode(after.mode) && after.oid === origin;
  }
  directory.markPending(name);
}
