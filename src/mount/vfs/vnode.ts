import type { ByteString } from '../../git/byte-string.ts';
import type { Oid } from '../../git/oid.ts';
import { ErrnoError } from './errno.ts';
import type { InodeRow } from './inode-rows.ts';
import type { Attr, AttrChange, Caller, Ino, MaybePromise } from './operations.ts';

/** How the kernel may keep what it was told about a node. */
export interface CacheRule {
  /** Names in this directory, the missing ones included unless the next field says otherwise. */
  readonly entriesValidSec: number;
  /** Names that are missing in this directory, where they may appear without anybody being told. */
  readonly missingValidSec?: number;
  /** This node's attributes. */
  readonly attrValidSec: number;
  /**
   * The kernel may keep what `readdir` gave, beyond the closing of the directory. It drops that by
   * itself when it changes the directory. For a change from elsewhere it takes a notice of the
   * directory's inode: one of a name does nothing when that name is not in the kernel's cache.
   */
  readonly keepListing?: boolean;
}

/**
 * One file, directory or link of the mount: what an inode is. The inode table keeps it while the
 * kernel knows its number. Everything that changes something answers EROFS until a node says
 * otherwise, so a read-only node implements only what it can show.
 */
export abstract class Vnode {
  abstract readonly ino: Ino;
  abstract readonly cache: CacheRule;

  /** True where every call that changes something is answered with EROFS, whatever it would change. */
  get readOnly(): boolean {
    return false;
  }

  /** Lookups that the kernel has not taken back, and open handles. Kept by the inode table; leave it alone. */
  references = 0;

  /** How many of these are open handles. Kept by the inode table too. */
  openHandles = 0;

  /**
   * Set where a node holds nothing but its place: the row that can make it again, and that counts
   * its references instead. It is a file or a link then, and never told that it is forgotten.
   */
  get row(): InodeRow | undefined {
    return undefined;
  }

  abstract getattr(): MaybePromise<Attr>;

  /** Applies the change and gives the attributes as they are then. `handle` is set for ftruncate and its like. */
  setattr(_change: AttrChange, _caller: Caller, _handle?: FileHandle): MaybePromise<Attr> {
    throw new ErrnoError('EROFS');
  }

  listxattr(): MaybePromise<readonly ByteString[]> {
    return [];
  }

  getxattr(_name: ByteString): MaybePromise<Uint8Array> {
    throw new ErrnoError('ENODATA');
  }

  /**
   * The kernel has forgotten this inode and no handle on it is open: nothing will name its number
   * again, unless its directory hands the same object out once more (see inode-table.ts).
   */
  forgotten(): void {
    // Nothing to let go of, unless a node says otherwise.
  }
}

/** A name in a directory, as `readdir` shows it. `mode` holds the file type. */
export interface DirectoryEntry {
  readonly name: ByteString;
  readonly ino: Ino;
  readonly mode: number;
}

/** An entry of which all is known without its node: that would hold nothing but its place in a row. */
export interface PlacedEntry {
  readonly name: ByteString;
  readonly attr: Attr;
  readonly row: InodeRow;
}

/**
 * The names of a directory as they were when it was opened (or rewound), so that each entry that
 * stays is seen exactly once whatever happens in between. Entries are asked for by position, in
 * order; `undefined` is the end. `.` and `..` are not among them: the vfs adds them.
 */
export interface DirectoryStream {
  entry(position: number): MaybePromise<DirectoryEntry | undefined>;
  /** The first position from this one on that is not empty. Without it, all have an entry up to the end. */
  next?(position: number): number;
  /**
   * Set where each name takes a search and there may be very many. A listing then gives what is
   * there instead of waiting for more, and names alone: whoever wants attributes looks them up.
   */
  readonly isSearch?: boolean;
  /** The node of an entry, where that is cheaper than a lookup by its name; `null` when it has gone. */
  node?(position: number): MaybePromise<Vnode | null>;
  /**
   * What a node would be made for in vain: an entry whose attributes are at hand, and that is no link and
   * no directory. `undefined` for any other. The kernel may keep all of it as long as the directory itself.
   */
  placed?(position: number): PlacedEntry | undefined;
}

/** A directory. Names in it are asked for one by one, or all together by `entries`. */
export abstract class DirectoryVnode extends Vnode {
  /** The directory that `..` leads to; the root of the mount is its own parent. */
  abstract readonly parent: DirectoryVnode;

  /** The node of a name, the same object as long as the kernel knows it; `null` when there is none. */
  abstract lookup(name: ByteString): MaybePromise<Vnode | null>;

  /** `isBeginning` is false for a listing that goes on where another stream of this directory ended. */
  abstract entries(isBeginning: boolean): MaybePromise<DirectoryStream>;

  /**
   * A name has the same position in all streams as long as it is there, so that a listing can go on in
   * another one than it began with.
   */
  get hasLastingPositions(): boolean {
    return false;
  }

  /** How long the kernel may keep a name that led to this node, in seconds. */
  entryValidSec(_node: Vnode): number {
    return this.cache.entriesValidSec;
  }

  create(
    _name: ByteString,
    _mode: number,
    _flags: number,
    _caller: Caller,
  ): MaybePromise<{ node: FileVnode; handle: FileHandle }> {
    throw new ErrnoError('EROFS');
  }

  /** Makes a file without a name. Unless `flags` have O_EXCL, `link` may give it one later. */
  tmpfile(
    _mode: number,
    _flags: number,
    _caller: Caller,
  ): MaybePromise<{ node: FileVnode; handle: FileHandle }> {
    throw new ErrnoError('EROFS');
  }

  mknod(_name: ByteString, _mode: number, _rdev: number, _caller: Caller): MaybePromise<Vnode> {
    throw new ErrnoError('EROFS');
  }

  mkdir(_name: ByteString, _mode: number, _caller: Caller): MaybePromise<DirectoryVnode> {
    throw new ErrnoError('EROFS');
  }

  symlink(_name: ByteString, _target: ByteString, _caller: Caller): MaybePromise<Vnode> {
    throw new ErrnoError('EROFS');
  }

  link(_node: Vnode, _name: ByteString): MaybePromise<void> {
    throw new ErrnoError('EROFS');
  }

  unlink(_name: ByteString): MaybePromise<void> {
    throw new ErrnoError('EROFS');
  }

  rmdir(_name: ByteString): MaybePromise<void> {
    throw new ErrnoError('EROFS');
  }

  /** Moves `name` of this directory to `newName` of another (or this). `flags` are `RENAME_*`. */
  rename(
    _name: ByteString,
    _target: DirectoryVnode,
    _newName: ByteString,
    _flags: number,
  ): MaybePromise<void> {
    throw new ErrnoError('EROFS');
  }

  /** Makes everything below durable; on a branch this commits. */
  fsync(): MaybePromise<void> {
    // Nothing is pending, unless a node says otherwise.
  }
}

/** Content that the object database holds as one blob. */
export interface StoredContent {
  readonly oid: Oid;
  readonly sizeBytes: number;
}

/** An open regular file. A handle outlives the file's name. */
export interface FileHandle {
  /** Tell the kernel that what it has cached of this file is still right. */
  readonly keepCache: boolean;
  /** Closing this handle has nothing to report (it cannot write). */
  readonly noFlush: boolean;
  /** The kernel keeps nothing of the content: each read comes here, whatever size `stat` shows. */
  readonly directIo?: boolean;
  /** Somebody else has the file open; may be left out by what cannot be written. */
  readonly isShared?: boolean;
  /** How often the file was opened so far; may be left out by what cannot be written. */
  readonly timesOpened?: number;
  /**
   * All of a small file, where that is in memory and the kernel has not had it before: it may be given
   * along with the answer to open(2), so that reading it takes no request. Only there while nobody
   * else has the file open, for then the kernel waits for none of its pages.
   */
  readonly firstContent?: (() => Uint8Array | undefined) | undefined;
  /**
   * Set where the content is big and will never change, for all handles of the inode alike. Gives the
   * descriptor of a file that holds it and nothing else, if there is one; valid until something is
   * waited for.
   */
  readonly backing?: (() => number | undefined) | undefined;
  /** `lend` gives memory that the bytes may be put into; what is given may stand elsewhere. */
  read(offset: number, sizeBytes: number, lend?: () => Buffer): MaybePromise<Uint8Array>;
  /** `data` is only valid until this returns. Gives the number of bytes taken. See `VfsOperations.write`. */
  write(offset: number, data: Buffer, appends?: boolean): MaybePromise<number>;
  flush(): MaybePromise<void>;
  fsync(datasync: boolean): MaybePromise<void>;
  release(): MaybePromise<void>;
  /**
   * The mount has ended, and nobody knows whether this was closed: what was written since the last close or fsync
   * is not to be kept. Where it is left out, `release` does.
   */
  abandon?(): MaybePromise<void>;
  fallocate(offset: number, length: number, mode: number): MaybePromise<void>;
  lseek(offset: number, whence: number): MaybePromise<number>;
  /** The blob whose bytes this handle reads, as long as nothing was written over them. */
  stored?(): StoredContent | undefined;
  /**
   * Copies from stored content by its hash. Gives the number of bytes that are there as asked;
   * `undefined` when it takes moving the bytes, which the vfs then does with read and write.
   */
  copyStored?(
    source: StoredContent,
    offset: number,
    toOffset: number,
    lengthBytes: number,
  ): MaybePromise<number | undefined>;
}

/** A name that leads to a node. */
export interface NodePlace {
  readonly parent: Ino;
  readonly name: ByteString;
}

/** A regular file, whose content is read and written through handles. */
export abstract class FileVnode extends Vnode {
  /** Where it can be found again; `undefined` when it has no name, or none that would lead to the same. */
  place(): MaybePromise<NodePlace | undefined> {
    return undefined;
  }

  /** `flags` are those of open(2), O_TRUNC included. */
  abstract open(flags: number, caller: Caller): MaybePromise<FileHandle>;

  /** Reads without a handle, on mounts that are read-only for good (open is answered with ENOSYS there). */
  read(_offset: number, _sizeBytes: number, _lend?: () => Buffer): MaybePromise<Uint8Array> {
    throw new ErrnoError('EBADF');
  }
}

/** A symbolic link; where it leads is for the kernel to follow. */
export abstract class SymlinkVnode extends Vnode {
  abstract readlink(): MaybePromise<ByteString>;
}

/** A FIFO, socket or device node: it has attributes, and the kernel does the rest. */
export abstract class SpecialVnode extends Vnode {}
