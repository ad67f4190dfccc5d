import { setImmediate as nextTurn } from 'node:timers/promises';
import { ObjectNotFoundError } from '../errors.ts';
import type { Commit } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { readCommit } from './history.ts';

/** Commits in memory are read without waiting for anything, and others want to be served too. */
const commitsPerTurn = 64;

/**
 * Whether a commit has another one in its history, along all parents, or is that one. False as well when
 * that is not found among the `mostCommits` that are looked at, or is in the repository no more. It looks
 * at every commit on the way and trusts no date, for others may have made theirs with any clock.
 */
export async function descendsFrom(
  odb: ObjectDatabase,
  start: Oid,
  ancestor: Oid,
  mostCommits: number = Infinity,
): Promise<boolean> {
  if (start === ancestor) return true;
  const sought = await commitIfThere(odb, ancestor);
  if (sought === null) return false;
  // What comes before the one that is looked for cannot lead to it.
  const before = new Set(sought.parents);
  const seen = new Set([start]);
  let looked = 0;
  for (const oid of seen) {
    if (oid === ancestor) return true;
    if (before.has(oid)) continue;
    if (looked >= mostCommits) return false;
    looked += 1;
    if (looked % commitsPerTurn === 0) await nextTurn();
    // Where a shallow history ends there are no parents to be read.
    for (const parent of (await commitIfThere(odb, oid))?.parents ?? []) seen.add(parent);
  }
  return false;
}

async function commitIfThere(odb: ObjectDatabase, oid: Oid): Promise<Commit | null> {
  try {
    return (await readCommit(odb, oid)).commit;
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return null;
    throw error;
  }
}
