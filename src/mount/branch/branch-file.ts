import { constants } from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import { canonicalMode, modeBlob, modeExecutable } from '../../git/mode.ts';
import type { FileMode } from '../../git/mode.ts';
import type { StoreOptions } from '../../git/odb/object-storer.ts';
import type { Oid } from '../../git/oid.ts';
import type { PlacedObject } from '../../snapshot/tree-edit.ts';
import { blobSize, readBlob } from '../snapshot-files.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { undoOnFailure, whenReady } from '../vfs/maybe-promise.ts';
import type { Attr, AttrChange, Caller, Ino, MaybePromise, Timespec } from '../vfs/operations.ts';
import { FileVnode } from '../vfs/vnode.ts';
import type { CacheRule, FileHandle, NodePlace, StoredContent } from '../vfs/vnode.ts';
import { BranchFileHandle } from './branch-file-handle.ts';
import { branchCache, branchXattr, branchXattrNames, xattrSource } from './branch-node.ts';
import type { HeldContent } from './content-store.ts';
import type { Inode } from './inode.ts';
import { OutsideNotes } from './outside-notes.ts';
import { WriteBuffer } from './write-buffer.ts';

const ownerExecutes = 0o100;
const blockSizeBytes = 512;
/** What the kernel asks for at once: it reads no further ahead at first. */
const firstContentLimitBytes = 128 * 1024;
/** `SEEK_*` in unistd.h; the kernel answers the others itself. */
const seekData = 3;
const seekHole = 4;

/**
 * A regular file of a branch. `stored` is what a commit takes of it: the content of its last close
 * or fsync. While somebody writes, a buffer holds what is newer; everybody on the mount reads that.
 *
 * A version of the buffer is hashed at a time, with changes held out (`WriteBuffer.hold`), so what
 * becomes `stored` is never a mixture of two versions. The buffer goes when all of it is stored and
 * nobody can write any more; until then it stays, whatever fails, so a full disk loses nothing.
 */
export class BranchFile extends FileVnode {
  readonly inode: Inode;
  #stored: PlacedObject | null;
  /** The size of `stored`; read when it is first asked for. */
  #sizeBytes: number | undefined;
  #buffer: WriteBuffer | undefined;
  /** The version of the buffer that `stored` holds. */
  #storedVersion = -1;
  /** The content of `stored`, as long as no commit has it. */
  #held: HeldContent | undefined;
  /** What the buffer is made of. */
  #bufferHolds: HeldContent[] | undefined;
  #writers = 0;
  #handles = 0;
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
    this.#stored = stored;
    this.#held = held;
    if (stored === null) this.#buffer = new WriteBuffer(inode.context.writing, undefined);
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
    return this.#stored ?? undefined;
  }

  /** Holds content that no commit could take yet. */
  get isDirty(): boolean {
    return this.#buffer !== undefined && this.#buffer.version !== this.#storedVersion;
  }

  get isOpen(): boolean {
    return this.#handles > 0;
  }

  /** Open more than once. */
  get isShared(): boolean {
    return this.#handles > 1;
  }

  /** Somebody may write, or has written what could not be stored so far. */
  get isBeingWritten(): boolean {
    return this.#writers > 0 || this.isDirty;
  }

  /** Bytes that are staged or waiting to be; for the status. */
  get knownSizeBytes(): number {
    return this.#buffer?.sizeBytes ?? this.#sizeBytes ?? 0;
  }

  /** Nothing is lost when this node is made again from the tree. */
  get isDisposable(): boolean {
    return this.references === 0 && this.inode.isPristine && this.#buffer === undefined;
  }

  getattr(): MaybePromise<Attr> {
    const { inode } = this;
    const mode = canonicalMode(this.#stored?.mode ?? modeBlob);
    const nlink = inode.links.length;
    const buffer = this.#buffer;
    if (buffer !== undefined) {
      const { sizeBytes } = buffer;
      const allocatedBytes = Math.min(sizeBytes, buffer.allocatedBytes);
      const blocks = Math.ceil(allocatedBytes / blockSizeBytes);
      return inode.attr({ mode, nlink, sizeBytes, blocks });
    }
    return whenReady(this.#size(), (sizeBytes) =>
      inode.attr({ mode, nlink, sizeBytes, blocks: Math.ceil(sizeBytes / blockSizeBytes) }),
    );
  }

  override setattr(change: AttrChange, _caller: Caller, handle?: FileHandle): MaybePromise<Attr> {
    this.requireWritable();
    const { size, mode } = change;
    if (size !== undefined && handle === undefined) this.#requireName();
    return whenReady(size === undefined ? undefined : this.truncate(size), () => {
      // Truncating sets the times that the caller may be setting too, so it comes first.
      this.inode.setAttr(change);
      if (mode !== undefined) this.#setExecutable((mode & ownerExecutes) !== 0);
      return this.getattr();
    });
  }

  override listxattr(): readonly ByteString[] {
    return branchXattrNames;
  }

  override getxattr(name: ByteString): Uint8Array {
    const source = xattrSource(this.inode, this.#stored?.oid);
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
      () => whenReady(truncates ? this.truncate(0) : this.#size(), () => handle),
      () => handle.release(),
    );
  }

  /** Opens a file that the kernel has read nothing of so far. */
  openFirst(): FileHandle {
    if (this.isOpen || this.#buffer !== undefined) return this.#newHandle(false);
    this.#opened();
    return new BranchFileHandle(this, false, () => this.#smallContent());
  }

  /** Opens a file that is being made. */
  openNew(flags: number): FileHandle {
    return this.#newHandle((flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0);
  }

  override forgotten(): void {
    const { links } = this.inode;
    if (links.length === 0) this.lost();
    for (const { parent, name } of links) parent.dropIfDisposable(name, this);
  }

  /** It has no name and nobody refers to it: nothing will be asked of it again. */
  lost(): void {
    this.#closeBuffer();
    this.#hold(undefined);
  }

  /** The blob that this file is at the moment, if it is one. */
  storedContent(): StoredContent | undefined {
    if (this.isDirty || this.#stored === null) return undefined;
    const content = this.#content();
    // The size is in memory as a rule; to wait for the disk would not be worth it.
    return content instanceof Promise ? undefined : content;
  }

  readContent(offset: number, lengthBytes: number, into?: Buffer): MaybePromise<Uint8Array> {
    if (this.#buffer !== undefined) return this.#buffer.read(offset, lengthBytes, into);
    const { odb } = this.inode.context;
    return whenReady(this.#content(), (stored) => readBlob(odb, stored, offset, lengthBytes, into));
  }

  /** Runs a change of the content and notes its time. `lent` is only valid until this returns. */
  changeContent<T>(
    change: (buffer: WriteBuffer, lent: Buffer) => MaybePromise<T>,
    lent: Buffer = noBytes,
  ): MaybePromise<T> {
    this.requireWritable();
    const buffer = this.#beginBuffer();
    if (buffer instanceof Promise) {
      const own = Buffer.from(lent);
      return buffer.then((begun) => this.#changed(change(begun, own)));
    }
    return this.#changed(change(buffer, lent));
  }

  /** Puts a part of a blob behind the end of the content; false when it takes moving the bytes. */
  append(
    blob: StoredContent,
    blobOffset: number,
    offset: number,
    lengthBytes: number,
  ): MaybePromise<boolean> {
    // One blob is copied in many parts, as a rule.
    if (this.#bufferHolds?.at(-1)?.oid !== blob.oid) this.#holdForBuffer(blob);
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
    const buffer = this.#buffer;
    return whenReady(this.#size(), (sizeBytes) => {
      if (whence !== seekData && whence !== seekHole) throw new ErrnoError('EINVAL');
      if (offset >= sizeBytes) throw new ErrnoError('ENXIO');
      if (whence === seekHole) return buffer === undefined ? sizeBytes : buffer.nextHole(offset);
      const data = buffer === undefined ? offset : buffer.nextData(offset);
      if (data === undefined) throw new ErrnoError('ENXIO');
      return data;
    });
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
    const buffer = this.#buffer;
    if (buffer === undefined || !this.isDirty) return;
    this.requireWritable();
    return buffer.hold((content) => {
      const { version, sizeBytes } = buffer;
      if (version === this.#storedVersion) return;
      const { contents } = this.inode.context;
      return whenReady(contents.store(content, sizeBytes, options), (held) => {
        this.#contentStored(held, version, sizeBytes);
      });
    });
  }

  #contentStored(held: HeldContent, version: number, sizeBytes: number): void {
    const { contents } = this.inode.context;
    // Others may have deleted the branch meanwhile, and what was staged then is saved without this.
    try {
      this.requireWritable();
    } catch (error) {
      contents.drop(held);
      throw error;
    }
    // What a commit has already is not kept.
    const isCommitted = this.#held === undefined && this.#stored?.oid === held.oid;
    if (isCommitted) contents.drop(held);
    else this.#hold(held);
    this.#storedVersion = version;
    this.#sizeBytes = sizeBytes;
    this.#place({ mode: this.#stored?.mode ?? this.#newMode(), oid: held.oid });
  }

  /** A handle was closed. Nobody waits for the answer, so what fails is told to the branch alone. */
  released(wasWriter: boolean): MaybePromise<void> {
    this.#closed();
    if (!wasWriter) {
      this.#forgetIfClean();
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
    if (this.#buffer !== undefined || this.#held !== undefined || !this.outside.isEmpty) return;
    const { names } = link.parent;
    if (!names.pending.has(link.name)) names.makeClean(link.name, this);
  }

  /** Tries again what failed when the file was closed; what fails again is told to the branch again. */
  async storeAgain(): Promise<void> {
    if (this.#writers === 0) await this.#settle();
  }

  /** Shows what a commit from outside put in its place. Nobody may have it open. */
  replace(object: PlacedObject, time: Timespec): void {
    this.#closeBuffer();
    this.#hold(undefined);
    this.#stored = object;
    this.#sizeBytes = undefined;
    this.inode.replaced(time);
  }

  /**
   * Stages the content that is open, and what its buffer is made of, for others have taken commits back:
   * when no ref leads to it any more, `git gc` may prune it. What the branch has is left where it is.
   */
  async keepContent(): Promise<void> {
    const oids = new Set(this.#bufferHolds?.map(({ oid }) => oid));
    if (this.#stored !== null) oids.add(this.#stored.oid);
    for (const oid of oids) if (!this.#isInTip(oid)) await this.#keep(oid);
  }

  #isInTip(oid: Oid): boolean {
    return this.inode.links.some(
      ({ parent, name }) => parent.isInTip && parent.names.storedIfCached(name)?.oid === oid,
    );
  }

  async #keep(oid: Oid): Promise<void> {
    const { contents } = this.inode.context;
    const held = await contents.keep(oid);
    if (this.#bufferHolds?.some((one) => one.oid === oid) === true) this.#bufferHolds.push(held);
    else if (this.isOpen && this.#stored?.oid === oid) this.#hold(held);
    else contents.drop(held);
  }

  /** ESTALE when the branch is gone. */
  requireWritable(): void {
    for (const { parent } of this.inode.links) parent.branch?.requireWritable();
  }

  /** ESTALE when the kernel does not know yet that the name leads elsewhere: it looks again then. */
  #requireName(): void {
    if (this.isTakenAway && this.inode.links.length === 0) throw new ErrnoError('ESTALE');
  }

  /** The whole content, when it is small, and in memory. */
  #smallContent(): Uint8Array | undefined {
    const content = this.storedContent();
    if (content === undefined || content.sizeBytes > firstContentLimitBytes) return undefined;
    return this.inode.context.odb.readIfCached(content.oid)?.data;
  }

  #opened(): void {
    this.#handles += 1;
    this.inode.context.referred.openFiles.add(this);
  }

  #closed(): void {
    this.#handles -= 1;
    this.#forgetIfUnused();
  }

  #forgetIfUnused(): void {
    if (this.isOpen || this.#buffer !== undefined) return;
    this.inode.context.referred.openFiles.delete(this);
  }

  #newHandle(isWriter: boolean): FileHandle {
    this.#opened();
    if (isWriter) this.#writers += 1;
    return new BranchFileHandle(this, isWriter);
  }

  #size(): MaybePromise<number> {
    if (this.#buffer !== undefined) return this.#buffer.sizeBytes;
    return this.#sizeBytes ?? whenReady(this.#content(), ({ sizeBytes }) => sizeBytes);
  }

  /** What is stored, with its size. */
  #content(): MaybePromise<StoredContent> {
    const stored = this.#stored;
    if (stored === null) throw new Error('a file that was never closed has lost its buffer');
    const { oid } = stored;
    if (this.#sizeBytes !== undefined) return { oid, sizeBytes: this.#sizeBytes };
    return whenReady(blobSize(this.inode.context.odb, oid), (sizeBytes) => {
      if (this.#stored?.oid === oid) this.#sizeBytes = sizeBytes;
      return { oid, sizeBytes };
    });
  }

  #beginBuffer(): MaybePromise<WriteBuffer> {
    if (this.#buffer !== undefined) return this.#buffer;
    return whenReady(this.#content(), (content) => {
      if (this.#buffer === undefined) {
        this.#buffer = new WriteBuffer(this.inode.context.writing, content);
        this.#holdForBuffer(content);
        this.#storedVersion = this.#buffer.version;
      }
      return this.#buffer;
    });
  }

  #changed<T>(done: MaybePromise<T>): MaybePromise<T> {
    return whenReady(done, (result) => {
      this.inode.modified();
      return result;
    });
  }

  #hold(held: HeldContent | undefined): void {
    const before = this.#held;
    this.#held = held;
    if (before !== undefined) this.inode.context.contents.drop(before);
  }

  #holdForBuffer({ oid }: StoredContent): void {
    this.#bufferHolds ??= [];
    this.#bufferHolds.push(this.inode.context.contents.hold(oid));
  }

  #newMode(): FileMode {
    return ((this.inode.permissions ?? 0) & ownerExecutes) === 0 ? modeBlob : modeExecutable;
  }

  #setExecutable(isExecutable: boolean): void {
    const stored = this.#stored;
    if (stored === null || (canonicalMode(stored.mode) === modeExecutable) === isExecutable) return;
    this.#place({ mode: isExecutable ? modeExecutable : modeBlob, oid: stored.oid });
  }

  #place(object: PlacedObject): void {
    const before = this.#stored;
    this.#stored = object;
    if (before?.oid === object.oid && before.mode === object.mode) return;
    for (const { parent, name } of this.inode.links) {
      parent.markPending(name);
      if (this.outside.take(parent, name) !== undefined) parent.recordConflict(name);
    }
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
      throw error;
    }
    this.#writersGone();
  }

  #writersGone(): void {
    if (this.#writers > 0) return;
    // An unlinked file that is still read keeps its content until it is forgotten.
    if (!this.isDirty) this.#closeBuffer();
    for (const { parent, name } of this.inode.links) parent.writersGone(name, this);
  }

  #closeBuffer(): void {
    const closed = this.#buffer?.close();
    this.#buffer = undefined;
    this.#forgetIfUnused();
    for (const held of this.#bufferHolds ?? []) this.inode.context.contents.drop(held);
    this.#bufferHolds = undefined;
    if (!(closed instanceof Promise)) return;
    closed.catch((error: unknown) => {
      this.inode.context.log.warn('spool-close-failed', { message: String(error) });
    });
  }
}

const noBytes: Buffer = Buffer.alloc(0);
