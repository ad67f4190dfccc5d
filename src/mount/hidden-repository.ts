import { repositoryName } from '../git/forbidden-name.ts';
import type { Tree } from '../git/object.ts';

/** How many directories of a tree are shown, submodules included: all but a `.git` that somebody put there. */
export function shownDirectoryCount(tree: Tree): number {
  const hidden = tree.indexOf(repositoryName);
  const isCounted = hidden >= 0 && tree.isDirectoryAt(hidden);
  return tree.directoryCount - (isCounted ? 1 : 0);
}
