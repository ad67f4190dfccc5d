import type { Oid } from '../../git/oid.ts';
import type { BranchPlace } from '../namespace/branch-provider.ts';
import type { Timespec } from '../vfs/operations.ts';
import type { DirectoryVnode } from '../vfs/vnode.ts';
import type { BranchContext } from './branch-context.ts';
import { BranchDirectory } from './branch-directory.ts';
import type { Branch } from './branch-node.ts';
import { Inode } from './inode.ts';

/** The root directory of a branch. It has no name here: that is for the namespace to know. */
export class BranchRoot extends BranchDirectory {
  readonly place: BranchPlace;
  readonly #branch: Branch;

  constructor(
    context: BranchContext,
    branch: Branch,
    place: BranchPlace,
    tree: Oid,
    seenTime: Timespec,
  ) {
    super(new Inode(context, place.ino, seenTime), tree, seenTime, true);
    this.place = place;
    this.#branch = branch;
  }

  override get parent(): DirectoryVnode {
    return this.place.parent ?? this;
  }

  override get branch(): Branch {
    return this.#branch;
  }

  protected override get rooted(): Branch {
    return this.#branch;
  }
}
