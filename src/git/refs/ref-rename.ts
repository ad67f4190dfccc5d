import { InvalidArgumentError, KeyNotFoundError } from '../../errors.ts';
import type { Oid } from '../oid.ts';
import { deadlineAfter } from './lock.ts';
import type { PackedRefs } from './packed-refs.ts';
import { removeFile } from './ref-directories.ts';
import { leadsTo, readCurrent, RefLocks } from './ref-locks.ts';
import type { RefChange, RefLogs } from './ref-logs.ts';
import { branchPrefix, headRef, refNameText, type RefName } from './ref-name.ts';
import type { RefReader } from './ref-reader.ts';
import { conflict, makeRoom } from './ref-room.ts';
import { syncRefs } from './ref-writer.ts';
import type { LockTimeouts } from './ref-writer.ts';
import { WorktreeHeads } from './worktree-heads.ts';

/** What a rename works on. */
export interface RenameContext {
  readonly reader: RefReader;
  readonly logs: RefLogs;
  readonly timeouts: LockTimeouts;
}

/**
 * See `RefStore.rename`. The new ref is put into packed-refs, the only place where it can stand
 * beside the old one when one name is a directory in the other; then the reflog, `HEAD` and those of
 * other worktrees move, and the old ref goes last. So a crash leaves both refs, and never none.
 */
export async function renameRef(
  context: RenameContext,
  from: RefName,
  to: RefName,
  change: RefChange,
): Promise<void> {
  if (from === to) return;
  const { reader, logs, timeouts } = context;
  const deadlineMs = deadlineAfter(timeouts.refTimeoutMs);
  const names = [from];
  // Below a loose ref there is no place for a lock, and none is needed: nobody can create one there.
  if (!to.startsWith(`${from}/`)) names.push(to);
  if (await leadsTo(reader, headRef, from)) names.push(headRef);
  const locks = await RefLocks.acquire(reader, names, deadlineMs);
  let heads: WorktreeHeads | undefined;
  try {
    heads = await WorktreeHeads.lock(reader.paths, from, deadlineMs);
    const oid = await valueToMove(reader, from);
    if ((await readCurrent(reader, to, 'broken or not')).exists) throw conflict(to, to);
    await makeRoom(reader, to, deadlineMs, from);
    await reader.packed.locked(deadlineAfter(timeouts.packedRefsTimeoutMs), (refs) =>
      move(context, { from, to, oid, locks, heads, refs, change }),
    );
    if (reader.paths.syncs) await syncRefs(reader.paths, logs, [...names, to]);
  } finally {
    await heads?.release();
    await locks.release();
  }
}

async function valueToMove(reader: RefReader, from: RefName): Promise<Oid> {
  const value = await reader.read(from);
  const ref = refNameText(from);
  if (value === null) throw new KeyNotFoundError(`there is no ref ${ref}`, { ref });
  if (value.kind === 'oid') return value.oid;
  throw new InvalidArgumentError(`symbolic ref ${ref} cannot be renamed`, { ref });
}

interface Move {
  readonly from: RefName;
  readonly to: RefName;
  readonly oid: Oid;
  readonly locks: RefLocks;
  readonly heads: WorktreeHeads | undefined;
  readonly refs: PackedRefs;
  readonly change: RefChange;
}

async function move(context: RenameContext, task: Move): Promise<void> {
  const { reader, logs } = context;
  const { from, to, oid, refs, change } = task;
  const { packed, paths } = reader;
  const added = new Map([[to, { oid, peeled: peeled(task) }]]);
  const takeBack = await logs.record([from], { from: oid, to: oid }, change);
  let both: PackedRefs;
  try {
    both = await packed.replace(refs, added);
  } catch (error) {
    await takeBack();
    throw error;
  }
  try {
    await logs.move(from, to);
  } catch (error) {
    await packed.replace(both, new Map([[to, null]]));
    await takeBack();
    throw error;
  }
  await moveHead(context, task);
  await task.heads?.move(to, paths.syncs);
  if (both.get(from) !== undefined) await packed.replace(both, new Map([[from, null]]));
  await removeFile(paths.ref(from));
}

async function moveHead({ reader, logs }: RenameContext, task: Move): Promise<void> {
  const { from, to, oid, locks, change } = task;
  if (!locks.hold(headRef) || !(await leadsTo(reader, headRef, from))) return;
  const lock = locks.of(headRef);
  await lock.write(`ref: ${to}\n`, reader.paths.syncs);
  await logs.record([headRef], { from: oid, to: oid }, change);
  await lock.commit();
}

// A branch holds a commit, which is what it is. Of other refs, packed-refs may know it.
function peeled({ from, to, oid, refs }: Move): Oid | undefined {
  if (from.startsWith(branchPrefix) && to.startsWith(branchPrefix)) return oid;
  const known = refs.get(from);
  return known?.oid === oid ? known.peeled : undefined;
}
