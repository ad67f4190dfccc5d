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
  if (ours.repository.gitDir === theirs.repository.gitDir) return;
  throw new InvalidArgumentError(`a snapshot of another repository: ${theirs.repository.gitDir}`, {
    path: theirs.repository.gitDir,
  });
}
