import type { ObjectDatabase } from '../../git/odb/object-database.ts';
import type { Log } from '../observe/log.ts';
import type { NodeContext, Owner } from '../vfs/node-context.ts';
import type { KernelNotifier } from '../vfs/operations.ts';
import type { Clock } from './clock.ts';
import type { ContentStore } from './content-store.ts';
import type { ReferredContent } from './referred-content.ts';
import type { ScratchNames } from './scratch-names.ts';
import type { WriteBufferSetting } from './write-buffer.ts';

/** What the nodes of all branches of a mount share. */
export interface BranchContext extends NodeContext {
  readonly odb: ObjectDatabase;
  /** Where content waits for its commit; one for all branches, so that a file can move between them. */
  readonly contents: ContentStore;
  /** What files and directories refer to without having it. */
  readonly referred: ReferredContent;
  readonly writing: WriteBufferSetting;
  readonly scratch: ScratchNames;
  /** The user whose files show `owner`; the files of others are their own. */
  readonly mountingUser: Owner;
  readonly notifier: KernelNotifier;
  readonly clock: Clock;
  readonly log: Log;
}
