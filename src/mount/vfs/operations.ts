import type { ByteString } from '../../git/byte-string.ts';

declare const inoBrand: unique symbol;
declare const fhBrand: unique symbol;

/** An inode number, which is also the kernel's node id. Unique for the life of the mount, never reused. */
export type Ino = number & { readonly [inoBrand]: true };
/** A number for an open file or directory, 1 or more: 0 on the wire says that there is no handle. */
export type Fh = number & { readonly [fhBrand]: true };

/** The root directory of the mount, `FUSE_ROOT_ID`. */
export const rootIno: Ino = 1 as Ino;

/**
 * A result that is there at once where no disk is needed. A promise for each request costs more
 * than most requests, so callers look first and wait only when they must.
 */
export type MaybePromise<T> = T | Promise<T>;

/** A point in time, as the kernel counts it. */
export interface Timespec {
  readonly sec: number;
  readonly nsec: number;
}

/** What `stat` shows. `mode` holds the file type too; `size` is in bytes, `blocks` in 512 bytes. */
export interface Attr {
  readonly ino: Ino;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blocks: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
}

/** The attributes that a `setattr` changes; `'now'` is the daemon's clock. */
export interface AttrChange {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: Timespec | 'now';
  readonly mtime?: Timespec | 'now';
}

/** Who asks. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** How long the kernel may keep a name or attributes, in seconds; `forever` until it is notified. */
export const forever: number = 0x7fff_ffff;

/** The answer to a lookup; `attr: null` says that there is no such name and may be kept as long. */
export interface EntryReply {
  readonly attr: Attr | null;
  readonly entryValidSec: number;
  readonly attrValidSec: number;
}

/** The answer to a getattr. */
export interface AttrReply {
  readonly attr: Attr;
  readonly attrValidSec: number;
}

/** The answer to an open. The flags are those of `FOPEN_*` in linux/fuse.h. */
export interface OpenReply {
  readonly fh: Fh;
  readonly keepCache?: boolean;
  readonly cacheDirectory?: boolean;
  readonly noFlush?: boolean;
  readonly directIo?: boolean;
  /** See `FileHandle.firstContent`. */
  readonly firstContent?: (() => Uint8Array | undefined) | undefined;
  /** See `FileHandle.backing`. */
  readonly backing?: (() => number | undefined) | undefined;
}

/** The answer to a create or tmpfile. */
export interface NewFile {
  readonly entry: EntryReply;
  readonly open: OpenReply;
}

/** The answer to a statfs, as in `struct statvfs`; counts in units of `bsize` bytes. */
export interface StatfsReply {
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly bsize: number;
  readonly namelen: number;
}

/**
 * Takes the entries of a directory one by one until it is full. `offset` is where the next call
 * goes on after this entry. Each returns false when the entry did not fit (it was not taken).
 *
 * In a listing with attributes, `add` stands for an entry that comes without them (node id 0 on
 * the wire, no lookup counted): `.` and `..`, which the kernel would not count either, and a node
 * whose attributes cannot be read, which must not spoil the names around it.
 */
export interface DirectorySink {
  add(name: ByteString, ino: Ino, mode: number, offset: number): boolean;
  /** `entry.attr` is never null here. */
  addPlus(name: ByteString, entry: EntryReply, offset: number): boolean;
}

/** `RENAME_NOREPLACE` in linux/fs.h: a name that leads somewhere is left alone (EEXIST). */
export const renameNoReplace = 1;
/** `RENAME_EXCHANGE` in linux/fs.h: each name gets what the other led to. */
export const renameExchange = 2;

/**
 * The filesystem as the kernel asks for it: one method for each operation, named as the system
 * call. Both transports call it. A method that throws (or rejects) answers with the error's errno.
 * An operation that raises a lookup count (lookup, create, tmpfile, mkdir, mknod, symlink, link, each
 * entry given to `addPlus`) is balanced by `forget`; a transport that could not deliver such an answer
 * (the request was interrupted) forgets it itself.
 */
export interface VfsOperations {
  lookup(parent: Ino, name: ByteString, caller: Caller): MaybePromise<EntryReply>;
  forget(ino: Ino, lookups: number): void;
  getattr(ino: Ino, fh: Fh | undefined): MaybePromise<AttrReply>;
  setattr(
    ino: Ino,
    change: AttrChange,
    fh: Fh | undefined,
    caller: Caller,
  ): MaybePromise<AttrReply>;
  readlink(ino: Ino): MaybePromise<ByteString>;
  symlink(
    parent: Ino,
    name: ByteString,
    target: ByteString,
    caller: Caller,
  ): MaybePromise<EntryReply>;
  mknod(
    parent: Ino,
    name: ByteString,
    mode: number,
    rdev: number,
    caller: Caller,
  ): MaybePromise<EntryReply>;
  mkdir(parent: Ino, name: ByteString, mode: number, caller: Caller): MaybePromise<EntryReply>;
  unlink(parent: Ino, name: ByteString): MaybePromise<void>;
  rmdir(parent: Ino, name: ByteString): MaybePromise<void>;
  rename(
    parent: Ino,
    name: ByteString,
    newParent: Ino,
    newName: ByteString,
    flags: number,
  ): MaybePromise<void>;
  link(ino: Ino, newParent: Ino, newName: ByteString): MaybePromise<EntryReply>;
  open(ino: Ino, flags: number, caller: Caller): MaybePromise<OpenReply>;
  create(
    parent: Ino,
    name: ByteString,
    mode: number,
    flags: number,
    caller: Caller,
  ): MaybePromise<NewFile>;
  /** open(2) with O_TMPFILE: a file without a name, which `link` may give it unless O_EXCL is set. */
  tmpfile(parent: Ino, mode: number, flags: number, caller: Caller): MaybePromise<NewFile>;
  /**
   * May be called without a handle (`fh` undefined) on mounts that answer open with ENOSYS. `lend`
   * gives memory for `size` bytes that the answer may stand in, and that nobody else touches until
   * then; to be called once, and not before there are bytes to put there.
   */
  read(
    ino: Ino,
    fh: Fh | undefined,
    offset: number,
    size: number,
    lend?: () => Buffer,
  ): MaybePromise<Uint8Array>;
  /**
   * `data` is only valid until the method returns; keep a copy when the work goes on later. With `appends` it
   * goes where the file ends, which the kernel takes `offset` for, by what it was told last.
   */
  write(ino: Ino, fh: Fh, offset: number, data: Buffer, appends?: boolean): MaybePromise<number>;
  /** This, `fsync` and `lseek` too may be called without a handle where open is answered with ENOSYS. */
  flush(ino: Ino, fh: Fh | undefined): MaybePromise<void>;
  fsync(ino: Ino, fh: Fh | undefined, datasync: boolean): MaybePromise<void>;
  release(ino: Ino, fh: Fh): MaybePromise<void>;
  /** Tells whether the file of this handle is open elsewhere, too. */
  isShared(fh: Fh): boolean;
  /** How often the file of this handle was opened so far: it grows when somebody opens it. */
  timesOpened(fh: Fh): number;
  fallocate(ino: Ino, fh: Fh, offset: number, length: number, mode: number): MaybePromise<void>;
  lseek(ino: Ino, fh: Fh | undefined, offset: number, whence: number): MaybePromise<number>;
  copyFileRange(
    ino: Ino,
    fh: Fh,
    offset: number,
    toIno: Ino,
    toFh: Fh,
    toOffset: number,
    length: number,
  ): MaybePromise<number>;
  opendir(ino: Ino): MaybePromise<OpenReply>;
  /** As with `read`, without a handle where opendir is answered with ENOSYS. */
  readdir(
    ino: Ino,
    fh: Fh | undefined,
    offset: number,
    plus: boolean,
    sink: DirectorySink,
  ): MaybePromise<void>;
  releasedir(ino: Ino, fh: Fh): MaybePromise<void>;
  fsyncdir(ino: Ino, fh: Fh | undefined): MaybePromise<void>;
  statfs(ino: Ino): MaybePromise<StatfsReply>;
  access(ino: Ino, mask: number, caller: Caller): MaybePromise<void>;
  getxattr(ino: Ino, name: ByteString): MaybePromise<Uint8Array>;
  listxattr(ino: Ino): MaybePromise<readonly ByteString[]>;
  setxattr(ino: Ino, name: ByteString, value: Buffer, flags: number): MaybePromise<void>;
  removexattr(ino: Ino, name: ByteString): MaybePromise<void>;
  /** The kernel is gone: the mount was unmounted. Every lookup and handle is void. */
  destroy(): MaybePromise<void>;
  /**
   * The number (positive) that answers an error which one of the methods above threw. An error that
   * nobody foresaw is EIO and goes to the log. Never throws.
   */
  errnoOf(error: unknown, operation: string): number;
}

/** Tells the kernel that something which it keeps is no longer so. Never waited for by a request. */
export interface KernelNotifier {
  /** The cached attributes and content of an inode are out of date. */
  invalidateInode(ino: Ino): void;
  /** A name in a directory leads elsewhere now, or nowhere, or somewhere at last. */
  invalidateEntry(parent: Ino, name: ByteString): void;
}
