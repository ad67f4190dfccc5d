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
export function stagedCounts({ names }: BranchDirectory): StagedCounts {
  let files = 0;
  let sizeBytes = 0;
  for (const name of names.pending) {
    const node = names.children.get(name);
    if (node instanceof BranchDirectory) {
      const inner = stagedCounts(node);
      // One that is there already only leads to what changed.
      files += inner.files + (node.isInPlace ? 0 : 1);
      sizeBytes += inner.sizeBytes;
    } else {
      files += 1;
      if (node instanceof BranchFile) sizeBytes += node.knownSizeBytes;
    }
  }
  return { files, sizeBytes };
}
