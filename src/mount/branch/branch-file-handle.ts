import { ErrnoError } from '../vfs/errno.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { MaybePromise } from '../vfs/operations.ts';
import type { FileHandle, StoredContent } from '../vfs/vnode.ts';
import type { BranchFile } from './branch-file.ts';
import type { WriteBuffer } from './write-buffer.ts';

/** `FALLOC_FL_*` in linux/falloc.h. */
const keepSize = 0x01;
const punchHole = 0x02;
const zeroRange = 0x10;

/** The answer's count has 32 bits, and what follows must begin at a page. */
const copyLimitBytes = 0x7fff_f000;

/** An open file of a branch: all handles of a file show one content, the newest. */
export class BranchFileHandle implements FileHandle {
  readonly #file: BranchFile;
  readonly #isWriter: boolean;
  readonly firstContent: (() => Uint8Array | undefined) | undefined;

  constructor(file: BranchFile, isWriter: boolean, firstContent?: () => Uint8Array | undefined) {
    this.#file = file;
    this.#isWriter = isWriter;
    this.firstContent = firstContent;
  }

  /** What changes from outside is told to the kernel, or happens to another inode. */
  get keepCache(): boolean {
    return true;
  }

  get isShared(): boolean {
    return this.#file.isShared;
  }

  get timesOpened(): number {
    return this.#file.timesOpened;
  }

  get noFlush(): boolean {
    return !this.#isWriter;
  }

  stored(): StoredContent | undefined {
    return this.#file.storedContent();
  }

  read(offset: number, sizeBytes: number, lend?: () => Buffer): MaybePromise<Uint8Array> {
    return this.#file.readContent(offset, sizeBytes, lend);
  }

  write(offset: number, data: Buffer, appends = false): MaybePromise<number> {
    this.#requireWriter();
    const { length } = data;
    return this.#file.changeContent(
      (buffer, lent) =>
        whenReady(
          appends ? this.#append(buffer, lent, offset) : buffer.write(offset, lent),
          () => length,
        ),
      data,
    );
  }

  /**
   * The kernel does not ask where a file ends before it appends to it, and perhaps has not heard yet that others
   * have committed another content, or have truncated it, or that this one was lost with a daemon.
   */
  #append(buffer: WriteBuffer, data: Buffer, kernelsEnd: number): MaybePromise<void> {
    return whenReady(buffer.writeAtEnd(data), (end) => {
      const { ino, inode } = this.#file;
      if (end !== kernelsEnd) inode.context.notifier.invalidateInode(ino);
    });
  }

  copyStored(
    source: StoredContent,
    offset: number,
    toOffset: number,
    lengthBytes: number,
  ): MaybePromise<number | undefined> {
    this.#requireWriter();
    const length = Math.min(lengthBytes, source.sizeBytes - offset, copyLimitBytes);
    if (length <= 0) return 0;
    return whenReady(this.#file.append(source, offset, toOffset, length), (done) =>
      done ? length : undefined,
    );
  }

  /** Stores the content, and passes on an error that a commit has met since the last close. */
  flush(): MaybePromise<void> {
    if (!this.#isWriter) return;
    return whenReady(this.#file.store(), () => {
      for (const { parent } of this.#file.inode.links) parent.branch?.throwCommitError();
    });
  }

  async fsync(_datasync: boolean): Promise<void> {
    await this.#file.store({ isAwaited: true });
    for (const { parent, name } of this.#file.inode.links) await parent.syncName(name);
  }

  release(): MaybePromise<void> {
    return this.#file.released(this.#isWriter);
  }

  async abandon(): Promise<void> {
    await this.#file.leaveUnfinished();
    await this.release();
  }

  fallocate(offset: number, length: number, mode: number): MaybePromise<void> {
    this.#requireWriter();
    const end = offset + length;
    switch (mode) {
      case 0:
        return this.#file.changeContent((buffer) => buffer.extend(end));
      case keepSize:
        // Room cannot be set aside: what is written is hashed and deflated first.
        return;
      case punchHole | keepSize:
      case zeroRange | keepSize:
        return this.#file.changeContent((buffer) => buffer.punch(offset, length));
      case zeroRange:
        return this.#file.changeContent((buffer) =>
          whenReady(buffer.punch(offset, length), () => buffer.extend(end)),
        );
      default:
        throw new ErrnoError('EOPNOTSUPP');
    }
  }

  lseek(offset: number, whence: number): MaybePromise<number> {
    return this.#file.seek(offset, whence);
  }

  #requireWriter(): void {
    if (!this.#isWriter) throw new ErrnoError('EBADF');
  }
}
