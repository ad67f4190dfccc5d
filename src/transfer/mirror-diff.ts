import type { Oid } from '../git/oid.ts';
import { refNameText } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';

/** A ref that a mirror changes: what it holds before (unless it is new) and after (unless it goes). */
export interface RefChange {
  /** The full name, on the side that changes. */
  readonly ref: string;
  readonly oldTarget?: string;
  readonly newTarget?: string;
}

/** What a backup or restore changes, or would change. Each list is sorted by name. */
export interface MirrorDiff {
  readonly add: RefChange[];
  readonly update: RefChange[];
  readonly delete: RefChange[];
}

/** A move of a ref: `null` stands for "does not exist". */
export interface RefMove {
  readonly name: RefName;
  readonly from: Oid | null;
  readonly to: Oid | null;
}

/** Tells whether there is nothing to do. */
export function mirrorDiffInSync(diff: MirrorDiff): boolean {
  return mirrorDiffTotal(diff) === 0;
}

/** How many refs change. */
export function mirrorDiffTotal(diff: MirrorDiff): number {
  return diff.add.length + diff.update.length + diff.delete.length;
}

/** The moves that bring refs from what they are to what they should be; others go only with `prune`. */
export function movesBetween(
  present: ReadonlyMap<RefName, Oid>,
  wanted: ReadonlyMap<RefName, Oid>,
  { prune }: { readonly prune: boolean },
): RefMove[] {
  const moves: RefMove[] = [];
  for (const [name, to] of wanted) {
    const from = present.get(name) ?? null;
    if (from !== to) moves.push({ name, from, to });
  }
  for (const [name, from] of present) {
    if (prune && !wanted.has(name)) moves.push({ name, from, to: null });
  }
  return moves.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The same moves in the form for people. */
export function mirrorDiff(moves: readonly RefMove[]): MirrorDiff {
  const diff: MirrorDiff = { add: [], update: [], delete: [] };
  for (const { name, from, to } of moves) {
    const kind = from === null ? 'add' : to === null ? 'delete' : 'update';
    diff[kind].push({
      ref: refNameText(name),
      ...(from !== null && { oldTarget: from }),
      ...(to !== null && { newTarget: to }),
    });
  }
  return diff;
}
