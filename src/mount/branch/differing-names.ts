import type { ByteString } from '../../git/byte-string.ts';
import { isTreeMode } from '../../git/mode.ts';
import type { Tree } from '../../git/object.ts';

/** The names that lead to something else in one tree than in another, or nowhere, each once. */
export function differingNames(before: Tree, after: Tree): Set<ByteString> {
  // What became a directory, or was one, sorts elsewhere and is met twice.
  const differing = new Set<ByteString>();
  let left = 0;
  let right = 0;
  for (;;) {
    const same = before.sameRun(left, after, right);
    left += same;
    right += same;
    if (left >= before.size && right >= after.size) return differing;
    const order = compareAt(before, left, after, right);
    if (order < 0) {
      differing.add(before.nameAt(left++));
    } else if (order > 0) {
      differing.add(after.nameAt(right++));
    } else {
      differing.add(before.nameAt(left++));
      right += 1;
    }
  }
}

/** Compares entries by what trees are sorted by; one past the end comes last. */
function compareAt(before: Tree, left: number, after: Tree, right: number): number {
  if (left >= before.size) return 1;
  if (right >= after.size) return -1;
  const [one, other] = [sortKey(before, left), sortKey(after, right)];
  return one < other ? -1 : one > other ? 1 : 0;
}

function sortKey(tree: Tree, index: number): string {
  const name = tree.nameAt(index);
  return isTreeMode(tree.modeAt(index)) ? `${name}/` : name;
}
