import type { Identity } from '../../git/identity.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { Repository } from '../../git/repository.ts';
import type { CommitPolicy } from '../mount-options.ts';
import type { BranchContext } from './branch-context.ts';
import type { CommitAttempts } from './commit-attempts.ts';
import type { CommitCounts } from './commit-counts.ts';

/** What all branches of a mount have in common. */
export interface BranchSetting {
  readonly repository: Repository;
  readonly context: BranchContext;
  readonly counts: CommitCounts;
  readonly attempts: CommitAttempts;
  /** Who commits. */
  readonly identity: Identity;
  /** For commit messages; see `formatCommitMessage`. */
  readonly messageTemplate: string | undefined;
  readonly policy: CommitPolicy;
  /** Nothing is written to the repository: what an earlier mount left staged stays where it is. */
  readonly readOnly: boolean;
  /** Leave out what the branch's own `.gitignore` files name. */
  readonly gitignore: boolean;
  /** How long nothing must have changed before a commit, and how long it is put off at most. */
  readonly quietMs: number;
  readonly longestMs: number;
  /** A branch shows what the mount has made of its ref, or read from it: see `RefWatcher`. */
  readonly lookAgain: (ref: RefName) => void;
}
