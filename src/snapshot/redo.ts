import { InvalidArgumentError, ObjectNotFoundError } from '../errors.ts';
import { zeroOid } from '../git/oid.ts';
import type { Oid } from '../git/oid.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { ReflogRecord } from '../git/refs/reflog.ts';
import type { Repository } from '../git/repository.ts';
import { descendsFrom } from './ancestry.ts';
import { readCommit } from './history.ts';
import type { IdentifiedCommit } from './history.ts';

/** What the reflog says of an undo. */
export function undoMessage(steps: number): string {
  return `undo: move back ${steps}`;
}

/** What the reflog says of a redo; the number is read again by later ones. */
export function redoMessage(steps: number): string {
  return `redo: move forward ${steps}`;
}

const redoPattern = /^redo: .*?(\d+)/;

/**
 * Where a branch was before its last `steps` movements, by its reflog. Only movements away from
 * what the branch held count (undo, reset, set): a commit on top, or several that came at once (a
 * push), end what can be redone, as in any editor. A movement that was redone is over, so redoing
 * goes on where the last redo stopped. An `InvalidArgumentError` when there is not so much to redo.
 */
export async function redoTarget(
  repository: Repository,
  ref: RefName,
  tip: Oid,
  steps: number,
): Promise<IdentifiedCommit> {
  let target: IdentifiedCommit | null = null;
  let taken = 0;
  for await (const { oldOid, newOid } of openMovements(repository, ref, tip)) {
    if (taken === steps) break;
    const before =
      oldOid === zeroOid(repository.algorithm) ? null : await readKept(repository, oldOid);
    if (before === null || (await descendsFrom(repository.odb, newOid, oldOid))) break;
    target = before;
    taken += 1;
  }
  if (target !== null && taken === steps) return target;
  const history = taken === 0 ? 'there is nothing to redo' : `there is only ${taken} to redo`;
  throw new InvalidArgumentError(`cannot redo ${steps}: ${history}`, { ref });
}

/** The movements that led to `tip`, newest first, without those that were redone. */
async function* openMovements(
  repository: Repository,
  ref: RefName,
  tip: Oid,
): AsyncGenerator<ReflogRecord, void, undefined> {
  let redone = 0;
  let isAtTip = false;
  for await (const record of repository.refs.reflogNewestFirst(ref)) {
    // A tip that was moved without a reflog may be found further back.
    isAtTip ||= record.newOid === tip;
    if (!isAtTip) continue;
    const redo = redoPattern.exec(record.message);
    if (redo !== null) redone += Number(redo[1]);
    else if (redone > 0) redone -= 1;
    else yield record;
  }
}

/** A commit that only the reflog may keep; `null` when it is gone. */
async function readKept(repository: Repository, oid: Oid): Promise<IdentifiedCommit | null> {
  try {
    return await readCommit(repository.odb, oid);
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return null;
    throw error;
  }
}
