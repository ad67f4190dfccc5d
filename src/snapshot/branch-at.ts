import { zeroOid } from '../git/oid.ts';
import type { HashAlgorithm, Oid } from '../git/oid.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { RefStore } from '../git/refs/ref-store.ts';
import type { ReflogRecord } from '../git/refs/reflog.ts';
import { FirstParentWalk } from './first-parent-walk.ts';

/** What git writes into the reflog of a branch that is made from a commit which was there before. */
const madeHere = /^branch: Created from /;

/**
 * What a branch was at a time, in seconds since the epoch; `null` when it was not there.
 *
 * The reflog says so, for the time that it covers: what a branch was is not always in its history.
 * Where the branch moved without an entry, and before the first one, commit times decide: the first
 * commit along first parents that was not made later. (Before its first entry a branch may have been
 * in another repository; only one that was made here from what was here was certainly not there.)
 *
 * `walk` is that of the branch, and says what its tip is.
 */
export async function branchAt(
  refs: Pick<RefStore, 'reflogNewestFirst'>,
  algorithm: HashAlgorithm,
  ref: RefName,
  walk: FirstParentWalk,
  timeSec: number,
): Promise<Oid | null> {
  const none = zeroOid(algorithm);
  // What the branch was when the entry after the one that is looked at was written.
  let end = walk.tip;
  let oldest: ReflogRecord | undefined;
  for await (const record of refs.reflogNewestFirst(ref)) {
    if (record.timeSec <= timeSec) {
      if (record.newOid === none) return null;
      const isWhole = end === record.newOid || end === none;
      return isWhole ? record.newOid : historyAt(walk, end, timeSec);
    }
    end = record.oldOid;
    oldest = record;
  }
  if (oldest === undefined) return historyAt(walk, end, timeSec);
  if (end !== none) return historyAt(walk, end, timeSec);
  return madeHere.test(oldest.message) ? null : historyAt(walk, oldest.newOid, timeSec);
}

/** The first commit, from one on along first parents, that was made at a time or before; `null` for none. */
export async function historyAt(
  walk: FirstParentWalk,
  start: Oid,
  timeSec: number,
): Promise<Oid | null> {
  const position = await walk.find(start);
  // What was rewound, or is not of this history for another reason, is walked for itself.
  const ours = position === undefined ? new FirstParentWalk(walk.source, start) : walk;
  const found = await ours.before(timeSec, position);
  return found === undefined ? null : (ours.known(found)?.oid ?? null);
}
