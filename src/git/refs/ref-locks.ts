import { InvalidRefNameError } from '../../errors.ts';
import type { Oid } from '../oid.ts';
import { systemErrorCode } from '../system-error.ts';
import { acquireAll, pause, releaseAll, type DeadlineMs, type LockFile } from './lock.ts';
import { removeEmptyParents } from './ref-directories.ts';
import type { RefLogs } from './ref-logs.ts';
import { headRef, refNameText, type RefName } from './ref-name.ts';
import { isBrokenRef, type RefReader } from './ref-reader.ts';
import { conflict, refAbove } from './ref-room.ts';

/** A symbolic ref that leads to the ref that is changed: its reflog tells of the change, too. */
export interface Follower {
  readonly name: RefName;
  readonly next: RefName;
}

/** What a change of a ref comes down to. */
export interface ChangePlan {
  /** The ref whose file is written. */
  readonly target: RefName;
  /** Whether the target may be symbolic itself. */
  readonly symbolicTarget: boolean;
  readonly followers: readonly Follower[];
  /** All of these, the target first: whose locks are taken, and whose reflogs are written. */
  readonly names: readonly RefName[];
}

/** What a ref holds while it is locked. */
export interface CurrentRef {
  readonly exists: boolean;
  /** `null` also for a broken ref, and for a symbolic one that leads nowhere. */
  readonly oid: Oid | null;
  readonly symbolic: boolean;
}

/** A ref that does not exist. */
export const absent: CurrentRef = { exists: false, oid: null, symbolic: false };

/** How the name of a ref that is to be changed is taken. */
export type NameReading =
  /** As that of the ref at the end of a chain of symbolic refs. */
  | 'followed'
  /** As that of the ref itself, which may be symbolic. */
  | 'as it is'
  /** As that of a ref which is not symbolic, as most are; `readTarget` finds out if it is all the same. */
  | 'taken for direct';

/**
 * Finds the ref that is to be changed, and who has to tell of its change: those before it in a chain of
 * symbolic refs, and `HEAD` when it leads directly to it, as git does.
 */
export async function planChange(
  reader: RefReader,
  logs: RefLogs,
  name: RefName,
  reading: NameReading,
): Promise<ChangePlan> {
  const chain = reading === 'followed' ? await reader.chain(name) : [name];
  const target = chain.at(-1) ?? name;
  const followers: Follower[] = [];
  // Whoever keeps no log has nothing to tell.
  for (const [index, follower] of chain.slice(0, -1).entries()) {
    const next = chain[index + 1] ?? target;
    if (await logs.isKept(follower)) followers.push({ name: follower, next });
  }
  if (!chain.includes(headRef) && (await logs.isKept(headRef))) {
    if (await leadsTo(reader, headRef, target)) followers.push({ name: headRef, next: target });
  }
  const names = [target, ...followers.map((follower) => follower.name)];
  return { target, symbolicTarget: reading === 'as it is', followers, names };
}

/**
 * Reads the target of a plan under the locks; `undefined` when the symbolic refs are not as they were
 * when the plan was made.
 */
export async function readTarget(
  reader: RefReader,
  plan: ChangePlan,
  tolerance: 'broken or not' | 'not broken',
): Promise<CurrentRef | undefined> {
  for (const { name, next } of plan.followers) {
    if (!(await leadsTo(reader, name, next))) return undefined;
  }
  const current = await readCurrent(reader, plan.target, tolerance);
  return current.symbolic && !plan.symbolicTarget ? undefined : current;
}

/** Reads a ref that is about to be changed, and follows it when it is symbolic. */
export async function readCurrent(
  reader: RefReader,
  name: RefName,
  tolerance: 'broken or not' | 'not broken',
): Promise<CurrentRef> {
  try {
    const value = await reader.read(name);
    if (value === null) return absent;
    if (value.kind === 'oid') return { exists: true, oid: value.oid, symbolic: false };
    return { exists: true, oid: (await reader.resolve(name))?.oid ?? null, symbolic: true };
  } catch (error) {
    if (tolerance === 'not broken' || !isBrokenRef(error)) throw error;
    return { exists: true, oid: null, symbolic: false };
  }
}

/** The locks of some refs. */
export class RefLocks {
  readonly #reader: RefReader;
  readonly #locks: ReadonlyMap<RefName, LockFile>;

  private constructor(reader: RefReader, locks: ReadonlyMap<RefName, LockFile>) {
    this.#reader = reader;
    this.#locks = locks;
  }

  /**
   * Takes the locks of some refs, all or none. Where another ref stands in the place of a directory
   * that a lock needs, it is a `RefConflictError`.
   */
  static async acquire(
    reader: RefReader,
    names: readonly RefName[],
    deadlineMs: DeadlineMs,
  ): Promise<RefLocks> {
    const files = new Map(names.map((name) => [name, reader.paths.ref(name)]));
    for (let attempt = 0; ; attempt++) {
      try {
        return new RefLocks(reader, await acquireAll(files, deadlineMs, reader.paths.marks));
      } catch (error) {
        await explainFailure(reader, names, error);
        // What was in the way has gone meanwhile; if it stays, it is no ref.
        if (performance.now() >= deadlineMs) throw error;
      }
      await pause(attempt, deadlineMs);
    }
  }

  /** Tells whether the lock of a ref is among these. */
  hold(name: RefName): boolean {
    return this.#locks.has(name);
  }

  /** The lock of one of the refs. */
  of(name: RefName): LockFile {
    const lock = this.#locks.get(name);
    if (lock === undefined) throw new Error(`the lock of ${refNameText(name)} is not held`);
    return lock;
  }

  /** Gives up the locks that still stand, and removes the directories that are empty then. */
  async release(): Promise<void> {
    await releaseAll(this.#locks.values());
    for (const name of this.#locks.keys()) {
      await removeEmptyParents(this.#reader.paths.base(name), name);
    }
  }
}

async function explainFailure(
  reader: RefReader,
  names: readonly RefName[],
  error: unknown,
): Promise<void> {
  const code = systemErrorCode(error);
  if (code === 'ENAMETOOLONG') throw tooLong(names);
  if (code !== 'ENOTDIR' && code !== 'EEXIST') throw error;
  for (const name of names) {
    const above = await refAbove(reader, name);
    if (above !== undefined) throw conflict(name, above);
  }
}

/** Tells whether a ref is symbolic and leads directly to another one. */
export async function leadsTo(reader: RefReader, name: RefName, target: RefName): Promise<boolean> {
  return (await targetOf(reader, name)) === target;
}

/** The ref that a symbolic one leads to directly. */
async function targetOf(reader: RefReader, name: RefName): Promise<RefName | undefined> {
  try {
    const value = await reader.read(name);
    return value?.kind === 'symbolic' ? value.target : undefined;
  } catch (error) {
    if (isBrokenRef(error)) return undefined;
    throw error;
  }
}

function tooLong(names: readonly RefName[]): InvalidRefNameError {
  const text = names.map(refNameText).join(', ');
  return new InvalidRefNameError(`too long for a file, and for its lock: ${text}`, { ref: text });
}
