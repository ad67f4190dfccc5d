import { BranchDirectory } from './branch-directory.ts';
import { BranchFile } from './branch-file.ts';

/** How much of a working tree waits for a commit. */
export interface StagedCounts {
  /** Files, links and directories, and names that were removed. */
  readonly files: number;
  /** Content of files. */
  readonly sizeBytes: number;
}

/** Counts what is pending in a directory and below it. */
export function stagedCounts(root: BranchDirectory): StagedCounts {
  let files = 0;
  let sizeBytes = 0;
  const directories = [root];
  for (let at = directories.pop(); at !== undefined; at = directories.pop()) {
    for (const name of at.names.pending) {
      const node = at.names.children.get(name);
      if (node instanceof BranchDirectory) {
        // One that is there already only leads to what changed.
        if (!node.isInPlace) files += 1;
        directories.push(node);
      } else {
        files += 1;
        if (node instanceof BranchFile) sizeBytes += node.knownSizeBytes;
      }
    }
  }
  return { files, sizeBytes };
}
