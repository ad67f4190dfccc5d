import { statSync } from 'node:fs';
import { InvalidArgumentError } from '../errors.ts';
import type { Identity } from '../git/object.ts';
import type { Repository } from '../git/repository.ts';

/** What the snapshots of one store share. */
export interface SnapshotContext {
  readonly repository: Repository;
  /** Who commits. */
  readonly identity: Identity;
}

/** Throws an `InvalidArgumentError` unless two snapshots share their objects, so that hashes of one mean the same in the other. */
export function requireSameRepository(ours: SnapshotContext, theirs: SnapshotContext): void {
  if (isSameDirectory(ours.repository.commonDir, theirs.repository.commonDir)) return;
  throw new InvalidArgumentError(`a snapshot of another repository: ${theirs.repository.gitDir}`, {
    path: theirs.repository.gitDir,
  });
}

/** Tells whether two paths lead to one directory: a repository has worktrees, and may be reached by a link. */
function isSameDirectory(one: string, other: string): boolean {
  if (one === other) return true;
  const [a, b] = [one, other].map((path) =>
    statSync(path, { bigint: true, throwIfNoEntry: false }),
  );
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}
