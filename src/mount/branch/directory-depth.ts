import { ErrnoError } from '../vfs/errno.ts';
import type { BranchDirectory } from './branch-directory.ts';

/**
 * How many directories may be made one in another. Git goes twice as deep into a tree by default
 * (`core.maxTreeDepth`): nothing of a branch with one that is deeper could be checked out or archived
 * any more. The half of it, so that directories can also be moved into each other.
 */
const deepestLevel = 1024;

/** ENAMETOOLONG where a further directory would stand too deep. */
export function requireDepthBelow(directory: BranchDirectory): void {
  let level = 0;
  for (let [link] = directory.inode.links; link !== undefined; [link] = link.parent.inode.links) {
    level += 1;
    if (level < deepestLevel) continue;
    throw new ErrnoError('ENAMETOOLONG', 'directories stand too deep in each other');
  }
}
