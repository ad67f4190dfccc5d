import type { Oid } from '../../git/oid.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { BranchStatus } from '../observe/status.ts';
import type { Ino, MaybePromise } from '../vfs/operations.ts';
import type { DirectoryVnode } from '../vfs/vnode.ts';

/** Where a branch stands in the mount. The namespace moves it when the branch is renamed, so read it anew. */
export interface BranchPlace {
  /** The inode number that the root directory of the branch has to use. */
  readonly ino: Ino;
  /** The directory that `..` leads to; `null` when the branch is the root of the mount. */
  readonly parent: DirectoryVnode | null;
}

/**
 * What the namespace asks of the writable branches. The namespace owns the names (which branch is
 * found where) and changes refs; the provider owns what is inside a branch and keeps its own
 * commits out of the way while a ref changes.
 *
 * Changes from outside go the other way: whoever watches the refs tells `Namespace.refsChanged`
 * which names appeared, moved or went, and the provider about the same by its own means.
 */
export interface BranchProvider {
  /**
   * The root directory of a branch: the same object as long as the kernel knows it. The branch
   * exists (or did a moment ago). Called again after the kernel forgot the node, with the same
   * place as long as the branch keeps its name.
   */
  open(branch: RefName, place: BranchPlace): MaybePromise<DirectoryVnode>;

  /** Makes a branch whose first commit has an empty tree. The name is valid; `RefChangedError` when it exists by now. */
  create(branch: RefName): Promise<void>;

  /**
   * Renames a branch: waits for a commit in flight, holds further ones back, lets `moveRef` move
   * the ref with its reflog, and goes on under the new name with everything staged kept. When
   * `moveRef` fails, the branch stays as it was and the error is passed on. The node of the branch
   * lives on: open files and directories below it stay valid.
   */
  rename(from: RefName, to: RefName, moveRef: () => Promise<void>): Promise<void>;

  /**
   * Removes a branch: refuses with ENOTEMPTY when anything stands in it, uncommitted files
   * included; else commits what is staged, calls `deleteRef` with no commit in flight, and lets go
   * of the working tree. `deleteRef` is given the commit that was found to be empty (`null`
   * for none); a `RefChangedError` of it says that the branch is at another by now, which is looked at then. When
   * `deleteRef` fails otherwise, the branch stays and the error is passed on.
   */
  remove(branch: RefName, deleteRef: (tip: Oid | null) => Promise<void>): Promise<void>;

  /** The branches that are open now, for status.json and the metrics. */
  status(): readonly BranchStatus[];
}
