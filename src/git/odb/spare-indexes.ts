import { randomBytes } from 'node:crypto';
import { access, copyFile, link, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { runningGc } from '../gc-lock.ts';
import {
  ignoring,
  isSystemError,
  systemErrorCode,
  withoutLinks,
  withoutRightOrRoom,
} from '../system-error.ts';
import { syncPath } from './durable.ts';

// A `git gc` removes what it takes for a leftover in the moment after it has listed it.
const firstDelayMs = 20;
const longestDelayMs = 1000;
const spareName = /^vost_spare_([0-9a-f]+)$/;

/**
 * Second names of the indexes of new packs, `vost_spare_<hex digits of the pack>` beside them. A `git gc`
 * that is nearly done lists the packs and removes each index that it saw without its pack
 * (`clean_pack_garbage` in git's builtin/gc.c): a listing that has passed the place of the one name before
 * the pack came, and the other after, takes the index of a new pack for a leftover. Only one that began
 * before the pack had its name can do so; therefore, when a `git gc` is at work in that moment, the index
 * keeps a second name until that `git gc` has ended, and is put back when it is gone. Whoever looks at the
 * directory does so, so a process that ends before leaves it to the next one.
 */
export class SpareIndexes {
  readonly #directory: string;
  readonly #commonDir: string;
  /** Those that were seen, each with the `git gc` that may take its index, if there was one. */
  readonly #known = new Map<string, string | undefined>();
  #timer: NodeJS.Timeout | undefined;
  #delayMs = firstDelayMs;
  #settling: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(objectsDirectory: string) {
    this.#directory = join(objectsDirectory, 'pack');
    this.#commonDir = dirname(objectsDirectory);
  }

  /**
   * Called when a pack has its name, and before its index has its own. ENOENT: somebody took away the
   * temporary name of the index.
   */
  async keep(indexPath: string, packPath: string): Promise<void> {
    const gc = await runningGc(this.#commonDir);
    if (gc === undefined) return;
    const name = spareNameOf(packPath);
    await giveSecondName(indexPath, join(this.#directory, name));
    this.#known.set(name, gc);
    this.#delayMs = firstDelayMs;
    this.#arm();
  }

  /** Called before a pack is removed, and before its index is: it is not to be put back. */
  async drop(packPath: string): Promise<void> {
    const name = spareNameOf(packPath);
    await unlink(join(this.#directory, name)).catch(ignoring('ENOENT'));
    this.#known.delete(name);
  }

  /** Puts indexes back which a listing of the directory lacks, and adds them to it. */
  async see(names: Set<string>): Promise<void> {
    const spares = [...names].filter((name) => spareName.test(name));
    if (spares.length === 0) return;
    this.#arm();
    try {
      await this.#putBack(spares, names);
    } catch (error) {
      // Others do it, and so does the next look; the other packs can be read meanwhile.
      if (!withoutRightOrRoom.has(systemErrorCode(error))) throw error;
    }
  }

  /** Puts back what is missing, and removes the second names that are not needed any more. */
  settle(): Promise<void> {
    // One after the other: who calls now knows more than a look that has begun.
    const settling = this.#settling.then(() => this.#settle());
    this.#settling = settling.catch(() => undefined);
    return settling;
  }

  /** Looks once more; what is still needed then is left to whoever opens the repository next. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const isNeeded = this.#timer !== undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // What cannot be done now is found by the next one, too.
    if (isNeeded) await this.settle().catch(() => undefined);
    else await this.#settling;
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#delayMs = Math.min(longestDelayMs, 2 * this.#delayMs);
      // While it fails it is tried again; until then the content has its second index.
      this.settle().catch(() => this.#arm());
    }, this.#delayMs).unref();
  }

  async #settle(): Promise<void> {
    const spares = (await this.#list()).filter((name) => spareName.test(name));
    const unknown = spares.filter((name) => !this.#known.has(name));
    if (unknown.length > 0) {
      const gc = await runningGc(this.#commonDir);
      for (const name of unknown) this.#known.set(name, gc);
    }
    // Asked before the last look: of one that has ended by now, everything is to be seen.
    const gc = await runningGc(this.#commonDir);
    const names = new Set(await this.#list());
    await this.#putBack(spares, names);
    let isNeeded = false;
    for (const name of spares) {
      if (gc !== undefined && this.#known.get(name) === gc) {
        isNeeded = true;
        continue;
      }
      await unlink(join(this.#directory, name)).catch(ignoring('ENOENT'));
      this.#known.delete(name);
    }
    if (isNeeded) this.#arm();
  }

  async #putBack(spares: readonly string[], names: Set<string>): Promise<void> {
    let hasPutBack = false;
    for (const spare of spares) {
      const stem = spare.replace(spareName, 'pack-$1');
      if (names.has(`${stem}.idx`) || !names.has(`${stem}.pack`)) continue;
      if (!(await this.#putBackOne(spare, stem))) continue;
      names.add(`${stem}.idx`);
      hasPutBack = true;
    }
    if (hasPutBack) await syncPath(this.#directory);
  }

  async #putBackOne(spare: string, stem: string): Promise<boolean> {
    const indexPath = join(this.#directory, `${stem}.idx`);
    try {
      await giveSecondName(join(this.#directory, spare), indexPath);
      await access(join(this.#directory, `${stem}.pack`));
      return true;
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
      // The second name was not needed any more, or a `git repack` has just removed the pack, its index first.
      await this.#removeIfAlone(indexPath, stem);
      return false;
    }
  }

  async #removeIfAlone(indexPath: string, stem: string): Promise<void> {
    try {
      await access(join(this.#directory, `${stem}.pack`));
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
      await unlink(indexPath).catch(ignoring('ENOENT'));
    }
  }

  async #list(): Promise<string[]> {
    try {
      return await readdir(this.#directory);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  }
}

function spareNameOf(packPath: string): string {
  return basename(packPath).replace(/^pack-(.*)\.pack$/, 'vost_spare_$1');
}

/** Gives a file one more name, or the name to a copy where files have only one; the name may be taken already. */
async function giveSecondName(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
    return;
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) return;
    if (!withoutLinks.has(systemErrorCode(error))) throw error;
  }
  const copy = join(dirname(to), `vost_idx_${process.pid}_${randomBytes(6).toString('hex')}`);
  try {
    await copyFile(from, copy);
    await syncPath(copy);
    await rename(copy, to);
  } catch (error) {
    // The first failure is the one to tell.
    await unlink(copy).catch(() => undefined);
    throw error;
  }
}
