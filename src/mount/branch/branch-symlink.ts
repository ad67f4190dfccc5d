import type { ByteString } from '../../git/byte-string.ts';
import { modeSymlink } from '../../git/mode.ts';
import type { PlacedObject } from '../../snapshot/tree-edit.ts';
import { blobSize, readTarget } from '../snapshot-files.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { Attr, AttrChange, Ino, MaybePromise } from '../vfs/operations.ts';
import { SymlinkVnode } from '../vfs/vnode.ts';
import type { CacheRule } from '../vfs/vnode.ts';
import { branchCache, branchXattr, branchXattrNames, xattrSource } from './branch-node.ts';
import type { HeldContent } from './content-store.ts';
import type { Inode } from './inode.ts';

/** A symbolic link of a branch. Its target never changes: another target is another link. */
export class BranchSymlink extends SymlinkVnode {
  readonly inode: Inode;
  readonly placed: PlacedObject;
  readonly #held: HeldContent | undefined;

  /** `held` when its target is staged, and in no commit yet. */
  constructor(inode: Inode, placed: PlacedObject, held?: HeldContent) {
    super();
    this.inode = inode;
    this.placed = placed;
    this.#held = held;
  }

  get ino(): Ino {
    return this.inode.ino;
  }

  /** Of `S_IF*`. */
  get type(): number {
    return modeSymlink;
  }

  get cache(): CacheRule {
    return branchCache;
  }

  get isDisposable(): boolean {
    return this.references === 0 && this.inode.isPristine;
  }

  getattr(): MaybePromise<Attr> {
    const { inode, placed } = this;
    return whenReady(blobSize(inode.context.odb, placed.oid), (sizeBytes) =>
      inode.attr({ mode: modeSymlink | 0o777, nlink: inode.links.length, sizeBytes, blocks: 0 }),
    );
  }

  override setattr(change: AttrChange): MaybePromise<Attr> {
    this.inode.setAttr(change);
    return this.getattr();
  }

  override listxattr(): readonly ByteString[] {
    return branchXattrNames;
  }

  override getxattr(name: ByteString): Uint8Array {
    return branchXattr(name, xattrSource(this.inode, this.placed.oid));
  }

  readlink(): MaybePromise<ByteString> {
    return readTarget(this.inode.context.odb, this.placed.oid);
  }

  /** It has no name and nobody refers to it. */
  lost(): void {
    if (this.#held !== undefined) this.inode.context.contents.drop(this.#held);
  }

  override forgotten(): void {
    if (this.inode.links.length === 0) this.lost();
    for (const { parent, name } of this.inode.links) parent.dropIfDisposable(name, this);
  }
}
