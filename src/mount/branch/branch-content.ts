import { canonicalMode, modeBlob, modeExecutable } from '../../git/mode.ts';
import type { FileMode } from '../../git/mode.ts';
import type { StoreOptions } from '../../git/odb/object-storer.ts';
import type { Oid } from '../../git/oid.ts';
import type { PlacedObject } from '../../snapshot/tree-edit.ts';
import { blobSize, readBlob } from '../snapshot-files.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { MaybePromise } from '../vfs/operations.ts';
import type { StoredContent } from '../vfs/vnode.ts';
import type { BranchContext } from './branch-context.ts';
import type { HeldContent } from './content-store.ts';
import { WriteBuffer } from './write-buffer.ts';

const blockSizeBytes = 512;
/** `SEEK_*` in unistd.h; the kernel answers the others itself. */
const seekData = 3;
const seekHole = 4;

/** The file whose content it is. */
export interface ContentOwner {
  /** The mode that content gets which is stored for the first time. */
  readonly newMode: FileMode;
  /** ESTALE when the branch is gone. */
  requireWritable(): void;
  /** A commit takes something else from now on. */
  placedAnew(): void;
}

/** How large a file is, as `stat` shows it. */
export interface Extent {
  readonly sizeBytes: number;
  /** In units of 512 bytes. */
  readonly blocks: number;
}

/**
 * The content of a file of a branch. `placed` is what a commit takes of it: the content of its last
 * close or fsync. While somebody writes, a buffer holds what is newer; everybody on the mount reads that.
 *
 * A version of the buffer is hashed at a time, with changes held out (`WriteBuffer.hold`), so what
 * becomes `placed` is never a mixture of two versions. The buffer goes when the file says so, which it
 * does when all of it is stored and nobody can write any more; until then it stays, whatever fails, so
 * a full disk loses nothing.
 */
export class BranchContent {
  readonly #context: BranchContext;
  readonly #owner: ContentOwner;
  #stored: PlacedObject | null;
  /** The size of `stored`; read when it is first asked for. */
  #sizeBytes: number | undefined;
  #buffer: WriteBuffer | undefined;
  /** The version of the buffer that `stored` holds. */
  #storedVersion = -1;
  /** The version of the buffer that was to be stored last, at a close or fsync. */
  #finishedVersion = -1;
  /** The content of `stored`, as long as no commit has it. */
  #held: HeldContent | undefined;
  /** What the buffer is made of. */
  #bufferHolds: HeldContent[] | undefined;

  /** With `null`, that of a new file, which no commit takes before it was closed once. */
  constructor(
    context: BranchContext,
    owner: ContentOwner,
    stored: PlacedObject | null,
    held?: HeldContent,
  ) {
    this.#context = context;
    this.#owner = owner;
    this.#stored = stored;
    this.#held = held;
    if (stored === null) this.#buffer = new WriteBuffer(context.writing, undefined);
  }

  /** What a commit takes; `undefined` as long as it must leave alone what it has under this name. */
  get placed(): PlacedObject | undefined {
    return this.#stored ?? undefined;
  }

  /** There is a buffer, with what was written or is about to be. */
  get isBuffered(): boolean {
    return this.#buffer !== undefined;
  }

  /** Holds content that no commit could take yet. */
  get isDirty(): boolean {
    return this.#buffer !== undefined && this.#buffer.version !== this.#storedVersion;
  }

  /** No commit has what is stored. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** The size as far as it is known without the disk, else 0; for the status. */
  get knownSizeBytes(): number {
    return this.#buffer?.sizeBytes ?? this.#sizeBytes ?? 0;
  }

  /** How large it is, and how much of it is no hole. */
  extent(): MaybePromise<Extent> {
    const buffer = this.#buffer;
    if (buffer === undefined) return whenReady(this.size(), (size) => extentOf(size, size));
    return extentOf(buffer.sizeBytes, buffer.allocatedBytes);
  }

  /** Its size in bytes. */
  size(): MaybePromise<number> {
    if (this.#buffer !== undefined) return this.#buffer.sizeBytes;
    return this.#sizeBytes ?? whenReady(this.#storedContent(), ({ sizeBytes }) => sizeBytes);
  }

  /** The blob that this content is at the moment, if it is one. */
  asBlob(): StoredContent | undefined {
    if (this.isDirty || this.#stored === null) return undefined;
    const content = this.#storedContent();
    // The size is in memory as a rule; to wait for the disk would not be worth it.
    return content instanceof Promise ? undefined : content;
  }

  /** All of it, when it is a blob of at most so many bytes that is in memory. */
  smallBytes(limitBytes: number): Uint8Array | undefined {
    const content = this.asBlob();
    if (content === undefined || content.sizeBytes > limitBytes) return undefined;
    return this.#context.odb.readIfCached(content.oid)?.data;
  }

  /** See `WriteBuffer.read`. */
  read(offset: number, lengthBytes: number, lend?: () => Buffer): MaybePromise<Uint8Array> {
    if (this.#buffer !== undefined) return this.#buffer.read(offset, lengthBytes, lend);
    const { odb } = this.#context;
    return whenReady(this.#storedContent(), (stored) =>
      readBlob(odb, stored, offset, lengthBytes, lend),
    );
  }

  /** Runs a change. `lent` is only valid until this returns; what is handed on lasts as long as it takes. */
  change<T>(
    change: (buffer: WriteBuffer, lent: Buffer) => MaybePromise<T>,
    lent: Buffer,
  ): MaybePromise<T> {
    const buffer = this.#beginBuffer();
    if (!(buffer instanceof Promise)) return change(buffer, lent);
    const own = Buffer.from(lent);
    return buffer.then((begun) => change(begun, own));
  }

  /** A blob is about to become a part of the buffer. */
  willHold(blob: StoredContent): void {
    // One blob is copied in many parts, as a rule.
    if (this.#bufferHolds?.at(-1)?.oid !== blob.oid) this.#holdForBuffer(blob);
  }

  /** lseek(2) with SEEK_DATA or SEEK_HOLE. */
  seek(offset: number, whence: number): MaybePromise<number> {
    const buffer = this.#buffer;
    return whenReady(this.size(), (sizeBytes) => {
      if (whence !== seekData && whence !== seekHole) throw new ErrnoError('EINVAL');
      if (offset >= sizeBytes) throw new ErrnoError('ENXIO');
      if (whence === seekHole) return buffer === undefined ? sizeBytes : buffer.nextHole(offset);
      const data = buffer === undefined ? offset : buffer.nextData(offset);
      if (data === undefined) throw new ErrnoError('ENXIO');
      return data;
    });
  }

  /** Hashes and stores the content as it is, so that the next commit takes it. */
  store(options?: StoreOptions): MaybePromise<void> {
    const buffer = this.#buffer;
    if (buffer === undefined || !this.isDirty) return;
    this.#owner.requireWritable();
    return buffer.hold((content) => {
      const { version, sizeBytes } = buffer;
      this.#finishedVersion = version;
      if (version === this.#storedVersion) return;
      return whenReady(this.#context.contents.store(content, sizeBytes, options), (held) => {
        this.#wasStored(held, version, sizeBytes);
      });
    });
  }

  #wasStored(held: HeldContent, version: number, sizeBytes: number): void {
    const { contents } = this.#context;
    // Others may have deleted the branch meanwhile, and what was staged then is saved without this.
    try {
      this.#owner.requireWritable();
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
    this.#place({ mode: this.#stored?.mode ?? this.#owner.newMode, oid: held.oid });
  }

  /** Changes the mode that a commit takes. */
  setExecutable(isExecutable: boolean): void {
    const stored = this.#stored;
    if (stored === null || (canonicalMode(stored.mode) === modeExecutable) === isExecutable) return;
    this.#place({ mode: isExecutable ? modeExecutable : modeBlob, oid: stored.oid });
  }

  /** Lets go of what was written, and becomes what a commit from outside put in its place. */
  replace(object: PlacedObject): void {
    this.lose();
    this.#stored = object;
    this.#sizeBytes = undefined;
  }

  /** Nobody will ask for it any more. */
  lose(): void {
    this.closeBuffer();
    this.#hold(undefined);
  }

  /** Lets go of the buffer. */
  closeBuffer(): void {
    const { log, contents } = this.#context;
    const closed = this.#buffer?.close();
    this.#buffer = undefined;
    for (const held of this.#bufferHolds ?? []) contents.drop(held);
    this.#bufferHolds = undefined;
    if (!(closed instanceof Promise)) return;
    closed.catch((error: unknown) => {
      log.warn('spool-close-failed', { message: String(error) });
    });
  }

  /** Lets go of what was written since the last close or fsync, once what was asked for by now is done. */
  async leaveUnfinished(): Promise<void> {
    const buffer = this.#buffer;
    await buffer?.turn();
    if (buffer === undefined || buffer !== this.#buffer) return;
    if (this.isDirty && buffer.version !== this.#finishedVersion) this.closeBuffer();
  }

  /** The blobs that it is made of, or is when it is a blob. */
  blobs(): Set<Oid> {
    const oids = new Set(this.#bufferHolds?.map(({ oid }) => oid));
    if (this.#stored !== null) oids.add(this.#stored.oid);
    return oids;
  }

  /** Stages one of `blobs`, unless it is none any more, or `isWanted` says then that nobody needs it. */
  async keep(oid: Oid, isWanted: () => boolean): Promise<void> {
    const { contents } = this.#context;
    const held = await contents.keep(oid);
    if (this.#bufferHolds?.some((one) => one.oid === oid) === true) this.#bufferHolds.push(held);
    else if (isWanted() && this.#stored?.oid === oid) this.#hold(held);
    else contents.drop(held);
  }

  /** What is stored, with its size. ESTALE when nothing was before the branch was gone. */
  #storedContent(): MaybePromise<StoredContent> {
    const stored = this.#stored;
    if (stored === null) {
      this.#owner.requireWritable();
      throw new Error('a file that was never closed has lost its buffer');
    }
    const { oid } = stored;
    if (this.#sizeBytes !== undefined) return { oid, sizeBytes: this.#sizeBytes };
    return whenReady(blobSize(this.#context.odb, oid), (sizeBytes) => {
      if (this.#stored?.oid === oid) this.#sizeBytes = sizeBytes;
      return { oid, sizeBytes };
    });
  }

  #beginBuffer(): MaybePromise<WriteBuffer> {
    if (this.#buffer !== undefined) return this.#buffer;
    return whenReady(this.#storedContent(), (content) => {
      if (this.#buffer === undefined) {
        this.#buffer = new WriteBuffer(this.#context.writing, content);
        this.#holdForBuffer(content);
        this.#storedVersion = this.#buffer.version;
        this.#finishedVersion = this.#buffer.version;
      }
      return this.#buffer;
    });
  }

  #hold(held: HeldContent | undefined): void {
    const before = this.#held;
    this.#held = held;
    if (before !== undefined) this.#context.contents.drop(before);
  }

  #holdForBuffer({ oid }: StoredContent): void {
    this.#bufferHolds ??= [];
    this.#bufferHolds.push(this.#context.contents.hold(oid));
  }

  #place(object: PlacedObject): void {
    const before = this.#stored;
    this.#stored = object;
    if (before?.oid !== object.oid || before.mode !== object.mode) this.#owner.placedAnew();
  }
}

function extentOf(sizeBytes: number, allocatedBytes: number): Extent {
  const blocks = Math.ceil(Math.min(sizeBytes, allocatedBytes) / blockSizeBytes);
  return { sizeBytes, blocks };
}
