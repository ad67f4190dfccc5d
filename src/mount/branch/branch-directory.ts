import { textFromBytes } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { isForbiddenName } from '../../git/forbidden-name.ts';
import { isGitlinkMode, isSymlinkMode, isTreeMode, modeTree } from '../../git/mode.ts';
import type { FileMode } from '../../git/mode.ts';
import type { TreeEntry } from '../../git/object.ts';
import type { Oid } from '../../git/oid.ts';
import { refNameText } from '../../git/refs/ref-name.ts';
import { joinPath, rootPath } from '../../snapshot/path.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { Attr, AttrChange, Caller, Ino, MaybePromise, Timespec } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryStream, FileHandle, FileVnode, Vnode } from '../vfs/vnode.ts';
import { BranchFile } from './branch-file.ts';
import { branchCache, branchXattr, branchXattrNames } from './branch-node.ts';
import type { Branch, BranchNode } from './branch-node.ts';
import { BranchSubmodule } from './branch-submodule.ts';
import { BranchSymlink } from './branch-symlink.ts';
import { CleanFile, CleanSymlink } from './clean-nodes.ts';
import type { CleanRow } from './clean-rows.ts';
import { DirectoryNames } from './directory-names.ts';
import type { NodeMaker } from './directory-names.ts';
import { Inode } from './inode.ts';
import type { Link } from './inode.ts';
import {
  createFile,
  createNameless,
  freshInode,
  linkNode,
  makeNamed,
  makeNode,
  makeSymlink,
} from './making.ts';
import { adoptOutside } from './outside-changes.ts';
import { renameNode } from './rename.ts';
import { nestedRepositoryName } from './scratch-names.ts';

/**
 * A directory of a branch. What is in it is for `DirectoryNames` to know; here is what one can do
 * to it. Whatever is changed is marked as pending in every directory up to the root, so that a
 * commit visits only what was changed.
 */
export class BranchDirectory extends DirectoryVnode implements NodeMaker {
  readonly inode: Inode;
  readonly names: DirectoryNames;
  /** The time that nodes show which are first seen from now on. */
  seenTime: Timespec;
  /** The parent's tree has this directory's origin under its name: what changes is told as a change to that. */
  isInPlace: boolean;

  constructor(inode: Inode, origin: Oid | null, seenTime: Timespec, isInPlace: boolean) {
    super();
    this.inode = inode;
    this.seenTime = seenTime;
    this.isInPlace = isInPlace;
    this.names = new DirectoryNames(inode.context, origin, this);
  }

  get ino(): Ino {
    return this.inode.ino;
  }

  get cache(): CacheRule {
    return branchCache;
  }

  get parent(): DirectoryVnode {
    return this.inode.links[0]?.parent ?? this;
  }

  /** The branch that this directory is in now; `undefined` once it is removed. */
  get branch(): Branch | undefined {
    const link = this.inode.links[0];
    if (link === undefined) return this.rooted;
    let root = link.parent;
    for (let above = root.inode.links[0]; above !== undefined; above = root.inode.links[0]) {
      root = above.parent;
    }
    return root.rooted;
  }

  /** The branch that this directory is the root of. */
  protected get rooted(): Branch | undefined {
    return undefined;
  }

  /** Where it stands, from the root of the branch. */
  get path(): ByteString {
    return [...this.#linksUp()].reduce((path, { name }) => joinPath(name, path), rootPath);
  }

  /** The tip of the branch leads to the tree that this directory is based on. */
  get isInTip(): boolean {
    if (!this.isInPlace) return false;
    for (const { parent } of this.#linksUp()) if (!parent.isInPlace) return false;
    return this.branch?.isGone === false;
  }

  /** Of `S_IF*`. */
  get type(): number {
    return modeTree;
  }

  get isDisposable(): boolean {
    const { children, removed, pending } = this.names;
    const isUntouched = children.size === 0 && removed.size === 0 && pending.size === 0;
    const isUnknown = this.references === 0 && !this.names.hasLiveRow;
    return isUnknown && this.inode.isPristine && isUntouched;
  }

  getattr(): MaybePromise<Attr> {
    return whenReady(this.names.subdirectories(), (subdirectories) =>
      this.inode.attr({
        mode: modeTree | 0o755,
        nlink: this.branch === undefined ? 0 : 2 + subdirectories,
        sizeBytes: 4096,
        blocks: 8,
      }),
    );
  }

  override setattr(change: AttrChange): MaybePromise<Attr> {
    if (change.size !== undefined) throw new ErrnoError('EISDIR');
    this.inode.setAttr(change);
    return this.getattr();
  }

  override listxattr(): readonly ByteString[] {
    return branchXattrNames;
  }

  override getxattr(name: ByteString): Uint8Array {
    const isStaged = this.names.pending.size > 0;
    const oid = isStaged ? undefined : (this.names.origin ?? undefined);
    return branchXattr(name, {
      branch: this.branch,
      oid,
      state: isStaged ? 'staged' : 'committed',
    });
  }

  lookup(name: ByteString): MaybePromise<Vnode | null> {
    return this.names.lookup(name);
  }

  override get hasLastingPositions(): boolean {
    return true;
  }

  entries(isBeginning: boolean): MaybePromise<DirectoryStream> {
    return whenReady(this.names.tree(), (tree) => this.names.listing(tree, isBeginning));
  }

  override create(
    name: ByteString,
    mode: number,
    flags: number,
    caller: Caller,
  ): MaybePromise<{ node: FileVnode; handle: FileHandle }> {
    return createFile({ parent: this, name }, mode, flags, caller);
  }

  override tmpfile(
    mode: number,
    flags: number,
    caller: Caller,
  ): { node: FileVnode; handle: FileHandle } {
    return createNameless(this, mode, flags, caller);
  }

  override mknod(
    name: ByteString,
    mode: number,
    rdev: number,
    caller: Caller,
  ): MaybePromise<Vnode> {
    return makeNode({ parent: this, name }, mode, rdev, caller);
  }

  override mkdir(name: ByteString, mode: number, caller: Caller): MaybePromise<DirectoryVnode> {
    return makeNamed({ parent: this, name }, modeTree, () => {
      const inode = freshInode(this, mode, caller, true);
      return new BranchDirectory(inode, null, this.inode.context.clock.now(), false);
    });
  }

  override symlink(name: ByteString, target: ByteString, caller: Caller): MaybePromise<Vnode> {
    return makeSymlink({ parent: this, name }, target, caller);
  }

  override link(node: Vnode, name: ByteString): MaybePromise<void> {
    return linkNode(node, { parent: this, name });
  }

  override unlink(name: ByteString): MaybePromise<void> {
    this.requireWritable();
    return whenReady(this.names.get(name), () => {
      this.requireWritable();
      const node = this.requireChild(name);
      if (node instanceof DirectoryVnode) throw new ErrnoError('EISDIR');
      this.discard(name, node);
    });
  }

  override rmdir(name: ByteString): MaybePromise<void> {
    this.requireWritable();
    return whenReady(this.names.get(name), () => {
      const node = this.requireChild(name);
      if (!(node instanceof DirectoryVnode)) throw new ErrnoError('ENOTDIR');
      return whenReady(node.isEmpty(), (isEmpty) => {
        if (!isEmpty) throw new ErrnoError('ENOTEMPTY');
        this.requireWritable();
        if (this.requireChild(name) === node) this.discard(name, node);
        else return this.rmdir(name);
      });
    });
  }

  override rename(
    name: ByteString,
    target: DirectoryVnode,
    newName: ByteString,
    flags: number,
  ): MaybePromise<void> {
    if (!(target instanceof BranchDirectory)) throw new ErrnoError('EXDEV');
    if (target.inode.context !== this.inode.context) throw new ErrnoError('EXDEV');
    return renameNode({ parent: this, name }, { parent: target, name: newName }, flags);
  }

  override async fsync(): Promise<void> {
    const { branch } = this;
    await branch?.durable();
    branch?.throwUnstored();
  }

  override forgotten(): void {
    this.names.forgetNumbers();
    this.#dropSelf();
  }

  isEmpty(): MaybePromise<boolean> {
    return this.names.isEmpty();
  }

  /** What a name leads to that is known by now; ENOENT when it leads nowhere. */
  requireChild(name: ByteString): BranchNode {
    const node = this.names.children.get(name);
    if (node === undefined) throw new ErrnoError('ENOENT');
    return node;
  }

  /**
   * Gives a node a name here, which led nowhere. ESTALE or ENOENT when others have deleted the branch or
   * removed the directory, while a tree was read say: nobody would find the node again, nor commit it.
   */
  put(name: ByteString, node: BranchNode): void {
    this.requireWritable();
    this.names.add(name, node);
    node.inode.addLink(this, name);
    if (node instanceof BranchDirectory) node.isInPlace = false;
    node.inode.changed();
    this.inode.modified();
    if (name === nestedRepositoryName) this.#warnOfNestedRepository();
    if (node instanceof BranchDirectory || node.placed) this.markPending(name);
    // A FIFO concerns a commit only where it hides something.
    else if (node.placed === null && this.names.mayBeStored(name)) this.markPending(name);
  }

  /** Takes a name away from its node, which lives on under other names, or as long as it is in use. */
  take(name: ByteString, node: BranchNode): void {
    const mayBeStored = this.names.remove(name, node);
    const isConflict = node instanceof BranchFile && node.outside.take(this, name) !== undefined;
    if (isConflict) this.recordConflict(name);
    node.inode.removeLink(this, name);
    node.inode.changed();
    this.inode.modified();
    if (mayBeStored) this.markPending(name);
    // Others may have removed this directory while something in it was open. Emptied by the mount,
    // it is one of its own.
    else if (!this.isInPlace) this.#markSelfPending();
  }

  /** Removes a name for good. */
  discard(name: ByteString, node: BranchNode): void {
    this.take(name, node);
    if (node.references === 0 && node.inode.links.length === 0) node.lost();
  }

  /** Names that no commit takes. */
  isScratch(name: ByteString): boolean {
    return this.inode.context.scratch.has(name);
  }

  /** The last writer of a file has closed it. */
  writersGone(name: ByteString, file: BranchFile): void {
    adoptOutside(this, name, file);
  }

  /** Notes that a name leads to something that a commit has to look at. */
  markPending(name: ByteString): void {
    if (!this.#markHere(name)) return;
    for (const link of this.#linksUp()) if (!link.parent.#markHere(link.name)) return;
    this.branch?.changed();
  }

  /** False where no commit looks. */
  #markHere(name: ByteString): boolean {
    if (this.names.children.has(name) && this.isScratch(name)) return false;
    this.names.pending.add(name);
    return true;
  }

  recordConflict(name: ByteString): void {
    this.branch?.recordConflict(joinPath(this.path, name));
  }

  /** Makes what a name leads to durable; nothing for what ends with the session. */
  async syncName(name: ByteString): Promise<void> {
    if (!this.#isSessionOnly(name)) await this.branch?.durable();
  }

  /** Lets go of a node that nobody refers to, when the tree gives the same again. */
  dropIfDisposable(name: ByteString, node: BranchNode): void {
    let dropped = node;
    let link: Link | undefined = { parent: this, name };
    // The directories that held nothing else go with it.
    while (link !== undefined && link.parent.#dropHere(link.name, dropped)) {
      if (link.parent.references > 0) return;
      dropped = link.parent;
      [link] = dropped.inode.links;
    }
  }

  #dropHere(name: ByteString, node: BranchNode): boolean {
    if (this.names.children.get(name) !== node || this.names.pending.has(name)) return false;
    if (!node.isDisposable) return false;
    this.names.release(name);
    node.lost();
    return true;
  }

  /** ESTALE when the branch was deleted by others, ENOENT when this directory was removed. */
  requireWritable(): void {
    const { branch } = this;
    if (branch === undefined) throw new ErrnoError('ENOENT');
    branch.requireWritable();
  }

  /** EPERM for a name that git would not store, but for that of a nested repository. */
  requireGoodName(name: ByteString, mode: FileMode): void {
    if (name !== nestedRepositoryName && isForbiddenName(name, mode)) throw new ErrnoError('EPERM');
  }

  /** It has no name and nobody refers to it. */
  lost(): void {
    // What was in it went before it.
  }

  /** A scratch name, or a name below one. */
  #isSessionOnly(name: ByteString): boolean {
    if (this.isScratch(name)) return true;
    for (const link of this.#linksUp()) if (link.parent.isScratch(link.name)) return true;
    return false;
  }

  /** The links on the way up, one after the other: a tree may be deeper than calls can be nested. */
  *#linksUp(): Generator<Link, void, undefined> {
    for (let [link] = this.inode.links; link !== undefined; [link] = link.parent.inode.links) {
      yield link;
    }
  }

  #markSelfPending(): void {
    const [link] = this.inode.links;
    if (link === undefined) this.branch?.changed();
    else link.parent.markPending(link.name);
  }

  #warnOfNestedRepository(): void {
    this.inode.context.log.warn('nested-repository', {
      ...(this.branch && { branch: refNameText(this.branch.ref) }),
      path: textFromBytes(joinPath(this.path, nestedRepositoryName)),
      message:
        'it ends with this mount and is in no commit: push what it has, or keep it elsewhere',
    });
  }

  #dropSelf(): void {
    for (const { parent, name } of this.inode.links) parent.dropIfDisposable(name, this);
  }

  /** Makes the node of a name before anybody asks for it: of an entry of the tree, or of another. */
  restore(entry: TreeEntry, isInPlace: boolean): BranchNode {
    const node = this.kept(entry, this.inode.context.inos.next(), this.seenTime);
    if (node instanceof BranchDirectory) node.isInPlace = isInPlace;
    this.names.children.set(entry.name, node);
    return node;
  }

  kept({ name, mode, oid }: TreeEntry, ino: Ino, seenTime: Timespec): BranchNode {
    const inode = new Inode(this.inode.context, ino, seenTime);
    inode.addLink(this, name);
    if (isTreeMode(mode)) return new BranchDirectory(inode, oid, this.seenTime, true);
    if (isGitlinkMode(mode)) return new BranchSubmodule(inode, { mode, oid });
    if (isSymlinkMode(mode)) return new BranchSymlink(inode, { mode, oid });
    return new BranchFile(inode, { mode, oid });
  }

  readonly clean = (row: CleanRow, index: number, isLink: boolean): CleanFile | CleanSymlink =>
    isLink ? new CleanSymlink(this, row, index) : new CleanFile(this, row, index);
}
