import { CorruptObjectError } from '../errors.ts';
import { byteStringFromBuffer } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { canonicalMode, modeSymlink } from '../git/mode.ts';
import type { Oid } from '../git/oid.ts';
import { snapshotCache, snapshotXattr, snapshotXattrNames } from './snapshot.ts';
import type { Snapshot, SnapshotObjects } from './snapshot.ts';
import type { SnapshotDirectory } from './snapshot-nodes.ts';
import { directoryAttr, plainAttr } from './vfs/attr.ts';
import { ErrnoError } from './vfs/errno.ts';
import type { InodeRow } from './vfs/inode-rows.ts';
import { whenReady } from './vfs/maybe-promise.ts';
import type { Attr, Ino, MaybePromise } from './vfs/operations.ts';
import { ReadOnlyHandle, refuseWriting } from './vfs/read-only-handle.ts';
import { DirectoryVnode, FileVnode, SymlinkVnode } from './vfs/vnode.ts';
import type {
  CacheRule,
  DirectoryStream,
  FileHandle,
  NodePlace,
  StoredContent,
} from './vfs/vnode.ts';

/** What the kernel takes as the target of a link: PATH_MAX without the NUL. */
const linkTargetLimitBytes = 4095;

/** Smaller files are read in a few requests. */
const backedFromBytes = 4 * 1024 * 1024;

const nothing: Buffer = Buffer.alloc(0);

/**
 * A file of a snapshot: an index into the tree of its directory. There may be a million of them, so
 * none is kept (see `Vnode.row`); mode and hash are read from the tree when somebody asks.
 */
export class SnapshotFile extends FileVnode {
  readonly #parent: SnapshotDirectory;
  readonly #row: InodeRow;
  readonly #index: number;

  constructor(parent: SnapshotDirectory, row: InodeRow, index: number) {
    super();
    this.#parent = parent;
    this.#row = row;
    this.#index = index;
  }

  get ino(): Ino {
    return (this.#row.first + this.#index) as Ino;
  }

  override get row(): InodeRow {
    return this.#row;
  }

  get cache(): CacheRule {
    return snapshotCache;
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): MaybePromise<Attr> {
    const { context, time } = this.#parent.snapshot;
    return whenReady(this.#parent.tree(), (tree) => {
      const mode = canonicalMode(tree.modeAt(this.#index));
      return whenReady(this.#parent.sizeAt(tree, this.#index), (sizeBytes) =>
        plainAttr(context, this.ino, mode, sizeBytes, time),
      );
    });
  }

  override place(): MaybePromise<NodePlace> {
    return whenReady(this.#parent.tree(), (tree) => ({
      parent: this.#parent.ino,
      name: tree.nameAt(this.#index),
    }));
  }

  open(flags: number): MaybePromise<FileHandle> {
    refuseWriting(flags);
    const { odb } = this.#parent.snapshot;
    return whenReady(this.#stored(), (stored) => new SnapshotHandle(odb, stored));
  }

  override read(offset: number, sizeBytes: number, lend?: () => Buffer): MaybePromise<Uint8Array> {
    const { odb } = this.#parent.snapshot;
    return whenReady(this.#stored(), (stored) => readBlob(odb, stored, offset, sizeBytes, lend));
  }

  override listxattr(): ByteString[] {
    return snapshotXattrNames(this.#parent.snapshot);
  }

  override getxattr(name: ByteString): MaybePromise<Uint8Array> {
    const { snapshot } = this.#parent;
    return whenReady(this.#oid(), (oid) => snapshotXattr(snapshot, oid, name));
  }

  #oid(): MaybePromise<Oid> {
    return whenReady(this.#parent.tree(), (tree) => tree.oidAt(this.#index));
  }

  #stored(): MaybePromise<StoredContent> {
    return whenReady(this.#oid(), (oid) =>
      whenReady(blobSize(this.#parent.snapshot.odb, oid), (sizeBytes) => ({ oid, sizeBytes })),
    );
  }
}

/** An open file of a snapshot: a blob, whatever happens to the name. */
export class SnapshotHandle extends ReadOnlyHandle {
  readonly keepCache = true;
  readonly backing: (() => number | undefined) | undefined;
  readonly #odb: SnapshotObjects;
  readonly #stored: StoredContent;

  constructor(odb: SnapshotObjects, stored: StoredContent) {
    super();
    if (stored.sizeBytes >= backedFromBytes) this.backing = () => odb.spooledFile(stored.oid);
    this.#odb = odb;
    this.#stored = stored;
  }

  get sizeBytes(): number {
    return this.#stored.sizeBytes;
  }

  stored(): StoredContent {
    return this.#stored;
  }

  read(offset: number, sizeBytes: number, lend?: () => Buffer): MaybePromise<Uint8Array> {
    return readBlob(this.#odb, this.#stored, offset, sizeBytes, lend);
  }
}

/** A symbolic link of a snapshot. */
export class SnapshotLink extends SymlinkVnode {
  readonly #parent: SnapshotDirectory;
  readonly #row: InodeRow;
  readonly #index: number;

  constructor(parent: SnapshotDirectory, row: InodeRow, index: number) {
    super();
    this.#parent = parent;
    this.#row = row;
    this.#index = index;
  }

  get ino(): Ino {
    return (this.#row.first + this.#index) as Ino;
  }

  override get row(): InodeRow {
    return this.#row;
  }

  get cache(): CacheRule {
    return snapshotCache;
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): MaybePromise<Attr> {
    const { context, time } = this.#parent.snapshot;
    return whenReady(this.#parent.tree(), (tree) =>
      whenReady(this.#parent.sizeAt(tree, this.#index), (sizeBytes) =>
        plainAttr(context, this.ino, modeSymlink | 0o777, sizeBytes, time),
      ),
    );
  }

  readlink(): MaybePromise<ByteString> {
    const { odb } = this.#parent.snapshot;
    return whenReady(this.#oid(), (oid) => readTarget(odb, oid));
  }

  override listxattr(): ByteString[] {
    return snapshotXattrNames(this.#parent.snapshot);
  }

  override getxattr(name: ByteString): MaybePromise<Uint8Array> {
    const { snapshot } = this.#parent;
    return whenReady(this.#oid(), (oid) => snapshotXattr(snapshot, oid, name));
  }

  #oid(): MaybePromise<Oid> {
    return whenReady(this.#parent.tree(), (tree) => tree.oidAt(this.#index));
  }
}

/** A submodule: the commit is in another repository, so there is nothing to show but the directory. */
export class Submodule extends DirectoryVnode {
  readonly ino: Ino;
  readonly parent: DirectoryVnode;
  readonly #snapshot: Snapshot;
  readonly #commit: Oid;

  /** `commit` is what the other repository has to have checked out here. */
  constructor(
    snapshot: Snapshot,
    commit: Oid,
    { ino, parent }: { ino: Ino; parent: DirectoryVnode },
  ) {
    super();
    this.ino = ino;
    this.parent = parent;
    this.#snapshot = snapshot;
    this.#commit = commit;
  }

  get cache(): CacheRule {
    return snapshotCache;
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): Attr {
    const { context, time } = this.#snapshot;
    return directoryAttr(context, this.ino, 0, time);
  }

  override listxattr(): ByteString[] {
    return snapshotXattrNames(this.#snapshot);
  }

  override getxattr(name: ByteString): Uint8Array {
    return snapshotXattr(this.#snapshot, this.#commit, name);
  }

  lookup(): null {
    return null;
  }

  entries(): DirectoryStream {
    return { entry: () => undefined };
  }
}

/** What `stat` shows of a file or link of a snapshot. */
export function attrOfBlob(
  { context, odb, time }: Snapshot,
  oid: Oid,
  ino: Ino,
  mode: number,
): MaybePromise<Attr> {
  return whenReady(blobSize(odb, oid), (sizeBytes) =>
    plainAttr(context, ino, mode, sizeBytes, time),
  );
}

/** The size of a blob. An entry of a tree may claim that something else is a file. */
export function blobSize(odb: SnapshotObjects, oid: Oid): MaybePromise<number> {
  return whenReady(odb.headerIfCached(oid) ?? odb.header(oid), ({ type, sizeBytes }) => {
    if (type !== 'blob') throw new CorruptObjectError(`a tree has a ${type} as a file`, { oid });
    return sizeBytes;
  });
}

/** A part of a blob, cut at its end; at once when it is in memory. What comes from a disk may be put into memory that is lent. */
export function readBlob(
  odb: SnapshotObjects,
  { oid, sizeBytes }: StoredContent,
  offset: number,
  lengthBytes: number,
  lend?: () => Buffer,
): MaybePromise<Buffer> {
  const end = Math.min(offset + lengthBytes, sizeBytes);
  if (offset >= end) return nothing;
  const cached = odb.readIfCached(oid);
  if (cached !== undefined) return cached.data.subarray(offset, end);
  return odb.readRange(oid, offset, end - offset, lend);
}

/** What a symbolic link leads to. */
export function readTarget(odb: SnapshotObjects, oid: Oid): MaybePromise<ByteString> {
  return whenReady(blobSize(odb, oid), (sizeBytes) => {
    // A link can be made that no system follows; its blob is not worth reading.
    if (sizeBytes > linkTargetLimitBytes) throw new ErrnoError('ENAMETOOLONG');
    return whenReady(readBlob(odb, { oid, sizeBytes }, 0, sizeBytes), byteStringFromBuffer);
  });
}
