import { constants } from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import { canonicalMode, modeSymlink } from '../../git/mode.ts';
import type { Tree } from '../../git/object.ts';
import type { PlacedObject } from '../../snapshot/tree-edit.ts';
import { blobSize, readTarget } from '../snapshot-files.ts';
import { plainAttr } from '../vfs/attr.ts';
import { ErrnoError } from '../vfs/errno.ts';
import type { InodeRow } from '../vfs/inode-rows.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { Attr, AttrChange, Caller, Ino, MaybePromise } from '../vfs/operations.ts';
import { FileVnode, SymlinkVnode } from '../vfs/vnode.ts';
import type { CacheRule, FileHandle, Vnode } from '../vfs/vnode.ts';
import type { BranchDirectory } from './branch-directory.ts';
import { branchCache, branchXattr, branchXattrNames } from './branch-node.ts';
import { BranchFile } from './branch-file.ts';
import { BranchSymlink } from './branch-symlink.ts';
import type { CleanRow } from './clean-rows.ts';

/**
 * Where a file or link of a branch stands that has not been touched: its directory has it from the
 * tree, and nothing else is known of it. There may be a million of them, so none is kept (see
 * `Vnode.row`). As soon as somebody opens or changes it, or it moves, the directory makes the node
 * that is kept, with the same number.
 */
class CleanPlace {
  readonly directory: BranchDirectory;
  readonly row: CleanRow;
  readonly index: number;

  constructor(directory: BranchDirectory, row: CleanRow, index: number) {
    this.directory = directory;
    this.row = row;
    this.index = index;
  }

  get ino(): Ino {
    return (this.row.numbers.first + this.index) as Ino;
  }

  get name(): ByteString {
    return this.row.tree.nameAt(this.index);
  }

  /** What the tree has at present. ESTALE when others took it away while this was asked for. */
  entry(): MaybePromise<PlacedObject> {
    return whenReady(this.directory.names.tree(), (tree) => {
      const index = this.#indexIn(tree);
      return { mode: tree.modeAt(index), oid: tree.oidAt(index) };
    });
  }

  attr(type: number | undefined): MaybePromise<Attr> {
    const { context } = this.directory.inode;
    // That of the tree, even if others move on while it is read.
    const { origin } = this.directory.names;
    return whenReady(this.directory.names.tree(), (tree) => {
      const index = this.#indexIn(tree);
      const mode = type ?? canonicalMode(tree.modeAt(index));
      const known = origin === null ? undefined : context.sizes?.at(origin, tree, index);
      return whenReady(known ?? blobSize(context.odb, tree.oidAt(index)), (sizeBytes) =>
        plainAttr(context, this.ino, mode, sizeBytes, this.row.seenTime),
      );
    });
  }

  #indexIn(tree: Tree): number {
    const index = tree === this.row.tree ? this.index : tree.indexOf(this.name);
    if (index < 0) throw new ErrnoError('ESTALE');
    return index;
  }

  xattr(name: ByteString): MaybePromise<Uint8Array> {
    const { branch } = this.directory;
    return whenReady(this.entry(), ({ oid }) =>
      branchXattr(name, { branch, oid, state: 'committed' }),
    );
  }

  /** The node that is kept. ESTALE when the name leads to another one by now. */
  kept(): MaybePromise<BranchFile | BranchSymlink> {
    const { directory, ino } = this;
    const known = directory.inode.context.inodes.get(ino);
    if (isKept(known)) return known;
    return whenReady(directory.names.get(this.name), (node) => {
      if (isKept(node) && node.ino === ino) return node;
      throw new ErrnoError('ESTALE');
    });
  }
}

function isKept(node: Vnode | null | undefined): node is BranchFile | BranchSymlink {
  return node instanceof BranchFile || node instanceof BranchSymlink;
}

/** A regular file that has not been touched. */
export class CleanFile extends FileVnode {
  readonly #place: CleanPlace;

  constructor(directory: BranchDirectory, row: CleanRow, index: number) {
    super();
    this.#place = new CleanPlace(directory, row, index);
  }

  get ino(): Ino {
    return this.#place.ino;
  }

  override get row(): InodeRow {
    return this.#place.row.numbers;
  }

  get cache(): CacheRule {
    return branchCache;
  }

  getattr(): MaybePromise<Attr> {
    return this.#place.attr(undefined);
  }

  override setattr(change: AttrChange, caller: Caller, handle?: FileHandle): MaybePromise<Attr> {
    return whenReady(this.kept(), (file) => file.setattr(change, caller, handle));
  }

  open(flags: number, caller: Caller): MaybePromise<FileHandle> {
    return whenReady(this.kept(), (file) => {
      if (!(file instanceof BranchFile)) throw new ErrnoError('ESTALE');
      const reads = (flags & (constants.O_WRONLY | constants.O_RDWR | constants.O_TRUNC)) === 0;
      const { row, index } = this.#place;
      return reads && row.reads(index) ? file.openFirst() : file.open(flags, caller);
    });
  }

  override listxattr(): readonly ByteString[] {
    return branchXattrNames;
  }

  override getxattr(name: ByteString): MaybePromise<Uint8Array> {
    return this.#place.xattr(name);
  }

  /** The node that is kept in its place from now on. */
  kept(): MaybePromise<BranchFile | BranchSymlink> {
    return this.#place.kept();
  }
}

/** A symbolic link that has not been touched. */
export class CleanSymlink extends SymlinkVnode {
  readonly #place: CleanPlace;

  constructor(directory: BranchDirectory, row: CleanRow, index: number) {
    super();
    this.#place = new CleanPlace(directory, row, index);
  }

  get ino(): Ino {
    return this.#place.ino;
  }

  override get row(): InodeRow {
    return this.#place.row.numbers;
  }

  get cache(): CacheRule {
    return branchCache;
  }

  getattr(): MaybePromise<Attr> {
    return whenReady(this.#place.attr(modeSymlink | 0o777), (attr) => ({ ...attr, blocks: 0 }));
  }

  override setattr(change: AttrChange, caller: Caller): MaybePromise<Attr> {
    return whenReady(this.kept(), (link) => link.setattr(change, caller));
  }

  readlink(): MaybePromise<ByteString> {
    const { odb } = this.#place.directory.inode.context;
    return whenReady(this.#place.entry(), ({ oid }) => readTarget(odb, oid));
  }

  override listxattr(): readonly ByteString[] {
    return branchXattrNames;
  }

  override getxattr(name: ByteString): MaybePromise<Uint8Array> {
    return this.#place.xattr(name);
  }

  /** The node that is kept in its place from now on. */
  kept(): MaybePromise<BranchFile | BranchSymlink> {
    return this.#place.kept();
  }
}
