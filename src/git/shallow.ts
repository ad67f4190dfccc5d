import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isOid } from './oid.ts';
import type { Oid } from './oid.ts';
import { isSystemError } from './system-error.ts';

/**
 * The commits at which the history of a shallow repository ends: their parents are not stored, and git takes
 * them for commits that have none (`shallow` in gitrepository-layout(5), one id a line). None where history
 * is whole.
 */
export async function shallowCommits(objectsDirectory: string): Promise<ReadonlySet<Oid>> {
  try {
    const lines = await readFile(join(dirname(objectsDirectory), 'shallow'), 'latin1');
    return new Set(lines.split('\n').filter(isOid));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return new Set();
    throw error;
  }
}
