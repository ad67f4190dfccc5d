import { constants } from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import { canonicalMode, modeBlob, modeExecutable } from '../../git/mode.ts';
import type { FileMode } from '../../git/mode.ts';
import type { StoreOptions } from '../../git/odb/object-storer.ts';
import type { Oid } from '../../git/oid.ts';
import type { PlacedObject } from '../../snapshot/tree-edit.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { undoOnFailure, whenReady } from '../vfs/maybe-promise.ts';
import type { Attr, AttrChange, Caller, Ino, MaybePromise, Timespec } from '../vfs/operations.ts';
import { FileVnode } from '../vfs/vnode.ts';
import type { CacheRule, FileHandle, NodePlace, StoredContent } from '../vfs/vnode.ts';
import { BranchContent } from './branch-content.ts';
import type { ContentOwner } from './branch-content.ts';
import { BranchFileHandle } from './branch-file-handle.ts';
import { branchCache, branchXattr, branchXattrNames, xattrSource } from './branch-node.ts';
import type { HeldContent } from './content-store.ts';
import type { Inode } from './inode.ts';
import { OutsideNotes } from './outside-notes.ts';
import type { WriteBuffer } from './write-buffer.ts';

const ownerExecutes = 0o100;
/** What the kernel asks for at once: it reads no further ahead at first. */
const firstContentLimitBytes = 128 * 1024;

/**
 * A regular file of a branch: its content (`BranchContent`) under its names, for those who have it open. A
 * writer's last close lets go of what is buffered, once all of it is stored.
 */
export class BranchFile extends FileVnode implements ContentOwner {
  readonly inode: Inode;
  readonly #content: BranchContent;
  #writers = 0;
  #handles = 0;
  #timesOpened = 0;
  /** It was made without a name, and a link may give it the first one. */
  isLinkable = false;
  /** Others have taken its last name away, so nothing that is written to it from now on would be found. */
  isTakenAway = false;
  readonly outside: OutsideNotes;

  /** A file of the branch's tree, or with `null` a new one, which no commit takes before it was closed once. */
  constructor(inode: Inode, stored: PlacedObject | null, held?: HeldContent) {
    super();
    this.inode = inode;
    this.outside = new OutsideNotes(inode);
    this.#content = new BranchContent(inode.context, this, stored, held);
  }

  get ino(): Ino {
    return this.inode.ino;
  }

  /** Of `S_IF*`. */
  get type(): number {
    return constants.S_IFREG;
  }

  get cache(): CacheRule {
    return branchCache;
  }

  override place(): NodePlace | undefined {
    const [link] = this.inode.links;
    return link && { parent: link.parent.ino, name: link.name };
  }

  /** What a commit takes; `undefined` as long as it must leave alone what it has under this name. */
  get placed(): PlacedObject | undefined {
    return this.#content.placed;
  }

  /** Holds content that no commit could take yet. */
  get isDirty(): boolean {
    return this.#content.isDirty;
  }

  get isOpen(): boolean {
    return this.#handles > 0;
  }

  /** Open more than once. */
  get isShared(): boolean {
    return this.#handles > 1;
  }

  /** How often it was opened since this node was made. */
  get timesOpened(): number {
    return this.#timesOpened;
  }

  /** Somebody may write, or has written what could not be stored so far. */
  get isBeingWritten(): boolean {
    return this.#writers > 0 || this.isDirty;
  }

  /** Bytes that are staged or waiting to be; for the status. */
  get knownSizeBytes(): number {
    return this.#content.knownSizeBytes;
  }

  /** Nothing is lost when this node is made again from the tree. */
  get isDisposable(): boolean {
    return this.references === 0 && this.inode.isPristine && !this.#content.isBuffered;
  }

  getattr(): MaybePromise<Attr> {
    const { inode } = this;
    const mode = canonicalMode(this.placed?.mode ?? modeBlob);
    const nlink = inode.links.length;
    return whenReady(this.#content.extent(), ({ sizeBytes, blocks }) =>
      inode.attr({ mode, nlink, sizeBytes, blocks }),
    );
  }

  override setattr(change: AttrChange, _caller: Caller, handle?: FileHandle): MaybePromise<Attr> {
    this.requireWritable();
    const { size, mode } = change;
    if (size !== undefined && handle === undefined) this.#requireName();
    return whenReady(size === undefined ? undefined : this.truncate(size), () => {
      // Truncating sets the times that the caller may be setting too, so it comes first.
      this.inode.setAttr(change);
      if (mode !== undefined) this.#content.setExecutable((mode & ownerExecutes) !== 0);
      return this.getattr();
    });
  }

  override listxattr(): readonly ByteString[] {
    return branchXattrNames;
  }

  override getxattr(name: ByteString): Uint8Array {
    const source = xattrSource(this.inode, this.placed?.oid);
    return branchXattr(name, this.isDirty ? { ...source, state: 'dirty' } : source);
  }

  open(flags: number, _caller: Caller): MaybePromise<FileHandle> {
    const isWriter = (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
    const truncates = (flags & constants.O_TRUNC) !== 0;
    if (!isWriter && !truncates) return this.#newHandle(false);
    this.requireWritable();
    this.#requireName();
    // A writer is counted before the content goes, or another one's last close would store the void.
    const handle = this.#newHandle(isWriter);
    return undoOnFailure(
      // The size is asked for now, so that no write has to wait for it.
      () => whenReady(truncates ? this.truncate(0) : this.#content.size(), () => handle),
      () => handle.release(),
    );
  }

  /** Opens a file that the kernel has read nothing of so far. */
  openFirst(): FileHandle {
    if (this.isOpen || this.#content.isBuffered) return this.#newHandle(false);
    this.#opened();
    return new BranchFileHandle(this, false, () =>
      this.#content.smallBytes(firstContentLimitBytes),
    );
  }

  /** Opens a file that is being made: to write it, even if it stays empty, for its first close stores it. */
  openNew(): FileHandle {
    return this.#newHandle(true);
  }

  override forgotten(): void {
    const { links } = this.inode;
    if (links.length === 0) this.lost();
    for (const { parent, name } of links) parent.dropIfDisposable(name, this);
  }

  /** It has no name and nobody refers to it: nothing will be asked of it again. */
  lost(): void {
    this.#content.lose();
    this.#forgetIfUnused();
  }

  /** The blob that this file is at the moment, if it is one. */
  storedContent(): StoredContent | undefined {
    return this.#content.asBlob();
  }

  readContent(offset: number, lengthBytes: number, lend?: () => Buffer): MaybePromise<Uint8Array> {
    return this.#content.read(offset, lengthBytes, lend);
  }

  /** Runs a change of the content and notes its time. `lent` is only valid until this returns. */
  changeContent<T>(
    change: (buffer: WriteBuffer, lent: Buffer) => MaybePromise<T>,
    lent: Buffer = noBytes,
  ): MaybePromise<T> {
    this.requireWritable();
    return whenReady(this.#content.change(change, lent), (result) => {
      this.inode.modified();
      return result;
    });
  }

  /** Puts a part of a blob behind the end of the content; false when it takes moving the bytes. */
  append(
    blob: StoredContent,
    blobOffset: number,
    offset: number,
    lengthBytes: number,
  ): MaybePromise<boolean> {
    this.#content.willHold(blob);
    return this.changeContent((buffer) => buffer.append(blob, blobOffset, offset, lengthBytes));
  }

  /** Without a writer, whose close would do it, the content is stored at once. */
  truncate(size: number): MaybePromise<void> {
    // A writer itself as long as it lasts, or a last close would take the buffer away from it.
    this.#writers += 1;
    const ended = (): MaybePromise<void> => {
      this.#writers -= 1;
      return this.#writers === 0 ? this.#settle() : undefined;
    };
    return whenReady(
      this.whileKept(() =>
        undoOnFailure(() => this.changeContent((buffer) => buffer.truncate(size)), ended),
      ),
      ended,
    );
  }

  /** Does something that takes a while, and this node must not make way for a clean one meanwhile. */
  whileKept<T>(work: () => MaybePromise<T>): MaybePromise<T> {
    this.#opened();
    const ended = (): void => {
      this.#closed();
      this.#forgetIfClean();
    };
    return whenReady(undoOnFailure(work, ended), (result) => {
      ended();
      return result;
    });
  }

  /** lseek(2) with SEEK_DATA or SEEK_HOLE. */
  seek(offset: number, whence: number): MaybePromise<number> {
    return this.#content.seek(offset, whence);
  }

  /**
   * Hashes and stores the content as it is, so that the next commit takes it. A file without a name
   * is left alone: nobody will find it.
   */
  store(options?: StoreOptions): MaybePromise<void> {
    if (this.inode.links.length > 0) return this.storeNameless(options);
  }

  /** The same for a file that is about to get its first name. */
  storeNameless(options?: StoreOptions): MaybePromise<void> {
    return this.#content.store(options);
  }

  /** The mount has ended: goes back to the content of the last close or fsync, if somebody has written since. */
  leaveUnfinished(): Promise<void> {
    return this.#content.leaveUnfinished();
  }

  /** A handle was closed. Nobody waits for the answer, so what fails is told to the branch alone. */
  released(wasWriter: boolean): MaybePromise<void> {
    this.#closed();
    if (!wasWriter) {
      this.#forgetIfClean();
      this.#loseIfGone();
      return;
    }
    this.#writers -= 1;
    if (this.#writers > 0) return;
    // Flushed already, as a rule; but a shared mapping may have written since.
    const settled = this.#settle();
    return settled instanceof Promise ? settled.catch(() => undefined) : settled;
  }

  /** What was only read needs no node of its own any more, though the kernel still knows it. */
  #forgetIfClean(): void {
    const [link, other] = this.inode.links;
    if (link === undefined || other !== undefined || this.isOpen || !this.inode.isPristine) return;
    if (this.#content.isBuffered || this.#content.isHeld || !this.outside.isEmpty) return;
    const { names } = link.parent;
    if (!names.pending.has(link.name)) names.makeClean(link.name, this);
  }

  /** Tries again what failed when the file was closed; what fails again is told to the branch again. */
  async storeAgain(): Promise<void> {
    if (this.#writers === 0) await this.#settle();
  }

  /** Shows what a commit from outside put in its place. Nobody may have it open. */
  replace(object: PlacedObject, time: Timespec): void {
    this.#content.replace(object);
    this.#forgetIfUnused();
    this.inode.replaced(time);
    this.inode.setExecutable(canonicalMode(object.mode) === modeExecutable);
  }

  /** The file that others have put in the place of this one, which goes on elsewhere or is open. */
  successor(object: PlacedObject, time: Timespec): BranchFile {
    const inode = this.inode.successor(time);
    inode.setExecutable(canonicalMode(object.mode) === modeExecutable);
    return new BranchFile(inode, object);
  }

  /**
   * Stages the content that is open, and what its buffer is made of, for others have taken commits back:
   * when no ref leads to it any more, `git gc` may prune it. What the branch has is left where it is.
   */
  async keepContent(): Promise<void> {
    for (const oid of this.#content.blobs()) {
      if (!this.#isInTip(oid)) await this.#content.keep(oid, () => this.isOpen);
    }
  }

  #isInTip(oid: Oid): boolean {
    return this.inode.links.some(
      ({ parent, name }) => parent.isInTip && parent.names.storedIfCached(name)?.oid === oid,
    );
  }

  /** ESTALE when the branch is gone, or all that it has names in. */
  requireWritable(): void {
    if (!this.#isGone) return;
    for (const { parent } of this.inode.links) parent.branch?.requireWritable();
  }

  get newMode(): FileMode {
    return ((this.inode.permissions ?? 0) & ownerExecutes) === 0 ? modeBlob : modeExecutable;
  }

  placedAnew(): void {
    for (const { parent, name } of this.inode.links) {
      parent.markPending(name);
      if (this.outside.take(parent, name) !== undefined) parent.recordConflict(name);
    }
  }

  /** ESTALE when the kernel does not know yet that the name leads elsewhere: it looks again then. */
  #requireName(): void {
    if (this.isTakenAway && this.inode.links.length === 0) throw new ErrnoError('ESTALE');
  }

  #opened(): void {
    this.#handles += 1;
    this.#timesOpened += 1;
    this.inode.context.referred.openFiles.add(this);
  }

  #closed(): void {
    this.#handles -= 1;
    this.#forgetIfUnused();
  }

  #forgetIfUnused(): void {
    if (this.isOpen || this.#content.isBuffered) return;
    this.inode.context.referred.openFiles.delete(this);
  }

  #newHandle(isWriter: boolean): FileHandle {
    this.#opened();
    if (isWriter) this.#writers += 1;
    return new BranchFileHandle(this, isWriter);
  }

  /** Nobody writes any more: stores what is not stored, and lets go of the buffer. */
  #settle(): MaybePromise<void> {
    if (this.isDirty && this.inode.links.length > 0) return this.#storeAndSettle();
    this.#writersGone();
  }

  async #storeAndSettle(): Promise<void> {
    try {
      await this.store();
    } catch (error) {
      for (const { parent } of this.inode.links) parent.branch?.storeLater(this, error);
      this.#loseIfGone();
      throw error;
    }
    this.#writersGone();
  }

  /**
   * What it holds can be stored no more when others have deleted its branch: it is for those alone who have it
   * open, and goes with the last of them.
   */
  #loseIfGone(): void {
    if (this.isOpen || this.#writers > 0 || !this.isDirty || !this.#isGone) return;
    this.#content.closeBuffer();
    this.#forgetIfUnused();
    this.inode.context.notifier.invalidateInode(this.ino);
  }

  /** All of its names are in branches that are gone. */
  get #isGone(): boolean {
    const { links } = this.inode;
    return links.length > 0 && links.every(({ parent }) => parent.branch?.isGone === true);
  }

  #writersGone(): void {
    if (this.#writers > 0) return;
    // An unlinked file that is still read keeps its content until it is forgotten.
    if (!this.isDirty) {
      this.#content.closeBuffer();
      this.#forgetIfUnused();
    }
    for (const { parent, name } of this.inode.links) parent.writersGone(name, this);
  }
}

const noBytes: Buffer = Buffer.alloc(0);
