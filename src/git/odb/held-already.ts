import type { Oid } from '../oid.ts';
import { filterBounded } from './for-each-bounded.ts';
import { isWithin } from './publishing.ts';
import type { Bounds } from './publishing.ts';
import type { StagedObject } from './staged-pack.ts';

/** What the repository is asked about staged objects. */
export interface HeldQuestions {
  /** Tells whether the repository holds an object, staging areas not counted. */
  readonly exists: (oid: Oid) => boolean | Promise<boolean>;
  /**
   * The same for every object that is staged, most of which are new, so it should be quick: a false
   * no only stores something twice.
   */
  readonly isKnown: (oid: Oid) => boolean | Promise<boolean>;
  /** Tells whether the repository holds an object loose, and keeps `git gc` from taking that for old. */
  readonly freshenLoose: (oid: Oid) => Promise<boolean>;
}

const checksAtOnce = 16;
// So many are asked for one by one; to list directories takes longer than that.
const fewObjects = 32;
// To store so much twice, until the next `git gc`, costs next to nothing.
const mostTwice: Bounds = { objects: 1000, sizeBytes: 1024 * 1024 };

/**
 * Those of some staged objects that need not be published, because the repository holds them. What stands
 * in packs alone, and perhaps no ref leads to, a `git repack -ad` may be about to remove; that has no lock
 * which could be seen. So unless it is too much it is published all the same. Nothing is asked of objects
 * which all together are few and small: to write one again takes no longer than to set its time and sync it.
 */
export async function heldAlready(
  wanted: readonly StagedObject[],
  { exists, isKnown, freshenLoose }: HeldQuestions,
): Promise<Set<StagedObject>> {
  if (areTakenAsNew(wanted)) return new Set();
  const areFew = wanted.length <= fewObjects;
  const held = await those(wanted, areFew ? exists : isKnown);
  const loose = await those(held, freshenLoose);
  const packed = [...held].filter((object) => !loose.has(object));
  return isWithin(packed, mostTwice) ? loose : held;
}

/** Whether objects are so few and small that they are written without asking whether they are there. */
function areTakenAsNew(objects: readonly StagedObject[]): boolean {
  return objects.length <= fewObjects && isWithin(objects, mostTwice);
}

function those(
  objects: Iterable<StagedObject>,
  test: (oid: Oid) => boolean | Promise<boolean>,
): Promise<Set<StagedObject>> {
  return filterBounded(objects, checksAtOnce, ({ packed }) => test(packed.oid));
}
