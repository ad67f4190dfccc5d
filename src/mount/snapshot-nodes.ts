import type { ByteString } from '../git/byte-string.ts';
import { repositoryName } from '../git/forbidden-name.ts';
import {
  canonicalMode,
  isGitlinkMode,
  isRegularMode,
  isSymlinkMode,
  isTreeMode,
  modeTree,
} from '../git/mode.ts';
import { parseCommit } from '../git/object.ts';
import type { Tree } from '../git/object.ts';
import type { Oid } from '../git/oid.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { shownDirectoryCount } from './hidden-repository.ts';
import { SnapshotFile, SnapshotLink, Submodule, blobSize } from './snapshot-files.ts';
import { snapshotCache, snapshotXattr, snapshotXattrNames } from './snapshot.ts';
import type { Snapshot, SnapshotObjects } from './snapshot.ts';
import { directoryAttr, plainAttr } from './vfs/attr.ts';
import { InodeRow } from './vfs/inode-rows.ts';
import type { RowOwner } from './vfs/inode-rows.ts';
import { whenReady } from './vfs/maybe-promise.ts';
import type { NodeContext } from './vfs/node-context.ts';
import type { Attr, Ino, MaybePromise } from './vfs/operations.ts';
import { DirectoryVnode } from './vfs/vnode.ts';
import type {
  CacheRule,
  DirectoryEntry,
  DirectoryStream,
  PlacedEntry,
  Vnode,
} from './vfs/vnode.ts';

/** Where the root of a snapshot stands in the mount. */
export interface SnapshotPlace {
  readonly ino: Ino;
  /** `null` when it is the root of the mount. */
  readonly parent: DirectoryVnode | null;
}

/** The root directory of a commit, read-only for good. `ref` is the tag that led to it, if one did. */
export async function openCommit(
  context: NodeContext,
  odb: SnapshotObjects,
  commit: Oid,
  place: SnapshotPlace,
  ref?: RefName,
): Promise<SnapshotDirectory> {
  const { data } = await odb.read(commit, 'commit');
  const { tree, committer } = parseCommit(data, commit);
  const time = { sec: Math.max(0, committer.timeSec), nsec: 0 };
  return new SnapshotDirectory({ context, odb, time, commit, ref }, tree, place);
}

/**
 * A directory of a snapshot. It keeps no names and no children: a name's place in the tree is its
 * place in a row of inode numbers, reserved at first sight, so readdir and stat agree about the
 * number of an entry without a node being made for it. Directories below are found again by their
 * number in the inode table; files and links are made again at each call. The tree itself is the
 * object database's to keep or to load again.
 */
export class SnapshotDirectory extends DirectoryVnode implements RowOwner {
  readonly ino: Ino;
  readonly snapshot: Snapshot;
  readonly #treeOid: Oid;
  readonly #parent: DirectoryVnode | null;
  #row: InodeRow | undefined;
  /** How many directories are in it; -1 before they are counted. */
  #subdirectories = -1;

  constructor(snapshot: Snapshot, treeOid: Oid, { ino, parent }: SnapshotPlace) {
    super();
    this.ino = ino;
    this.snapshot = snapshot;
    this.#treeOid = treeOid;
    this.#parent = parent;
  }

  get cache(): CacheRule {
    return snapshotCache;
  }

  override get readOnly(): boolean {
    return true;
  }

  get parent(): DirectoryVnode {
    return this.#parent ?? this;
  }

  tree(): MaybePromise<Tree> {
    const { odb } = this.snapshot;
    return odb.treeIfCached(this.#treeOid) ?? odb.tree(this.#treeOid);
  }

  getattr(): MaybePromise<Attr> {
    return this.#subdirectories < 0
      ? whenReady(this.tree(), (tree) => this.#attr(this.#countSubdirectories(tree)))
      : this.#attr(this.#subdirectories);
  }

  override listxattr(): ByteString[] {
    return snapshotXattrNames(this.snapshot);
  }

  override getxattr(name: ByteString): Uint8Array {
    return snapshotXattr(this.snapshot, this.#treeOid, name);
  }

  lookup(name: ByteString): MaybePromise<Vnode | null> {
    if (name === repositoryName) return null;
    return whenReady(this.tree(), (tree) => {
      const index = tree.indexOf(name);
      return index < 0 ? null : this.child(tree, index);
    });
  }

  entries(): MaybePromise<DirectoryStream> {
    return whenReady(this.tree(), (tree) => new SnapshotStream(this, tree));
  }

  /** The numbers of the entries, in their order; `tree` is that of this directory, here and below. */
  entryRow(tree: Tree): InodeRow {
    return (this.#row ??= new InodeRow(
      this.snapshot.context.inos.reserve(tree.size),
      tree.size,
      this,
    ));
  }

  /** The size of the file or link at an index. */
  sizeAt(tree: Tree, index: number): MaybePromise<number> {
    const { context, odb } = this.snapshot;
    return context.sizes?.at(this.#treeOid, tree, index) ?? blobSize(odb, tree.oidAt(index));
  }

  /** The file at an index, when its size is at hand. */
  placed(tree: Tree, index: number): PlacedEntry | undefined {
    const mode = tree.modeAt(index);
    if (!isRegularMode(mode)) return undefined;
    const { context, time } = this.snapshot;
    const sizeBytes = context.sizes?.atOnce(this.#treeOid, tree, index);
    if (sizeBytes === undefined) return undefined;
    const row = this.entryRow(tree);
    const ino = (row.first + index) as Ino;
    const attr = plainAttr(context, ino, canonicalMode(mode), sizeBytes, time);
    return { name: tree.nameAt(index), attr, row };
  }

  /** The node of the entry at an index. */
  child(tree: Tree, index: number): Vnode {
    const mode = tree.modeAt(index);
    const row = this.entryRow(tree);
    if (isSymlinkMode(mode)) return new SnapshotLink(this, row, index);
    if (!isTreeMode(mode) && !isGitlinkMode(mode)) return new SnapshotFile(this, row, index);
    const place = { ino: (row.first + index) as Ino, parent: this };
    const known = this.snapshot.context.inodes.get(place.ino);
    if (known !== undefined) return known;
    if (isGitlinkMode(mode)) return new Submodule(this.snapshot, tree.oidAt(index), place);
    return new SnapshotDirectory(this.snapshot, tree.oidAt(index), place);
  }

  rowNode(index: number, isLink: boolean): Vnode {
    if (this.#row === undefined) throw new RangeError('a row makes no nodes before it is there');
    return isLink
      ? new SnapshotLink(this, this.#row, index)
      : new SnapshotFile(this, this.#row, index);
  }

  #countSubdirectories(tree: Tree): number {
    return (this.#subdirectories = shownDirectoryCount(tree));
  }

  #attr(subdirectories: number): Attr {
    const { context, time } = this.snapshot;
    return directoryAttr(context, this.ino, subdirectories, time);
  }
}

class SnapshotStream implements DirectoryStream {
  readonly #directory: SnapshotDirectory;
  readonly #tree: Tree;
  readonly #row: InodeRow;
  readonly #hidden: number;

  constructor(directory: SnapshotDirectory, tree: Tree) {
    this.#directory = directory;
    this.#tree = tree;
    this.#hidden = tree.indexOf(repositoryName);
    this.#row = directory.entryRow(tree);
  }

  next(position: number): number {
    return position === this.#hidden ? position + 1 : position;
  }

  entry(position: number): DirectoryEntry | undefined {
    const tree = this.#tree;
    if (position >= tree.size) return undefined;
    const mode = canonicalMode(tree.modeAt(position));
    return {
      name: tree.nameAt(position),
      ino: (this.#row.first + position) as Ino,
      mode: isGitlinkMode(mode) ? modeTree : mode,
    };
  }

  placed(position: number): PlacedEntry | undefined {
    const tree = this.#tree;
    return position < tree.size ? this.#directory.placed(tree, position) : undefined;
  }

  node(position: number): Vnode {
    return this.#directory.child(this.#tree, position);
  }
}
