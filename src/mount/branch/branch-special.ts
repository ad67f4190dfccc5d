import type { Attr, AttrChange, Ino } from '../vfs/operations.ts';
import { SpecialVnode } from '../vfs/vnode.ts';
import type { CacheRule } from '../vfs/vnode.ts';
import { branchCache } from './branch-node.ts';
import type { Inode } from './inode.ts';

/** A FIFO, socket or device node: git has none, so it lives for the session. */
export class BranchSpecial extends SpecialVnode {
  readonly inode: Inode;
  /** A commit has nothing under its name. */
  readonly placed = null;
  readonly #type: number;
  readonly #rdev: number;

  /** `type` is one of `S_IF*`. */
  constructor(inode: Inode, type: number, rdev: number) {
    super();
    this.inode = inode;
    this.#type = type;
    this.#rdev = rdev;
  }

  get ino(): Ino {
    return this.inode.ino;
  }

  get cache(): CacheRule {
    return branchCache;
  }

  get isDisposable(): boolean {
    return false;
  }

  /** Of `S_IF*`. */
  get type(): number {
    return this.#type;
  }

  getattr(): Attr {
    const { inode } = this;
    return inode.attr({
      mode: this.#type,
      nlink: inode.links.length,
      sizeBytes: 0,
      blocks: 0,
      rdev: this.#rdev,
    });
  }

  override setattr(change: AttrChange): Attr {
    this.inode.setAttr(change);
    return this.getattr();
  }

  /** It has no name and nobody refers to it. */
  lost(): void {
    // It held nothing.
  }
}
