import { modeTree } from '../../git/mode.ts';
import type { PlacedObject } from '../../snapshot/tree-edit.ts';
import type { Attr, Ino } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryStream } from '../vfs/vnode.ts';
import { branchCache } from './branch-node.ts';
import type { Inode } from './inode.ts';

/** A submodule: its commit is in another repository, so it shows as an empty directory, and nothing can be put in it. */
export class BranchSubmodule extends DirectoryVnode {
  readonly inode: Inode;
  readonly placed: PlacedObject;

  constructor(inode: Inode, placed: PlacedObject) {
    super();
    this.inode = inode;
    this.placed = placed;
  }

  get ino(): Ino {
    return this.inode.ino;
  }

  /** Of `S_IF*`. */
  get type(): number {
    return modeTree;
  }

  get cache(): CacheRule {
    return branchCache;
  }

  override get readOnly(): boolean {
    return true;
  }

  get parent(): DirectoryVnode {
    return this.inode.links[0]?.parent ?? this;
  }

  get isDisposable(): boolean {
    return this.references === 0 && this.inode.isPristine;
  }

  getattr(): Attr {
    return this.inode.attr({ mode: modeTree | 0o755, nlink: 2, sizeBytes: 4096, blocks: 8 });
  }

  lookup(): null {
    return null;
  }

  entries(): DirectoryStream {
    return { entry: () => undefined };
  }

  isEmpty(): boolean {
    return true;
  }

  override forgotten(): void {
    for (const { parent, name } of this.inode.links) parent.dropIfDisposable(name, this);
  }

  /** It has no name and nobody refers to it. */
  lost(): void {
    // It held nothing.
  }
}
