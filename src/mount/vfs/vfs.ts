import { constants } from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import type { Log } from '../observe/log.ts';
import { copyRange } from './copy-range.ts';
import { ErrnoError } from './errno.ts';
import { ErrorReport } from './error-report.ts';
import type { InodeTable } from './inode-table.ts';
import { fillListing, isListingBegin } from './listing.ts';
import { undoOnFailure, whenReady } from './maybe-promise.ts';
import { OpenDirectories } from './open-directories.ts';
import { OpenFiles } from './open-files.ts';
import { renameExchange, renameNoReplace, rootIno } from './operations.ts';
import type {
  AttrChange,
  AttrReply,
  Caller,
  DirectorySink,
  EntryReply,
  Fh,
  Ino,
  MaybePromise,
  NewFile,
  OpenReply,
  StatfsReply,
  VfsOperations,
} from './operations.ts';
import { refuseWriting } from './read-only-handle.ts';
import { attrReply, entryReply, missingEntry } from './replies.ts';
import { nameLimitBytes } from './statfs.ts';
import { DirectoryVnode, FileVnode, SymlinkVnode } from './vnode.ts';
import type { FileHandle, Vnode } from './vnode.ts';

/** What the filesystem is made of, and how it behaves as a whole. */
export interface VfsOptions {
  /** Its inode number is `rootIno`. */
  readonly root: DirectoryVnode;
  /** The table that the nodes look into as well. */
  readonly inodes: InodeTable;
  readonly log: Log;
  readonly statfs: () => MaybePromise<StatfsReply>;
  /** Every call that changes something is answered with EROFS, whatever the nodes could do. */
  readonly readOnly?: boolean;
  /**
   * Nothing can ever change, not even from outside (this implies `readOnly`): open and opendir are
   * answered with ENOSYS, after which the kernel does without them, and without asking again.
   */
  readonly immutable?: boolean;
  /**
   * The kernel may keep the listing of every directory until it is notified (`CacheRule.keepListing`),
   * and all have lasting positions: opendir is answered with ENOSYS here too.
   */
  readonly keepsListings?: boolean;
  /**
   * The nodes have extended attributes, `user.vost.*`. Where they have none, the kernel is told so
   * with ENOSYS and asks no more.
   */
  readonly xattrs?: boolean;
}

const accessExecute = 1;
const accessWrite = 2;
const anyExecutes = 0o111;
const userPrefix = 'user.';
const xattrPrefix = `${userPrefix}vost.`;
/** One for all: the kernel asks for it before the first write to each file, and a stack takes 10 µs. */
const noXattrsOfOthers = new ErrnoError('ENOTSUP');

/**
 * The filesystem in front of its nodes: finds them by number, counts what the kernel knows and what
 * is open, and checks once what holds for all (names, handles, a read-only mount). What an
 * operation means is for the nodes to say. An answer that needs no disk is given without a promise.
 */
export class Vfs implements VfsOperations {
  readonly #inodes: InodeTable;
  readonly #statfs: () => MaybePromise<StatfsReply>;
  readonly #report: ErrorReport;
  readonly #readOnly: boolean;
  readonly #immutable: boolean;
  readonly #keepsListings: boolean;
  readonly #xattrs: boolean;
  readonly #files: OpenFiles;
  readonly #directories: OpenDirectories;

  constructor(options: VfsOptions) {
    this.#inodes = options.inodes;
    this.#statfs = options.statfs;
    this.#report = new ErrorReport(options.log);
    this.#immutable = options.immutable ?? false;
    this.#keepsListings = this.#immutable || (options.keepsListings ?? false);
    this.#readOnly = this.#immutable || (options.readOnly ?? false);
    this.#xattrs = options.xattrs ?? false;
    this.#files = new OpenFiles(this.#inodes);
    this.#directories = new OpenDirectories(this.#inodes);
    this.#inodes.hold(options.root);
  }

  /** How much is in use, for the status of the mount. */
  counts(): { inodes: number; openFiles: number; openDirectories: number } {
    return {
      inodes: this.#inodes.size,
      openFiles: this.#files.size,
      openDirectories: this.#directories.size,
    };
  }

  errnoOf(error: unknown, operation: string): number {
    return this.#report.errnoOf(error, operation);
  }

  lookup(parent: Ino, name: ByteString, _caller: Caller): MaybePromise<EntryReply> {
    checkName(name);
    const directory = this.#directory(parent);
    return whenReady(directory.lookup(name), (node) =>
      node === null ? missingEntry(directory) : this.#entry(directory, node),
    );
  }

  forget(ino: Ino, lookups: number): void {
    // The kernel forgets the root too, as the last thing; it was never looked up.
    if (ino !== rootIno) this.#inodes.forget(ino, lookups);
  }

  getattr(ino: Ino, _fh: Fh | undefined): MaybePromise<AttrReply> {
    const node = this.#node(ino);
    return whenReady(node.getattr(), (attr) => attrReply(node, attr));
  }

  setattr(
    ino: Ino,
    change: AttrChange,
    fh: Fh | undefined,
    caller: Caller,
  ): MaybePromise<AttrReply> {
    const node = this.#writableNode(ino);
    const handle = fh === undefined ? undefined : this.#files.get(fh);
    return whenReady(node.setattr(change, caller, handle), (attr) => attrReply(node, attr));
  }

  readlink(ino: Ino): MaybePromise<ByteString> {
    const node = this.#node(ino);
    if (!(node instanceof SymlinkVnode)) throw new ErrnoError('EINVAL');
    return node.readlink();
  }

  symlink(
    parent: Ino,
    name: ByteString,
    target: ByteString,
    caller: Caller,
  ): MaybePromise<EntryReply> {
    const directory = this.#writableDirectory(parent, name);
    return this.#newEntry(directory, directory.symlink(name, target, caller));
  }

  mknod(
    parent: Ino,
    name: ByteString,
    mode: number,
    rdev: number,
    caller: Caller,
  ): MaybePromise<EntryReply> {
    const directory = this.#writableDirectory(parent, name);
    return this.#newEntry(directory, directory.mknod(name, mode, rdev, caller));
  }

  mkdir(parent: Ino, name: ByteString, mode: number, caller: Caller): MaybePromise<EntryReply> {
    const directory = this.#writableDirectory(parent, name);
    return this.#newEntry(directory, directory.mkdir(name, mode, caller));
  }

  unlink(parent: Ino, name: ByteString): MaybePromise<void> {
    return this.#writableDirectory(parent, name).unlink(name);
  }

  rmdir(parent: Ino, name: ByteString): MaybePromise<void> {
    return this.#writableDirectory(parent, name).rmdir(name);
  }

  rename(
    parent: Ino,
    name: ByteString,
    newParent: Ino,
    newName: ByteString,
    flags: number,
  ): MaybePromise<void> {
    if (flags !== 0 && flags !== renameNoReplace && flags !== renameExchange) {
      throw new ErrnoError('EINVAL');
    }
    const directory = this.#writableDirectory(parent, name);
    const target = this.#writableDirectory(newParent, newName);
    return directory.rename(name, target, newName, flags);
  }

  link(ino: Ino, newParent: Ino, newName: ByteString): MaybePromise<EntryReply> {
    const node = this.#node(ino);
    const directory = this.#writableDirectory(newParent, newName);
    if (node instanceof DirectoryVnode) throw new ErrnoError('EPERM');
    return whenReady(directory.link(node, newName), () => this.#entry(directory, node));
  }

  open(ino: Ino, flags: number, caller: Caller): MaybePromise<OpenReply> {
    const node = this.#node(ino);
    if (!(node instanceof FileVnode)) {
      throw new ErrnoError(node instanceof DirectoryVnode ? 'EISDIR' : 'EINVAL');
    }
    if (this.#readOnly) refuseWriting(flags);
    if (this.#immutable) throw new ErrnoError('ENOSYS');
    return whenReady(node.open(flags, caller), (handle) => this.#files.open(node, handle));
  }

  create(
    parent: Ino,
    name: ByteString,
    mode: number,
    flags: number,
    caller: Caller,
  ): MaybePromise<NewFile> {
    const directory = this.#writableDirectory(parent, name);
    return this.#newFile(directory, directory.create(name, mode, flags, caller));
  }

  tmpfile(parent: Ino, mode: number, flags: number, caller: Caller): MaybePromise<NewFile> {
    const directory = this.#writableDirectory(parent);
    return this.#newFile(directory, directory.tmpfile(mode, flags, caller));
  }

  read(
    ino: Ino,
    fh: Fh | undefined,
    offset: number,
    size: number,
    lend?: () => Buffer,
  ): MaybePromise<Uint8Array> {
    if (!this.#immutable) return this.#files.get(fh).read(offset, size, lend);
    const node = this.#node(ino);
    if (!(node instanceof FileVnode)) throw new ErrnoError('EBADF');
    return node.read(offset, size, lend);
  }

  write(_ino: Ino, fh: Fh, offset: number, data: Buffer, appends?: boolean): MaybePromise<number> {
    this.#checkWritable();
    return this.#files.get(fh).write(offset, data, appends);
  }

  flush(_ino: Ino, fh: Fh | undefined): MaybePromise<void> {
    this.#requireHandles();
    return this.#files.get(fh).flush();
  }

  fsync(_ino: Ino, fh: Fh | undefined, datasync: boolean): MaybePromise<void> {
    this.#requireHandles();
    return this.#files.get(fh).fsync(datasync);
  }

  isShared(fh: Fh): boolean {
    return this.#files.get(fh).isShared ?? false;
  }

  timesOpened(fh: Fh): number {
    return this.#files.get(fh).timesOpened ?? 1;
  }

  release(_ino: Ino, fh: Fh): MaybePromise<void> {
    return this.#files.release(fh);
  }

  fallocate(_ino: Ino, fh: Fh, offset: number, length: number, mode: number): MaybePromise<void> {
    this.#checkWritable();
    return this.#files.get(fh).fallocate(offset, length, mode);
  }

  lseek(_ino: Ino, fh: Fh | undefined, offset: number, whence: number): MaybePromise<number> {
    this.#requireHandles();
    return this.#files.get(fh).lseek(offset, whence);
  }

  copyFileRange(
    _ino: Ino,
    fh: Fh,
    offset: number,
    _toIno: Ino,
    toFh: Fh,
    toOffset: number,
    length: number,
  ): MaybePromise<number> {
    this.#checkWritable();
    const source = { handle: this.#files.get(fh), offset };
    const target = { handle: this.#files.get(toFh), offset: toOffset };
    return copyRange(source, target, length);
  }

  opendir(ino: Ino): MaybePromise<OpenReply> {
    const node = this.#directory(ino);
    if (this.#keepsListings) throw new ErrnoError('ENOSYS');
    return this.#directories.open(node);
  }

  readdir(
    ino: Ino,
    fh: Fh | undefined,
    offset: number,
    plus: boolean,
    sink: DirectorySink,
  ): MaybePromise<void> {
    const directory = this.#directory(ino);
    const begun = this.#keepsListings
      ? directory.entries(isListingBegin(offset))
      : this.#directories.stream(fh, offset);
    return whenReady(begun, (stream) =>
      fillListing(
        {
          directory,
          stream,
          sink,
          plus,
          inodes: this.#inodes,
          report: this.#report,
        },
        offset,
      ),
    );
  }

  releasedir(_ino: Ino, fh: Fh): MaybePromise<void> {
    this.#directories.release(fh);
  }

  fsyncdir(ino: Ino, _fh: Fh | undefined): MaybePromise<void> {
    return this.#directory(ino).fsync();
  }

  statfs(_ino: Ino): MaybePromise<StatfsReply> {
    return this.#statfs();
  }

  access(ino: Ino, mask: number, _caller: Caller): MaybePromise<void> {
    if ((mask & accessWrite) !== 0) this.#writableNode(ino);
    if ((mask & accessExecute) === 0) return;
    // Who may do what is checked by the kernel, or else by nobody (see `MountRequest.leavesModes`); but
    // even root does not execute what has no bit for it.
    return whenReady(this.#node(ino).getattr(), ({ mode }) => {
      if ((mode & constants.S_IFMT) === constants.S_IFREG && (mode & anyExecutes) === 0) {
        throw new ErrnoError('EACCES');
      }
    });
  }

  getxattr(ino: Ino, name: ByteString): MaybePromise<Uint8Array> {
    if (!this.#xattrs) throw new ErrnoError('ENOSYS');
    // `ls -l` asks every file for its ACL and its security label, until it is told once that there
    // are none on this filesystem; "this file has none" would have it ask on.
    if (!name.startsWith(userPrefix)) throw noXattrsOfOthers;
    if (!name.startsWith(xattrPrefix)) throw new ErrnoError('ENODATA');
    return this.#node(ino).getxattr(name);
  }

  listxattr(ino: Ino): MaybePromise<readonly ByteString[]> {
    if (!this.#xattrs) throw new ErrnoError('ENOSYS');
    return this.#node(ino).listxattr();
  }

  setxattr(ino: Ino, _name: ByteString, _value: Buffer, _flags: number): MaybePromise<void> {
    this.#writableNode(ino);
    throw new ErrnoError('ENOTSUP');
  }

  removexattr(ino: Ino, _name: ByteString): MaybePromise<void> {
    this.#writableNode(ino);
    throw new ErrnoError('ENOTSUP');
  }

  async destroy(): Promise<void> {
    for (const error of await this.#files.abandonAll()) this.#report.errnoOf(error, 'release');
    this.#directories.releaseAll();
    this.#inodes.clear();
  }

  #node(ino: Ino): Vnode {
    const node = this.#inodes.get(ino);
    if (node === undefined) throw new ErrnoError('ESTALE', `inode ${ino} is not known`);
    return node;
  }

  #directory(ino: Ino): DirectoryVnode {
    const node = this.#node(ino);
    if (!(node instanceof DirectoryVnode)) throw new ErrnoError('ENOTDIR');
    return node;
  }

  #checkWritable(): void {
    if (this.#readOnly) throw new ErrnoError('EROFS');
  }

  /**
   * Where open is answered with ENOSYS, what else is asked of a handle comes without one. The same
   * answer tells the kernel to see to it alone from then on: nothing has to be flushed or synced.
   */
  #requireHandles(): void {
    if (this.#immutable) throw new ErrnoError('ENOSYS');
  }

  #writableNode(ino: Ino): Vnode {
    const node = this.#node(ino);
    if (this.#readOnly || node.readOnly) throw new ErrnoError('EROFS');
    return node;
  }

  /** The directory in which something is about to be made, removed or replaced. */
  #writableDirectory(ino: Ino, name?: ByteString): DirectoryVnode {
    const directory = this.#directory(ino);
    if (this.#readOnly || directory.readOnly) throw new ErrnoError('EROFS');
    if (name !== undefined) checkName(name);
    return directory;
  }

  #newFile(
    directory: DirectoryVnode,
    made: MaybePromise<{ node: FileVnode; handle: FileHandle }>,
  ): MaybePromise<NewFile> {
    return whenReady(made, ({ node, handle }) => {
      const open = this.#files.open(node, handle);
      return undoOnFailure(
        () => whenReady(this.#entry(directory, node), (entry) => ({ entry, open })),
        () => this.#files.release(open.fh),
      );
    });
  }

  #newEntry(directory: DirectoryVnode, made: MaybePromise<Vnode>): MaybePromise<EntryReply> {
    return whenReady(made, (node) => this.#entry(directory, node));
  }

  /** Tells the kernel of a node, which counts one lookup: first, see inode-table.ts. */
  #entry(directory: DirectoryVnode, found: Vnode): MaybePromise<EntryReply> {
    const node = this.#inodes.hold(found);
    return undoOnFailure(
      () => whenReady(node.getattr(), (attr) => entryReply(directory, node, attr)),
      () => {
        this.#inodes.drop(node);
      },
    );
  }
}

function checkName(name: ByteString): void {
  if (name.length > nameLimitBytes) throw new ErrnoError('ENAMETOOLONG');
}
