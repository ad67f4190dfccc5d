import type { Identity } from '../../git/identity.ts';
import type { ObjectDatabase } from '../../git/odb/object-database.ts';
import type { HashAlgorithm } from '../../git/oid.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { RefStore } from '../../git/refs/ref-store.ts';
import type { Log } from '../observe/log.ts';
import type { SnapshotObjects } from '../snapshot.ts';
import type { NodeContext } from '../vfs/node-context.ts';
import type { KernelNotifier } from '../vfs/operations.ts';
import type { BranchProvider } from './branch-provider.ts';

/** What the namespace of a mount is made from. */
export interface NamespaceOptions {
  readonly context: NodeContext;
  readonly algorithm: HashAlgorithm;
  readonly odb: SnapshotObjects &
    Pick<ObjectDatabase, 'commitGraph' | 'objectsDirectory' | 'resolvePrefix'>;
  readonly refs: Pick<
    RefStore,
    'list' | 'read' | 'reflogNewestFirst' | 'rename' | 'resolve' | 'update'
  >;
  readonly branches: BranchProvider;
  /** Who changes refs: for the reflog. */
  readonly identity: Identity;
  readonly notifier: KernelNotifier;
  /** The mount has made, renamed or removed a branch: see `RefWatcher`. */
  readonly lookAgain: (ref: RefName) => void;
  readonly log: Log;
  /** The text of `/.vost/status.json`. */
  readonly status: () => string;
  /** The text of `/.vost/metrics`. */
  readonly metrics: () => string;
  /** List the dot directories in the root; they are found by name either way. */
  readonly showDotDirectories?: boolean;
}
