import type { ByteString } from '../../git/byte-string.ts';
import { BranchDirectory } from './branch-directory.ts';

/** The rules of what a commit leaves out: see `IgnoreRules`. */
export const ruleFileName = '.gitignore' as ByteString;

/** Has the next commit look again at what was left out in a directory and below it. */
export function reconsider(directory: BranchDirectory): void {
  const waiting = [directory];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    for (const name of [...at.names.ignored]) {
      at.names.ignored.delete(name);
      at.markPending(name);
    }
    for (const node of at.names.children.values()) {
      if (node instanceof BranchDirectory) waiting.push(node);
    }
  }
}
