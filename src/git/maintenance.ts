import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GitCommandError, GitNotFoundError } from '../errors.ts';
import { isGcRunning } from './gc-lock.ts';
import { runGit } from './git-cli.ts';
import type { MaintenanceOptions } from './odb/repack.ts';
import { removeStaleFiles } from './odb/stale-files.ts';
import type { Repository } from './repository.ts';

/**
 * Removes what ended processes left behind, packs the loose objects, and has git write what speeds
 * up reading: a commit-graph with filters of the changed paths, and an index over all packs. Without
 * a git program these are left out; they only save time. Gives the number of objects packed.
 */
export async function collectGarbage(
  repository: Repository,
  options: MaintenanceOptions = {},
): Promise<number> {
  const { odb, commonDir } = repository;
  await removeStaleFiles(odb.objectsDirectory, options.signal);
  const count = await odb.packLoose(options);
  // A `git gc` that is at work writes them itself, and removes packs meanwhile.
  if (await isGcRunning(commonDir)) return count;
  const run = (...args: string[]): Promise<boolean> =>
    runIfPossible(args, { gitDir: repository.gitDir, signal: options.signal });
  const hasGit = await run('commit-graph', 'write', '--reachable', '--changed-paths');
  const files = await readdir(join(odb.objectsDirectory, 'pack'));
  const hasPacks = files.some((name) => name.endsWith('.idx'));
  if (hasGit && hasPacks) await run('multi-pack-index', 'write');
  await odb.refresh();
  return count;
}

/** Runs git unless there is none (`false`), or another process is about to write the same file. */
async function runIfPossible(
  args: readonly string[],
  { gitDir, signal }: { readonly gitDir: string; readonly signal: AbortSignal | undefined },
): Promise<boolean> {
  try {
    await runGit(args, { gitDir, ...(signal !== undefined && { signal }) });
    return true;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof GitNotFoundError) return false;
    const isLocked = error instanceof GitCommandError && /\.lock': File exists/.test(error.stderr);
    if (isLocked) return true;
    throw error;
  }
}
