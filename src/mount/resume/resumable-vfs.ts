import { constants } from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import type { Log } from '../observe/log.ts';
import { errnoNameOf } from '../vfs/errno.ts';
import type { InodeTable } from '../vfs/inode-table.ts';
import { undoOnFailure, whenReady } from '../vfs/maybe-promise.ts';
import { renameExchange } from '../vfs/operations.ts';
import type {
  AttrChange,
  AttrReply,
  Caller,
  DirectorySink,
  EntryReply,
  Fh,
  Ino,
  KernelNotifier,
  MaybePromise,
  NewFile,
  OpenReply,
  StatfsReply,
  VfsOperations,
} from '../vfs/operations.ts';
import { FileVnode } from '../vfs/vnode.ts';
import type { NodePlace } from '../vfs/vnode.ts';
import { KernelHandles } from './kernel-handles.ts';
import { NodeNumbers } from './node-numbers.ts';
import { oidOf, reopen } from './reopen.ts';
import type { ResumeJournal } from './resume-journal.ts';

/**
 * The filesystem of a daemon that another one can go on for: tells a journal what that will have to
 * know, and answers for what the kernel knows from daemons before. What is asked is asked of the
 * filesystem behind it, under this daemon's own numbers.
 *
 * A handle through which content was written that was not made durable answers EIO for good once its
 * daemon is dead. A file that was only closed, not synced, may still have been committed; whoever
 * has it open for writing goes on when it holds the very content of that close.
 */
export class ResumableVfs implements VfsOperations {
  readonly #vfs: VfsOperations;
  readonly #inodes: InodeTable;
  readonly #journal: ResumeJournal;
  readonly #numbers: NodeNumbers;
  readonly #handles: KernelHandles;
  /** How often content was changed, so that a sync or close can tell whether it has all of it. */
  readonly #changes = new Map<Ino, number>();

  constructor(vfs: VfsOperations, inodes: InodeTable, journal: ResumeJournal) {
    this.#vfs = vfs;
    this.#inodes = inodes;
    this.#journal = journal;
    this.#numbers = new NodeNumbers(vfs, inodes, journal);
    this.#handles = new KernelHandles(journal.life);
  }

  notifier(target: KernelNotifier): KernelNotifier {
    return this.#numbers.notifier(target);
  }

  /** Opens again what is open in the kernel; tells of it in the log. Before any request is served. */
  resume(log: Log): Promise<void> {
    return reopen({
      ...{ vfs: this.#vfs, journal: this.#journal, numbers: this.#numbers, log },
      handles: this.#handles,
    });
  }

  lookup(parent: Ino, name: ByteString, caller: Caller): MaybePromise<EntryReply> {
    return this.#entry(parent, name, (ino) => this.#vfs.lookup(ino, name, caller));
  }

  forget(number: Ino, lookups: number): void {
    this.#numbers.forget(number, lookups);
  }

  getattr(number: Ino, _fh: Fh | undefined): MaybePromise<AttrReply> {
    return this.#attr(number, (ino) => this.#vfs.getattr(ino, undefined));
  }

  setattr(
    number: Ino,
    change: AttrChange,
    fh: Fh | undefined,
    caller: Caller,
  ): MaybePromise<AttrReply> {
    if (change.size !== undefined) this.#written(number);
    const handle = fh === undefined ? undefined : this.#handles.ours(fh);
    return this.#attr(number, (ino) => this.#vfs.setattr(ino, change, handle, caller));
  }

  readlink(number: Ino): MaybePromise<ByteString> {
    return whenReady(this.#numbers.ours(number), (ino) => this.#vfs.readlink(ino));
  }

  symlink(
    parent: Ino,
    name: ByteString,
    target: ByteString,
    caller: Caller,
  ): MaybePromise<EntryReply> {
    return this.#entry(parent, name, (ino) => this.#vfs.symlink(ino, name, target, caller));
  }

  mknod(
    parent: Ino,
    name: ByteString,
    mode: number,
    rdev: number,
    caller: Caller,
  ): MaybePromise<EntryReply> {
    return this.#entry(parent, name, (ino) => this.#vfs.mknod(ino, name, mode, rdev, caller));
  }

  mkdir(parent: Ino, name: ByteString, mode: number, caller: Caller): MaybePromise<EntryReply> {
    return this.#entry(parent, name, (ino) => this.#vfs.mkdir(ino, name, mode, caller));
  }

  unlink(parent: Ino, name: ByteString): MaybePromise<void> {
    return this.#remove(parent, name, (ino) => this.#vfs.unlink(ino, name));
  }

  rmdir(parent: Ino, name: ByteString): MaybePromise<void> {
    return this.#remove(parent, name, (ino) => this.#vfs.rmdir(ino, name));
  }

  rename(
    parent: Ino,
    name: ByteString,
    newParent: Ino,
    newName: ByteString,
    flags: number,
  ): MaybePromise<void> {
    return whenReady(this.#numbers.ours(parent), (from) =>
      whenReady(this.#numbers.ours(newParent), (to) =>
        whenReady(this.#vfs.rename(from, name, to, newName, flags), () => {
          const moved = this.#journal.nodeAt(parent, name);
          const replaced = this.#journal.nodeAt(newParent, newName);
          if (moved !== undefined) this.#moved(moved, { parent: newParent, name: newName });
          if (replaced === undefined) return;
          if (flags === renameExchange) this.#moved(replaced, { parent, name });
          else this.#journal.forget(replaced);
        }),
      ),
    );
  }

  link(number: Ino, newParent: Ino, newName: ByteString): MaybePromise<EntryReply> {
    return whenReady(this.#numbers.ours(number), (ino) =>
      whenReady(
        this.#entry(newParent, newName, (parent) => this.#vfs.link(ino, parent, newName)),
        (entry) => {
          const place = { parent: newParent, name: newName };
          if (this.#journal.isOpen(number)) this.#journal.place(number, place, false);
          return entry;
        },
      ),
    );
  }

  open(number: Ino, flags: number, caller: Caller): MaybePromise<OpenReply> {
    return whenReady(this.#numbers.ours(number), (ino) =>
      whenReady(this.#vfs.open(ino, flags, caller), (open) =>
        undoOnFailure(
          () =>
            whenReady(this.#placeOf(ino), (place) => {
              const reply = this.#opened(number, flags, open, place);
              if ((flags & constants.O_TRUNC) !== 0) this.#written(number);
              return reply;
            }),
          () => this.#notOpened(ino, open),
        ),
      ),
    );
  }

  create(
    parent: Ino,
    name: ByteString,
    mode: number,
    flags: number,
    caller: Caller,
  ): MaybePromise<NewFile> {
    const place = { parent, name };
    return this.#newFile(parent, place, flags, (ino) =>
      this.#vfs.create(ino, name, mode, flags, caller),
    );
  }

  tmpfile(parent: Ino, mode: number, flags: number, caller: Caller): MaybePromise<NewFile> {
    return this.#newFile(parent, undefined, flags, (ino) =>
      this.#vfs.tmpfile(ino, mode, flags, caller),
    );
  }

  read(
    number: Ino,
    fh: Fh | undefined,
    offset: number,
    size: number,
    lend?: () => Buffer,
  ): MaybePromise<Uint8Array> {
    return this.#vfs.read(number, this.#handles.oursIfAny(fh), offset, size, lend);
  }

  write(
    number: Ino,
    fh: Fh,
    offset: number,
    data: Buffer,
    appends?: boolean,
  ): MaybePromise<number> {
    const handle = this.#handles.ours(fh);
    this.#written(number);
    return this.#vfs.write(number, handle, offset, data, appends);
  }

  flush(number: Ino, fh: Fh | undefined): MaybePromise<void> {
    const changes = this.#changes.get(number);
    return whenReady(this.#vfs.flush(number, this.#handles.oursIfAny(fh)), () => {
      const isNew = this.#journal.unsynced(number) === 'written';
      return isNew ? this.#closedWith(number, changes) : undefined;
    });
  }

  fsync(number: Ino, fh: Fh | undefined, datasync: boolean): MaybePromise<void> {
    const changes = this.#changes.get(number);
    return whenReady(this.#vfs.fsync(number, this.#handles.oursIfAny(fh), datasync), () => {
      if (this.#changes.get(number) === changes) this.#journal.setUnsynced(number, undefined);
    });
  }

  isShared(fh: Fh): boolean {
    return this.#vfs.isShared(this.#handles.ours(fh));
  }

  timesOpened(fh: Fh): number {
    return this.#vfs.timesOpened(this.#handles.ours(fh));
  }

  release(number: Ino, fh: Fh): MaybePromise<void> {
    const handle = this.#handles.take(fh);
    this.#journal.closed(fh);
    if (!this.#journal.isOpen(number)) this.#changes.delete(number);
    return handle === undefined ? undefined : this.#vfs.release(number, handle);
  }

  fallocate(number: Ino, fh: Fh, offset: number, length: number, mode: number): MaybePromise<void> {
    const handle = this.#handles.ours(fh);
    this.#written(number);
    return this.#vfs.fallocate(number, handle, offset, length, mode);
  }

  lseek(number: Ino, fh: Fh | undefined, offset: number, whence: number): MaybePromise<number> {
    return this.#vfs.lseek(number, this.#handles.oursIfAny(fh), offset, whence);
  }

  copyFileRange(
    number: Ino,
    fh: Fh,
    offset: number,
    toNumber: Ino,
    toFh: Fh,
    toOffset: number,
    length: number,
  ): MaybePromise<number> {
    const [from, to] = [this.#handles.ours(fh), this.#handles.ours(toFh)];
    this.#written(toNumber);
    return this.#vfs.copyFileRange(number, from, offset, toNumber, to, toOffset, length);
  }

  opendir(number: Ino): MaybePromise<OpenReply> {
    return whenReady(this.#numbers.ours(number), (ino) =>
      whenReady(this.#vfs.opendir(ino), (open) => {
        const fh = this.#handles.kernelsOfDirectory(open.fh);
        this.#journal.opened(fh, number, undefined);
        return { ...open, fh };
      }),
    );
  }

  readdir(
    number: Ino,
    fh: Fh | undefined,
    offset: number,
    plus: boolean,
    sink: DirectorySink,
  ): MaybePromise<void> {
    const numbers = this.#numbers;
    const numbered: DirectorySink = {
      add: (name, ino, mode, next) =>
        sink.add(name, numbers.kernelsAt(number, name, ino), mode, next),
      addPlus: (name, entry, next) => {
        const known = numbers.entry(number, name, entry);
        const isTaken = sink.addPlus(name, known, next);
        if (isTaken) numbers.tell(number, name, known);
        return isTaken;
      },
    };
    return whenReady(numbers.ours(number), (ino) =>
      this.#vfs.readdir(ino, this.#handles.oursIfAny(fh), offset, plus, numbered),
    );
  }

  releasedir(number: Ino, fh: Fh): MaybePromise<void> {
    const handle = this.#handles.take(fh);
    this.#journal.closed(fh);
    return handle === undefined ? undefined : this.#vfs.releasedir(number, handle);
  }

  fsyncdir(number: Ino, _fh: Fh | undefined): MaybePromise<void> {
    return whenReady(this.#numbers.ours(number), (ino) => this.#vfs.fsyncdir(ino, undefined));
  }

  statfs(number: Ino): MaybePromise<StatfsReply> {
    return this.#vfs.statfs(number);
  }

  access(number: Ino, mask: number, caller: Caller): MaybePromise<void> {
    return whenReady(this.#numbers.ours(number), (ino) => this.#vfs.access(ino, mask, caller));
  }

  getxattr(number: Ino, name: ByteString): MaybePromise<Uint8Array> {
    return whenReady(this.#numbers.ours(number), (ino) => this.#vfs.getxattr(ino, name));
  }

  listxattr(number: Ino): MaybePromise<readonly ByteString[]> {
    return whenReady(this.#numbers.ours(number), (ino) => this.#vfs.listxattr(ino));
  }

  setxattr(number: Ino, name: ByteString, value: Buffer, flags: number): MaybePromise<void> {
    return whenReady(this.#numbers.ours(number), (ino) =>
      this.#vfs.setxattr(ino, name, value, flags),
    );
  }

  removexattr(number: Ino, name: ByteString): MaybePromise<void> {
    return whenReady(this.#numbers.ours(number), (ino) => this.#vfs.removexattr(ino, name));
  }

  destroy(): MaybePromise<void> {
    return this.#vfs.destroy();
  }

  errnoOf(error: unknown, operation: string): number {
    return this.#vfs.errnoOf(error, operation);
  }

  #entry(
    parent: Ino,
    name: ByteString,
    make: (parent: Ino) => MaybePromise<EntryReply>,
  ): MaybePromise<EntryReply> {
    return whenReady(this.#numbers.ours(parent), (ino) =>
      whenReady(make(ino), (entry) => this.#numbers.told(parent, name, entry)),
    );
  }

  #newFile(
    parent: Ino,
    place: NodePlace | undefined,
    flags: number,
    make: (parent: Ino) => MaybePromise<NewFile>,
  ): MaybePromise<NewFile> {
    return whenReady(this.#numbers.ours(parent), (ino) =>
      whenReady(make(ino), (made) => {
        const entry = place ? this.#numbers.told(parent, place.name, made.entry) : made.entry;
        if (entry.attr === null) throw new Error('a file that was made is not there');
        const { ino: number } = entry.attr;
        return undoOnFailure(
          () => {
            const open = this.#opened(number, flags, made.open, place);
            this.#written(number);
            return { entry, open };
          },
          () => {
            this.forget(number, 1);
            return this.#notOpened(number, made.open);
          },
        );
      }),
    );
  }

  #attr(number: Ino, get: (ino: Ino) => MaybePromise<AttrReply>): MaybePromise<AttrReply> {
    return whenReady(this.#numbers.ours(number), (ino) =>
      whenReady(get(ino), (reply) => ({ ...reply, attr: this.#numbers.attr(reply.attr) })),
    );
  }

  #remove(
    parent: Ino,
    name: ByteString,
    remove: (parent: Ino) => MaybePromise<void>,
  ): MaybePromise<void> {
    return whenReady(this.#numbers.ours(parent), (ino) =>
      whenReady(remove(ino), () => {
        const removed = this.#journal.nodeAt(parent, name);
        if (removed !== undefined) this.#journal.forget(removed);
      }),
    );
  }

  #moved(number: Ino, place: NodePlace): void {
    const isDirectory = this.#journal.nodes.get(number)?.isDirectory === true;
    this.#journal.place(number, place, isDirectory);
  }

  /** Where a file that is open can be found again, in the kernel's numbers. */
  #placeOf(ino: Ino): MaybePromise<NodePlace | undefined> {
    const node = this.#inodes.get(ino);
    if (!(node instanceof FileVnode)) return undefined;
    return whenReady(
      node.place(),
      (place) => place && { ...place, parent: this.#numbers.kernels(place.parent) },
    );
  }

  #opened(number: Ino, flags: number, open: OpenReply, place: NodePlace | undefined): OpenReply {
    const fh = this.#handles.kernelsOfFile(open.fh);
    if (place !== undefined) this.#journal.place(number, place, false);
    this.#journal.opened(fh, number, flags);
    // A handle that was lost may have left reads waiting, which nobody knows of here.
    return { ...open, fh, firstContent: undefined };
  }

  /** The kernel will not be told of a handle after all. */
  #notOpened(ino: Ino, { fh }: OpenReply): MaybePromise<void> {
    this.#journal.closed(this.#handles.kernelsOfFile(fh));
    return this.#vfs.release(ino, fh);
  }

  #written(number: Ino): void {
    if (!this.#journal.isOpen(number)) return;
    this.#changes.set(number, (this.#changes.get(number) ?? 0) + 1);
    this.#journal.setUnsynced(number, 'written');
  }

  async #closedWith(number: Ino, changes: number | undefined): Promise<void> {
    try {
      const oid = await oidOf(this.#vfs, await this.#numbers.ours(number));
      if (this.#changes.get(number) === changes) this.#journal.setUnsynced(number, { oid });
    } catch (error) {
      // It has no name any more, and is not stored.
      if (errnoNameOf(error) !== 'ENODATA') throw error;
    }
  }
}
