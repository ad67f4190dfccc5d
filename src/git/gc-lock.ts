import { hostname } from 'node:os';
import { join } from 'node:path';
import { farDisk } from './disk.ts';
import type { Disk } from './disk.ts';

// As git does, a lock of this age is taken for one that was left behind.
const longestRunMs = 12 * 60 * 60 * 1000;

/**
 * Tells whether a `git gc` is at work in a repository, by the `gc.pid` that it keeps from before it
 * looks at the refs until it has removed what they do not lead to. One that was left behind does
 * not count: a process of this machine that is gone, or half a day has passed.
 */
export async function isGcRunning(commonDir: string, disk: Disk = farDisk): Promise<boolean> {
  return (await runningGc(commonDir, disk)) !== undefined;
}

/**
 * What tells the `git gc` that is at work from those before and after it; `undefined` when none is, as
 * `isGcRunning` says.
 */
export async function runningGc(
  commonDir: string,
  disk: Disk = farDisk,
): Promise<string | undefined> {
  const path = join(commonDir, 'gc.pid');
  const found = await disk.stat(path);
  if (found === undefined || Date.now() - Number(found.mtimeMs) > longestRunMs) return undefined;
  const holder = (await disk.readFile(path))?.toString().trim();
  if (holder === undefined) return undefined;
  const [pid = '', host = ''] = holder.split(' ');
  const isAtWork = host !== hostname() || isProcessAlive(Number(pid));
  return isAtWork ? `${holder} ${found.mtimeNs}` : undefined;
}

/** Tells whether a process of this machine has this id. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It belongs to somebody else, or the file is not written yet; only "no such process" is a no.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
