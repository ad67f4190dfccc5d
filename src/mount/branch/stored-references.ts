import { isGitlinkMode } from '../../git/mode.ts';
import { BranchDirectory } from './branch-directory.ts';

/**
 * Whether something that waits for a commit is content or a tree that the mount does not have, but only
 * refers to: copied or moved by its hash, or given another mode.
 */
export function refersToStored({ names, inode }: BranchDirectory): boolean {
  for (const name of names.pending) {
    const node = names.children.get(name);
    if (node === undefined) continue;
    if (node instanceof BranchDirectory) {
      const isMoved = !node.isInPlace && node.names.origin !== null;
      if (isMoved || refersToStored(node)) return true;
    } else if (node.placed && !isGitlinkMode(node.placed.mode)) {
      if (!inode.context.contents.isStaged(node.placed.oid)) return true;
    }
  }
  return false;
}
