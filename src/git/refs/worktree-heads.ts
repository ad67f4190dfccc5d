import { allOf } from '../all-of.ts';
import { bufferFromByteString, byteStringFromBuffer, type ByteString } from '../byte-string.ts';
import { LockFile, releaseAll, type DeadlineMs } from './lock.ts';
import { headRef, type RefName } from './ref-name.ts';
import type { RefPaths } from './ref-paths.ts';

/**
 * The `HEAD`s of other worktrees (git-worktree(1)) that lead to a branch, locked: with the branch renamed
 * under them, their worktrees would be on one that is not there.
 */
export class WorktreeHeads {
  readonly #locks: readonly LockFile[];

  private constructor(locks: readonly LockFile[]) {
    this.#locks = locks;
  }

  /** A `RefLockedError` when somebody holds one of them until the deadline. */
  static async lock(
    paths: RefPaths,
    branch: RefName,
    deadlineMs: DeadlineMs,
  ): Promise<WorktreeHeads> {
    const locks: LockFile[] = [];
    try {
      for (const path of await otherHeads(paths)) {
        if (!(await isOn(paths, path, branch))) continue;
        const lock = await LockFile.acquire(path, deadlineMs, paths.marks);
        locks.push(lock);
        // It may have moved on while the lock was waited for.
        if (!(await isOn(paths, path, branch))) await lock.release();
      }
      return new WorktreeHeads(locks.filter((lock) => lock.isHeld));
    } catch (error) {
      await releaseAll(locks);
      throw error;
    }
  }

  /** Has all of them lead to another branch. */
  async move(branch: RefName, fsync: boolean): Promise<void> {
    await allOf(this.#locks.map((lock) => lock.write(`ref: ${branch}\n`, fsync)));
    for (const lock of this.#locks) await lock.commit();
  }

  /** To be called in the end, whatever happened. */
  async release(): Promise<void> {
    await releaseAll(this.#locks);
  }
}

/** Where they are, but for that of this worktree. */
async function otherHeads({ gitDir, commonDir, disk }: RefPaths): Promise<ByteString[]> {
  const worktrees = `${commonDir}/worktrees` as ByteString;
  const entries = await disk.readdir(bufferFromByteString(worktrees));
  const directories = entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${worktrees}/${byteStringFromBuffer(entry.name)}`);
  return [commonDir, ...directories]
    .filter((directory) => directory !== gitDir)
    .map((directory) => `${directory}/${headRef}` as ByteString);
}

async function isOn({ disk }: RefPaths, head: ByteString, branch: RefName): Promise<boolean> {
  const content = await disk.readFile(bufferFromByteString(head));
  return content?.toString('latin1').trimEnd() === `ref: ${branch}`;
}
