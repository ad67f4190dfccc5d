import { constants, unlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { RefLockedError } from '../../errors.ts';
import { allOf } from '../all-of.ts';
import { bufferFromByteString, textFromBytes, type ByteString } from '../byte-string.ts';
import type { Disk } from '../disk.ts';
import type { OpenFile } from '../open-file.ts';
import { writeFully } from '../read-write-fully.ts';
import { systemErrorCode } from '../system-error.ts';
import { createUnmarked } from './lock-marks.ts';
import type { LockMaker, MarkedFile } from './lock-marks.ts';
import { makeParent, removeEmptyDirectories, removeFile } from './ref-directories.ts';

// Without waiting for the other end of a pipe that somebody has put there.
const whateverItIs = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
// How long a commit takes from then on.
const quietMs = 10;
const longestPauseMs = 50;
// How long to wait for a lock while holding another one that somebody may be waiting for.
const secondLockPatienceMs = 50;
// How often a directory that was just made for the lock may be pruned by somebody else.
const parentAttempts = 20;

// Locks that stand on disk now. A process that ends in an orderly way, process.exit included, or by one of
// the signals that ask for its end takes them along; one that is killed leaves them, as git does.
const held = new Set<ByteString>();
const endSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function removeHeldLocks(): void {
  for (const path of held) {
    try {
      unlinkSync(bufferFromByteString(path));
    } catch {
      // The process is ending, nobody is left to be told; a lock that stays says so itself.
    }
  }
}

/** With a listener a signal does not end the process any more. So this does, unless the program has one as well. */
function endBySignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  removeHeldLocks();
  process.removeListener(signal, endBySignal);
  process.kill(process.pid, signal);
}

function watchEnd(): void {
  process.once('exit', removeHeldLocks);
  // Before the others, of whom those that listen once are no longer there when they have been told.
  for (const signal of endSignals) process.prependListener(signal, endBySignal);
}

function unwatchEnd(): void {
  process.removeListener('exit', removeHeldLocks);
  for (const signal of endSignals) process.removeListener(signal, endBySignal);
}

/** Until when to wait for a lock, on the clock of `performance.now()`. */
export type DeadlineMs = number;

/** A moment in the future, on the clock of `performance.now()`. */
export function deadlineAfter(timeoutMs: number): DeadlineMs {
  return performance.now() + timeoutMs;
}

/** Waits a little, longer with each attempt and never the same, so that those who wait spread out. */
export async function pause(attempt: number, deadlineMs: DeadlineMs): Promise<void> {
  const stepMs = Math.min(longestPauseMs, 2 ** attempt) * (0.75 + Math.random() / 2);
  await delay(Math.max(0, Math.min(stepMs, deadlineMs - performance.now())));
}

/**
 * `<path>.lock` beside a file, by git's protocol (lockfile.h): whoever creates it may change the
 * file, writes the new content into the lock and renames it over the file. Everybody who honours
 * the protocol, git included, is kept out meanwhile; a lock is never taken from its holder.
 */
export class LockFile {
  readonly path: ByteString;
  readonly #target: ByteString;
  readonly #file: OpenFile;
  readonly #disk: Disk;
  readonly #unmark: () => Promise<void>;
  #open = true;
  #standing = false;
  #replaced: OpenFile | undefined;

  private constructor(target: ByteString, path: ByteString, { file, disk, unmark }: MarkedFile) {
    this.#target = target;
    this.path = path;
    this.#file = file;
    this.#disk = disk;
    this.#unmark = unmark;
  }

  /**
   * Creates the lock and the directories that it stands in. When it still exists at the deadline,
   * it is a `RefLockedError`; other failures are those of the system (a file where a directory is
   * needed is ENOTDIR or EEXIST). With `marks`, others can tell that it is abandoned when this process
   * was killed.
   */
  static async acquire(
    target: ByteString,
    deadlineMs: DeadlineMs,
    marks?: LockMaker,
  ): Promise<LockFile> {
    const path = `${target}.lock` as ByteString;
    let missingParents = 0;
    for (let attempt = 0; ;) {
      // Looked at before the attempt: the last one is made at the deadline or after it.
      const late = performance.now() >= deadlineMs;
      try {
        const created = await (marks?.create(path) ?? createUnmarked(path));
        const lock = new LockFile(target, path, created);
        lock.#remember();
        return lock;
      } catch (error) {
        const code = systemErrorCode(error);
        if (code === 'ENOENT' && missingParents < parentAttempts) {
          missingParents += 1;
          await makeParent(path);
          continue;
        }
        if (code !== 'EEXIST') throw error;
        if (late) throw lockedError(path);
      }
      await pause(attempt, deadlineMs);
      attempt += 1;
    }
  }

  /** Whether it has not been given up. */
  get isHeld(): boolean {
    return this.#standing;
  }

  /** Writes the new content of the file into the lock; with `fsync` it is on stable storage then. */
  async write(content: string, fsync: boolean): Promise<void> {
    await writeFully(this.#file, Buffer.from(content, 'latin1'), null);
    if (fsync) await allOf([this.#file.sync(), this.#holdReplaced()]);
    await this.#close();
  }

  /** To free the file that is replaced takes longer than to rename. So it is kept open, and closed in a quiet moment. */
  async #holdReplaced(): Promise<void> {
    // A server of files would have to keep it under another name meanwhile.
    if (!this.#disk.isNear) return;
    try {
      this.#replaced = await this.#disk.open(bufferFromByteString(this.#target), whateverItIs);
    } catch {
      // There is none, or nobody may read it: it will be freed by the rename.
    }
  }

  /** Puts what was written in the place of the file, and so gives the lock up. */
  async commit(): Promise<void> {
    await this.#close();
    try {
      await this.#moveIntoPlace();
    } catch (error) {
      if (systemErrorCode(error) !== 'EISDIR') throw error;
      // Left by refs that were below this name, or made a moment ago for one that will be refused.
      await removeEmptyDirectories(this.#target);
      await this.#moveIntoPlace();
    }
    // The disk is asked to keep what has moved first. Whatever becomes of the mark, it goes with this process.
    setTimeout(() => {
      this.#replaced?.closeSoon();
      this.#unmark().catch(() => undefined);
    }, quietMs).unref();
  }

  /** Gives the lock up and leaves the file as it is. Does nothing after `commit`. */
  async release(): Promise<void> {
    if (!this.#standing) return;
    this.#forget();
    this.#replaced?.closeSoon();
    await this.#close();
    await removeFile(this.path, this.#disk);
    await this.#unmark();
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
  }

  async #moveIntoPlace(): Promise<void> {
    this.#forget();
    try {
      await this.#disk.rename(bufferFromByteString(this.path), bufferFromByteString(this.#target));
    } catch (error) {
      this.#remember();
      throw error;
    }
  }

  #remember(): void {
    this.#standing = true;
    if (held.size === 0) watchEnd();
    held.add(this.path);
  }

  // Called before the system call, not after: once that is done, a lock of the same name can be
  // somebody else's, and must not be removed when this process ends at that moment.
  #forget(): void {
    this.#standing = false;
    held.delete(this.path);
    if (held.size === 0) unwatchEnd();
  }
}

/**
 * Takes the locks of several files, all or none. Others take the same locks in another order (git
 * does: `HEAD` before its branch in a commit, after it in a push), so who has one and does not get
 * the next soon lets go of what he has and starts again; nobody waits for ever for each other.
 */
export async function acquireAll<Key>(
  targets: ReadonlyMap<Key, ByteString>,
  deadlineMs: DeadlineMs,
  marks?: LockMaker,
): Promise<Map<Key, LockFile>> {
  for (let attempt = 0; ; attempt++) {
    const locks = new Map<Key, LockFile>();
    try {
      for (const [key, target] of targets) {
        const shortDeadlineMs = Math.min(deadlineMs, deadlineAfter(secondLockPatienceMs));
        const untilMs = locks.size === 0 ? deadlineMs : shortDeadlineMs;
        locks.set(key, await LockFile.acquire(target, untilMs, marks));
      }
      return locks;
    } catch (error) {
      await releaseAll(locks.values());
      if (!(error instanceof RefLockedError) || performance.now() >= deadlineMs) throw error;
    }
    await pause(attempt, deadlineMs);
  }
}

/** Gives up those of the locks that still stand. */
export async function releaseAll(locks: Iterable<LockFile>): Promise<void> {
  for (const lock of locks) await lock.release();
}

function lockedError(path: ByteString): RefLockedError {
  const text = textFromBytes(path);
  return new RefLockedError(
    `${text} exists: another process is changing it, or one was killed while it did. ` +
      'When no such process runs any more, remove that file and try again.',
    { path: text },
  );
}
