import { RefConflictError } from '../errors.ts';
import type { Oid } from '../git/oid.ts';
import { refNameText } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { PresentRefs } from './ref-selection.ts';

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

/** How refs are brought to what they should be. */
export interface MoveRules {
  /** Whether those that are not wanted go. Symbolic ones stay: to delete one would delete what it leads to. */
  readonly prune: boolean;
  /** Whether a symbolic ref may come to hold something else than is wanted of it, with the ref that it leads to. */
  readonly follows?: boolean;
}

/**
 * The moves that bring refs from what they are to what they should be. A symbolic ref moves with the one
 * that it leads to; a `RefConflictError` when they should hold different things.
 */
export function movesBetween(
  present: PresentRefs,
  wanted: ReadonlyMap<RefName, Oid>,
  { prune, follows = false }: MoveRules,
): RefMove[] {
  const moves: RefMove[] = [];
  for (const [name, to] of withoutFollowers(wanted, present.ends, follows)) {
    const from = present.refs.get(name) ?? null;
    if (from !== to) moves.push({ name, from, to });
  }
  for (const [name, from] of prune ? present.refs : []) {
    if (!wanted.has(name) && !present.ends.has(name)) moves.push({ name, from, to: null });
  }
  return moves.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** One name for each ref that has to move: its own, where that is wanted, else that of a symbolic one. */
function withoutFollowers(
  wanted: ReadonlyMap<RefName, Oid>,
  ends: ReadonlyMap<RefName, RefName>,
  follows: boolean,
): Map<RefName, Oid> {
  const moving = new Map<RefName, Oid>();
  const moverOf = new Map<RefName, RefName>();
  for (const [name, oid] of wanted) {
    const end = ends.get(name) ?? name;
    const mover = wanted.has(end) ? end : (moverOf.get(end) ?? name);
    if (mover === name) {
      moverOf.set(end, name);
      moving.set(name, oid);
    } else if (wanted.get(mover) !== oid && !(follows && mover === end)) {
      throw inconsistent(name, mover);
    }
  }
  return moving;
}

function inconsistent(name: RefName, other: RefName): RefConflictError {
  const ref = refNameText(name);
  const message =
    `${ref} is symbolic and moves with ${refNameText(other)}, so they cannot hold different ` +
    'objects; choose one of them, or make it a ref of its own';
  return new RefConflictError(message, { ref });
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
