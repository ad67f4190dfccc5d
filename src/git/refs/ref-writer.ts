import { setImmediate as nextTurn } from 'node:timers/promises';
import { InvalidArgumentError, RefChangedError, RefConflictError } from '../../errors.ts';
import { allOf } from '../all-of.ts';
import { zeroOid, type HashAlgorithm, type Oid } from '../oid.ts';
import { systemErrorCode } from '../system-error.ts';
import { deadlineAfter, pause, type DeadlineMs, type LockFile } from './lock.ts';
import { parentOf, removeFile } from './ref-directories.ts';
import {
  absent,
  planChange,
  readCurrent,
  RefLocks,
  readTarget,
  type ChangePlan,
  type CurrentRef,
  type NameReading,
} from './ref-locks.ts';
import type { OpenLogs, RefChange, RefLogs, RefMove } from './ref-logs.ts';
import { headRef, refNameText, type RefName } from './ref-name.ts';
import type { RefReader } from './ref-reader.ts';
import type { RefPaths } from './ref-paths.ts';
import { makeRoom } from './ref-room.ts';

/** A new value for a ref. */
export interface RefUpdate extends RefChange {
  /** A symbolic ref stands for the ref that it leads to, unless `noDereference` is set. */
  readonly name: RefName;
  /** `null` deletes the ref, and its reflog. The object is not looked for. */
  readonly oid: Oid | null;
  /** What the ref has to hold now: `null` for "it must not exist", left out for "anything". */
  readonly expected?: Oid | null | undefined;
  /** Default `false`: changes a symbolic ref itself. */
  readonly noDereference?: boolean;
  /**
   * Called when the ref is locked and where it has to be; it moves when this has ended, and stays where it
   * was when this throws. Not for deletions.
   */
  readonly beforeMove?: () => Promise<void>;
  /** Called when it has moved, while that is brought to stable storage. */
  readonly afterMove?: () => Promise<void>;
}

/** How long the writer waits for the locks of others. */
export interface LockTimeouts {
  readonly refTimeoutMs: number;
  readonly packedRefsTimeoutMs: number;
}

/** Changes refs by git's protocol: under `<ref>.lock`, reflog first, then the ref by a rename. */
export class RefWriter {
  readonly #reader: RefReader;
  readonly #logs: RefLogs;
  readonly #algorithm: HashAlgorithm;
  readonly #timeouts: LockTimeouts;

  constructor(reader: RefReader, logs: RefLogs, algorithm: HashAlgorithm, timeouts: LockTimeouts) {
    this.#reader = reader;
    this.#logs = logs;
    this.#algorithm = algorithm;
    this.#timeouts = timeouts;
  }

  /** See `RefStore.update`. */
  async update(update: RefUpdate): Promise<void> {
    this.#checkArguments(update);
    const deadlineMs = deadlineAfter(this.#timeouts.refTimeoutMs);
    let reading = firstReading(update);
    for (let attempt = 0; ; attempt++) {
      const plan = await planChange(this.#reader, this.#logs, update.name, reading);
      if (await this.#carryOut(update, plan, deadlineMs)) return;
      if (reading === 'taken for direct') {
        reading = 'followed';
        continue;
      }
      if (performance.now() >= deadlineMs) {
        const text = refNameText(update.name);
        const message = `symbolic ref ${text} is changed by others all the time`;
        throw new RefChangedError(message, { ref: text });
      }
      await pause(attempt, deadlineMs);
    }
  }

  /** See `RefStore.setSymbolic`. */
  async setSymbolic(name: RefName, target: RefName, change: RefChange): Promise<void> {
    if (!target.startsWith('refs/')) {
      const text = refNameText(target);
      throw new InvalidArgumentError(`a symbolic ref cannot lead to ${text}`, { ref: text });
    }
    const deadlineMs = deadlineAfter(this.#timeouts.refTimeoutMs);
    const locks = await RefLocks.acquire(this.#reader, [name], deadlineMs);
    try {
      const current = await readCurrent(this.#reader, name, 'broken or not');
      if (!current.exists) await makeRoom(this.#reader, name, deadlineMs);
      const to = (await this.#reader.resolve(target))?.oid ?? null;
      // As git, say nothing of a branch that is yet to be born.
      const logged = to === null ? [] : [name];
      const file = { lock: locks.of(name), content: `ref: ${target}\n` };
      const move = { from: current.oid, to };
      await this.#putInPlace(file, { target: name, names: logged }, move, change);
    } finally {
      await locks.release();
    }
  }

  // False when the symbolic refs have changed since the plan was made.
  async #carryOut(update: RefUpdate, plan: ChangePlan, deadlineMs: DeadlineMs): Promise<boolean> {
    let locks: RefLocks;
    try {
      locks = await RefLocks.acquire(this.#reader, plan.names, deadlineMs);
    } catch (error) {
      if (update.oid !== null || !(error instanceof RefConflictError)) throw error;
      // Where another ref makes it impossible, there is nothing to delete.
      checkExpected(update, absent);
      return true;
    }
    try {
      // A broken ref can be repaired or deleted by whoever does not care what it was.
      const tolerance = update.expected === undefined ? 'broken or not' : 'not broken';
      const current = await readTarget(this.#reader, plan, tolerance);
      if (current === undefined) return false;
      checkExpected(update, current);
      if (update.oid === null) {
        if (current.exists) await this.#delete(plan, current, update);
      } else if (update.oid !== current.oid || current.symbolic) {
        if (!current.exists) await makeRoom(this.#reader, plan.target, deadlineMs);
        const file = { lock: locks.of(plan.target), content: `${update.oid}\n` };
        const move = { from: current.oid, to: update.oid };
        await this.#putInPlace(file, plan, move, update);
      }
      return true;
    } finally {
      await locks.release();
    }
  }

  // The reflog goes first: when this process ends in between it tells of a move that did not happen, but
  // no move that did is missing from it. A power cut may lose the line and leave the move, or the other way
  // round, until both are on stable storage and the caller is told.
  async #putInPlace(
    { lock, content }: { readonly lock: LockFile; readonly content: string },
    { target, names }: Pick<ChangePlan, 'target' | 'names'>,
    move: RefMove,
    change: RefChange & Pick<RefUpdate, 'beforeMove' | 'afterMove'>,
  ): Promise<void> {
    const { beforeMove, afterMove } = change;
    const { paths } = this.#reader;
    const { syncs } = paths;
    const directories = paths.beginNames();
    const open = async (): Promise<OpenLogs> => {
      if (syncs) {
        // While the disk is at work.
        await nextTurn();
        await directories.add(parentOf(paths.ref(target)));
      }
      return this.#logs.open(names, change);
    };
    const opening = open();
    let logs: OpenLogs;
    try {
      // Together, so that the disk can do it in one go.
      await allOf([beforeMove?.(), lock.write(content, syncs), opening]);
      logs = await opening;
    } catch (error) {
      directories.close();
      // The first failure is the one to tell; a log without a line says nothing wrong.
      await opening.then((opened) => opened.discard()).catch(() => undefined);
      throw error;
    }
    try {
      await logs.append(move);
      try {
        await lock.commit();
      } catch (error) {
        await logs.takeBack();
        if (systemErrorCode(error) === 'EISDIR') throw conflictBelow(target);
        throw error;
      }
      await allOf([syncs && directories.sync(), syncs && this.#logs.syncOpen(logs), afterMove?.()]);
    } finally {
      logs.close();
      directories.close();
    }
  }

  // The entry in packed-refs goes before the file: in between, the ref has the value of the file,
  // while the entry may be an older one. packed-refs stays locked until the file is gone, or else a
  // `git pack-refs` could bring the ref back. The reflog goes first, so that none is left behind
  // for a later ref of the same name.
  async #delete(plan: ChangePlan, current: CurrentRef, update: RefUpdate): Promise<void> {
    const { paths, packed } = this.#reader;
    const { target } = plan;
    if (target === headRef) {
      throw new InvalidArgumentError('HEAD cannot be deleted', { ref: refNameText(target) });
    }
    const followers = plan.names.filter((name) => name !== target);
    const deadlineMs = deadlineAfter(this.#timeouts.packedRefsTimeoutMs);
    await packed.locked(deadlineMs, async (refs) => {
      const isPacked = refs.get(target) !== undefined;
      const rest = isPacked ? await packed.prepare(refs, new Map([[target, null]])) : undefined;
      try {
        await this.#logs.record(followers, { from: current.oid, to: null }, update);
        await this.#logs.remove(target);
      } catch (error) {
        await rest?.discard();
        throw error;
      }
      await rest?.commit();
      await removeFile(paths.ref(target));
    });
    if (paths.syncs) await syncRefs(paths, this.#logs, plan.names);
  }

  #checkArguments({ name, oid, expected }: RefUpdate): void {
    const zero = zeroOid(this.#algorithm);
    for (const value of [oid, expected]) {
      if (typeof value !== 'string') continue;
      if (value !== zero && value.length === zero.length) continue;
      const ref = refNameText(name);
      throw new InvalidArgumentError(`ref ${ref} cannot hold ${value}`, { ref, oid: value });
    }
  }
}

/** Brings to stable storage what some refs, and the logs of these or of others, are, or that they are gone. */
export async function syncRefs(
  paths: RefPaths,
  logs: RefLogs,
  names: Iterable<RefName>,
  logged: Iterable<RefName> = names,
): Promise<void> {
  await allOf([paths.syncNames(Array.from(names, (name) => paths.ref(name))), logs.sync(logged)]);
}

function firstReading({ name, noDereference, expected }: RefUpdate): NameReading {
  if (noDereference === true) return 'as it is';
  // `HEAD` is symbolic, and a ref that may hold anything may be broken.
  return name === headRef || expected === undefined ? 'followed' : 'taken for direct';
}

function checkExpected({ name, expected }: RefUpdate, { oid }: CurrentRef): void {
  if (expected === undefined || expected === oid) return;
  const ref = refNameText(name);
  const is = oid === null ? 'does not exist' : `is at ${oid}`;
  const wanted = expected === null ? 'was expected not to exist' : `was expected at ${expected}`;
  throw new RefChangedError(`ref ${ref} ${is}, and ${wanted}`, {
    ref,
    ...(oid === null ? {} : { oid }),
  });
}

function conflictBelow(name: RefName): RefConflictError {
  const ref = refNameText(name);
  return new RefConflictError(`ref ${ref} cannot be written: others create refs below it`, { ref });
}
