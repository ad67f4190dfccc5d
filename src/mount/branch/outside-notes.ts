import type { ByteString } from '../../git/byte-string.ts';
import type { PlacedObject } from '../../snapshot/tree-edit.ts';
import type { Timespec } from '../vfs/operations.ts';
import type { BranchDirectory } from './branch-directory.ts';
import type { Inode, Link } from './inode.ts';

/** What a commit from outside made of a file that was open for writing at that time. */
export interface OutsideChange {
  /** `null` when it was deleted, or is no file any more. */
  readonly object: PlacedObject | null;
  readonly time: Timespec;
}

/** What became of the names of a file while it was written, until the last writer closes it. */
export class OutsideNotes {
  readonly #inode: Inode;
  /** Few files have any, and there may be very many files. */
  #changes: Map<Link, OutsideChange> | undefined;

  constructor(inode: Inode) {
    this.#inode = inode;
  }

  get isEmpty(): boolean {
    return this.#changes === undefined;
  }

  /** Notes what others made of a name of the file. */
  note(parent: BranchDirectory, name: ByteString, change: OutsideChange): void {
    const link = this.#link(parent, name);
    if (link === undefined) return;
    this.#changes ??= new Map();
    this.#changes.set(link, change);
  }

  /** What was noted of a name, which is forgotten then. */
  take(parent: BranchDirectory, name: ByteString): OutsideChange | undefined {
    const link = this.#link(parent, name);
    if (link === undefined) return undefined;
    const change = this.#changes?.get(link);
    this.#changes?.delete(link);
    if (this.#changes?.size === 0) this.#changes = undefined;
    return change;
  }

  #link(parent: BranchDirectory, name: ByteString): Link | undefined {
    return this.#inode.links.find((link) => link.parent === parent && link.name === name);
  }
}
