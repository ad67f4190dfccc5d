import { readFile, readdir, stat, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isProcessAlive } from '../gc-lock.ts';
import { ignoring, isSystemError } from '../system-error.ts';

// Nobody leaves a file alone for so long while writing it. Files of processes on other machines that
// share the repository cannot be told otherwise from those that were left behind.
const leastAgeMs = 24 * 60 * 60 * 1000;

/**
 * Removes from an object directory what processes that were ended have left behind, and gives the
 * number of files: temporary files of git and of this library that nobody has written to for a day,
 * unless their name holds the id of a process that is alive; and the `.keep` files by which this
 * library protected a pack, once their process is gone.
 */
export async function removeStaleFiles(
  objectsDirectory: string,
  signal?: AbortSignal,
): Promise<number> {
  let count = 0;
  for (const directory of await directoriesOf(objectsDirectory)) {
    signal?.throwIfAborted();
    for (const name of await list(directory)) {
      const path = join(directory, name);
      if (!(isTemporaryName(name) ? await isLeftBehind(path, name) : await isStaleKeep(path))) {
        continue;
      }
      await unlink(path).catch(ignoring('ENOENT'));
      count += 1;
    }
  }
  return count;
}

async function directoriesOf(objectsDirectory: string): Promise<string[]> {
  const names = (await list(objectsDirectory)).filter((name) => /^[0-9a-f]{2}$/.test(name));
  const inner = ['pack', 'info', 'info/commit-graphs', ...names];
  return [objectsDirectory, ...inner.map((name) => join(objectsDirectory, name))];
}

/** git's `tmp_…` and `.tmp-<pid>-pack-…`, ours `tmp_…_<pid>_<random>` and `vost_…_<pid>_<random>`. */
function isTemporaryName(name: string): boolean {
  return /^(?:tmp_|\.tmp-|vost_(?:idx|obj|pack)_)/.test(name);
}

async function isLeftBehind(path: string, name: string): Promise<boolean> {
  const [, ours, gits] = /_(\d+)_[0-9a-f]{12}$|^\.tmp-(\d+)-/.exec(name) ?? [];
  const pid = Number(ours ?? gits ?? 0);
  if (pid > 0 && isProcessAlive(pid)) return false;
  try {
    const attributes = await stat(path);
    return attributes.isFile() && Date.now() - attributes.mtimeMs > leastAgeMs;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}

async function isStaleKeep(path: string): Promise<boolean> {
  if (!path.endsWith('.keep')) return false;
  try {
    const [, pid, host] = /^vost ([1-9]\d*) (.+)\n$/.exec(await readFile(path, 'utf8')) ?? [];
    return host === hostname() && !isProcessAlive(Number(pid));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}

async function list(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}
