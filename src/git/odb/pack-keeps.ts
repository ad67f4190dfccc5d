import { access, unlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { ignoring, isSystemError } from '../system-error.ts';

/**
 * The packs that were given their name before a ref leads to what is in them. A `.keep` file beside
 * each tells `git repack` to leave it alone, which would otherwise replace every pack that it finds
 * by one of what the refs lead to at that moment; git protects what it receives in the same way.
 */
export class PackKeeps {
  readonly #paths = new Set<string>();

  /**
   * Protects the pack that is about to get this path (`….pack`). `false` when somebody else keeps a pack
   * of this name, who may let go of it at any moment.
   */
  async keep(packPath: string): Promise<boolean> {
    const path = packPath.replace(/\.pack$/, '.keep');
    if (this.#paths.has(path)) return true;
    try {
      await writeFile(path, `vost ${process.pid} ${hostname()}\n`, { flag: 'wx' });
      this.#paths.add(path);
      return true;
    } catch (error) {
      if (isSystemError(error, 'EEXIST')) return false;
      // A full disk may have taken the name and not the text.
      await unlink(path).catch(ignoring('ENOENT'));
      throw error;
    }
  }

  /**
   * Tells whether all of them are protected still. A `git gc` that takes the index of a pack for a leftover
   * takes the `.keep` along, and a `git repack` that begins then does not see it.
   */
  async areStanding(): Promise<boolean> {
    for (const path of this.#paths) {
      try {
        await access(path);
      } catch (error) {
        if (isSystemError(error, 'ENOENT')) return false;
        throw error;
      }
    }
    return true;
  }

  /** Lets git have all of them: a ref leads to what they hold, or nobody needs it. */
  async letGo(): Promise<void> {
    for (const path of this.#paths) {
      await unlink(path).catch(ignoring('ENOENT'));
      this.#paths.delete(path);
    }
  }
}
