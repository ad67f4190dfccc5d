import type { ByteString } from '../../git/byte-string.ts';
import { canonicalMode, isSymlinkMode, modeSymlink } from '../../git/mode.ts';
import type { PlacedEntry } from '../../snapshot/path-versions.ts';
import { SnapshotHandle, attrOfBlob, blobSize, readTarget } from '../snapshot-files.ts';
import { snapshotCache, snapshotXattr, snapshotXattrNames } from '../snapshot.ts';
import type { Snapshot } from '../snapshot.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { Attr, Ino, MaybePromise } from '../vfs/operations.ts';
import { refuseWriting } from '../vfs/read-only-handle.ts';
import { FileVnode, SymlinkVnode } from '../vfs/vnode.ts';
import type { CacheRule, FileHandle } from '../vfs/vnode.ts';

/** A version of a file, or of a symbolic link, as it is in the snapshot that brought it. */
export function versionNode(
  snapshot: Snapshot,
  entry: PlacedEntry,
  ino: Ino,
): VersionFile | VersionLink {
  return isSymlinkMode(entry.mode)
    ? new VersionLink(snapshot, entry, ino)
    : new VersionFile(snapshot, entry, ino);
}

/** One content that a file had. */
class VersionFile extends FileVnode {
  readonly ino: Ino;
  readonly cache: CacheRule = snapshotCache;
  readonly #snapshot: Snapshot;
  readonly #entry: PlacedEntry;

  constructor(snapshot: Snapshot, entry: PlacedEntry, ino: Ino) {
    super();
    this.ino = ino;
    this.#snapshot = snapshot;
    this.#entry = entry;
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): MaybePromise<Attr> {
    const { oid, mode } = this.#entry;
    return attrOfBlob(this.#snapshot, oid, this.ino, canonicalMode(mode));
  }

  open(flags: number): MaybePromise<FileHandle> {
    refuseWriting(flags);
    const { odb } = this.#snapshot;
    const { oid } = this.#entry;
    return whenReady(
      blobSize(odb, oid),
      (sizeBytes) => new SnapshotHandle(odb, { oid, sizeBytes }),
    );
  }

  override listxattr(): ByteString[] {
    return snapshotXattrNames(this.#snapshot);
  }

  override getxattr(name: ByteString): Uint8Array {
    return snapshotXattr(this.#snapshot, this.#entry.oid, name);
  }
}

/** One target that a symbolic link had. */
class VersionLink extends SymlinkVnode {
  readonly ino: Ino;
  readonly cache: CacheRule = snapshotCache;
  readonly #snapshot: Snapshot;
  readonly #entry: PlacedEntry;

  constructor(snapshot: Snapshot, entry: PlacedEntry, ino: Ino) {
    super();
    this.ino = ino;
    this.#snapshot = snapshot;
    this.#entry = entry;
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): MaybePromise<Attr> {
    return attrOfBlob(this.#snapshot, this.#entry.oid, this.ino, modeSymlink | 0o777);
  }

  readlink(): MaybePromise<ByteString> {
    return readTarget(this.#snapshot.odb, this.#entry.oid);
  }

  override listxattr(): ByteString[] {
    return snapshotXattrNames(this.#snapshot);
  }

  override getxattr(name: ByteString): Uint8Array {
    return snapshotXattr(this.#snapshot, this.#entry.oid, name);
  }
}
