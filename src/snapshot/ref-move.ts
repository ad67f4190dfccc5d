import {
  ObjectNotFoundError,
  RefChangedError,
  RefConflictError,
  StaleSnapshotError,
} from '../errors.ts';
import { isGcRunning } from '../git/gc-lock.ts';
import type { Identity } from '../git/identity.ts';
import type { Oid } from '../git/oid.ts';
import { refNameText } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { Repository } from '../git/repository.ts';

/** Throws a `StaleSnapshotError` unless a ref leads to this commit (`null`: does not exist). */
export async function requireTip(
  repository: Repository,
  ref: RefName,
  expected: Oid | null,
): Promise<void> {
  const tip = (await repository.refs.resolve(ref))?.oid ?? null;
  if (tip !== expected) throw stale(ref, expected);
}

/** A ref that moves to a commit. */
export interface RefMove {
  readonly ref: RefName;
  /** Where it must be; `null` when it must not exist, left out when it may be anywhere. */
  readonly from?: Oid | null;
  readonly to: Oid;
  readonly identity: Identity;
  readonly message: string;
  /**
   * Whether a ref without a reflog gets one. Default `true`: bare repositories that others made keep
   * none, but undoing and redoing live on it.
   */
  readonly createReflog?: boolean;
  /** See `RefUpdate.beforeMove`. */
  readonly beforeMove?: () => Promise<void>;
}

/**
 * Moves a ref to a commit that is stored already; a `StaleSnapshotError` when it is elsewhere. An
 * `ObjectNotFoundError` when one of `objects`, which the ref comes to lead to, is not there. While a
 * `git gc` is at work they are stored once more in a pack.
 */
export async function moveRef(
  repository: Repository,
  move: RefMove,
  objects: readonly Oid[] = [move.to],
): Promise<void> {
  const missing = await repository.odb.firstMissing(objects);
  if (missing !== undefined) throw new ObjectNotFoundError(missing);
  await moveRefChecked(repository, move, objects, new Set());
}

/** The same for objects that are looked for by `beforeMove`; some are in packs that were made beside a `git gc`. */
export async function moveRefChecked(
  { odb, refs, commonDir, disk, syncs }: Repository,
  move: RefMove & { readonly afterMove?: () => Promise<void> },
  objects: readonly Oid[],
  packedBeside: ReadonlySet<Oid>,
): Promise<void> {
  const { ref: name, from: expected, to: oid, ...rest } = move;
  const afterMove = async (): Promise<void> => {
    const others = objects.filter((one) => !packedBeside.has(one));
    if (others.length > 0 && (await isGcRunning(commonDir, disk))) {
      await odb.packAgain(others, { fsync: syncs });
    }
    await move.afterMove?.();
  };
  try {
    await refs.update({ name, oid, expected, createReflog: true, ...rest, afterMove });
  } catch (cause) {
    // Where it was, another ref can only be in the way when it is gone.
    const isGone = cause instanceof RefConflictError && typeof expected === 'string';
    if (isGone || cause instanceof RefChangedError) throw stale(name, expected ?? null, cause);
    throw cause;
  }
}

function stale(ref: RefName, expected: Oid | null, cause?: Error): StaleSnapshotError {
  const text = refNameText(ref);
  const was = expected === null ? 'exists by now' : `is not at ${expected} any more`;
  return new StaleSnapshotError(`${text} ${was}`, { ref: text, cause });
}
