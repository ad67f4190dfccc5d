import type { ByteString } from '../../git/byte-string.ts';
import { repositoryName } from '../../git/forbidden-name.ts';
import { canonicalMode, isRegularMode, isSymlinkMode } from '../../git/mode.ts';
import { Tree } from '../../git/object.ts';
import type { TreeEntry } from '../../git/object.ts';
import type { Oid } from '../../git/oid.ts';
import { shownDirectoryCount } from '../hidden-repository.ts';
import { plainAttr } from '../vfs/attr.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { Ino, MaybePromise, Timespec } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { PlacedEntry } from '../vfs/vnode.ts';
import type { BranchContext } from './branch-context.ts';
import type { BranchFile } from './branch-file.ts';
import type { BranchNode } from './branch-node.ts';
import type { CleanFile, CleanSymlink } from './clean-nodes.ts';
import { CleanRow } from './clean-rows.ts';
import type { CleanNodeMaker } from './clean-rows.ts';
import { DirectoryListing } from './directory-listing.ts';
import { MostlyEmptyMap, MostlyEmptySet } from './mostly-empty.ts';
import { LateNames } from './late-names.ts';

/** Makes the nodes of a directory. */
export interface NodeMaker {
  /** The node of an entry that somebody needs for the first time, as one that is kept. */
  kept(entry: TreeEntry, ino: Ino, seenTime: Timespec): BranchNode;
  readonly clean: CleanNodeMaker;
  /** The time that entries show which are seen from now on. */
  readonly seenTime: Timespec;
}

/** Stays empty. */
const noLateNames = new LateNames();
const noTree: Tree = Tree.parse(Buffer.alloc(0), 'sha1');

/**
 * The names in a directory: those of a tree (`origin`), with what the mount knows or changed laid
 * over it.
 *
 * - A name in `children` leads to that node, whatever the tree says. A node is there while the
 *   kernel knows it, and beyond that while it holds something that the tree does not. Files and
 *   links that nobody has touched are not there, though the kernel may know them: see `CleanRow`.
 * - A name in `removed` leads nowhere. Only names that the tree may have are kept there.
 * - Any other name leads to what the tree has, but for `.git` (see `repositoryName`).
 * - `pending` are the names that the next commit has to look at: what they lead to may differ from
 *   the tree. A name that differs and is not pending is one that no commit takes (scratch names,
 *   FIFOs, files that were never closed); these are always in `children`.
 * - `ignored` are those among these that a commit has left out by a rule file: see `IgnoreRules`.
 */
export class DirectoryNames {
  /** `null` for the empty tree. Changed when a commit took what differs, or the branch moved on. */
  origin: Oid | null;
  readonly children: MostlyEmptyMap<ByteString, BranchNode> = new MostlyEmptyMap();
  readonly removed: MostlyEmptySet<ByteString> = new MostlyEmptySet();
  readonly pending: MostlyEmptySet<ByteString> = new MostlyEmptySet();
  readonly ignored: MostlyEmptySet<ByteString> = new MostlyEmptySet();
  readonly #context: BranchContext;
  readonly #maker: NodeMaker;
  #subdirectories: number | undefined;
  #row: CleanRow | undefined;
  #late: LateNames | undefined;

  constructor(context: BranchContext, origin: Oid | null, maker: NodeMaker) {
    this.#context = context;
    this.origin = origin;
    this.#maker = maker;
  }

  /** The tree that gives the names which nothing is known about. */
  tree(): MaybePromise<Tree> {
    if (this.origin === null) return noTree;
    return this.treeIfCached() ?? this.#context.odb.tree(this.origin);
  }

  treeIfCached(): Tree | undefined {
    if (this.origin === null) return noTree;
    if (this.#row?.origin === this.origin) return this.#row.tree;
    return this.#context.odb.treeIfCached(this.origin);
  }

  /** What the tree has under a name; `undefined` when it has nothing there, or has to be read first. */
  storedIfCached(name: ByteString): TreeEntry | undefined {
    return this.treeIfCached()?.get(name);
  }

  /** What a name leads to; `null` for nothing. From then on it is in `children`. */
  get(name: ByteString): MaybePromise<BranchNode | null> {
    return this.#find(name, (tree, index) => this.#load(name, tree, index));
  }

  /** The same at once, with the tree of this directory at hand; `undefined` for nothing. */
  getIn(tree: Tree, name: ByteString): BranchNode | undefined {
    const known = this.children.get(name);
    if (known !== undefined || this.removed.has(name) || name === repositoryName) return known;
    const index = tree.indexOf(name);
    return index < 0 ? undefined : this.#load(name, tree, index);
  }

  /** `get` for somebody who only looks: a node that nobody has touched is not kept for it. */
  lookup(name: ByteString): MaybePromise<BranchNode | CleanFile | CleanSymlink | null> {
    return this.#find(name, (tree, index) => this.#look(name, tree, index));
  }

  /** `lookup` of the name that stands at an index of a tree which this directory has, or had. */
  lookupAt(tree: Tree, index: number): ReturnType<DirectoryNames['lookup']> {
    const name = tree.nameAt(index);
    const isPlain = tree === this.treeIfCached() && !this.removed.has(name);
    if (!isPlain || name === repositoryName) return this.lookup(name);
    return this.children.get(name) ?? this.#look(name, tree, index);
  }

  /**
   * The file at an index of a tree which this directory has, or had, if nobody has touched it and its size is
   * at hand.
   */
  placed(tree: Tree, index: number): PlacedEntry | undefined {
    const mode = tree.modeAt(index);
    const row = this.#row;
    if (!isRegularMode(mode) || row?.tree !== tree || !row.isAsFirst) return undefined;
    const { origin } = this;
    if (origin === null || origin !== row.origin) return undefined;
    const name = tree.nameAt(index);
    if (this.children.has(name) || this.removed.has(name)) return undefined;
    const sizeBytes = this.#context.sizes?.atOnce(origin, tree, index);
    if (sizeBytes === undefined) return undefined;
    const ino = (row.numbers.first + index) as Ino;
    const attr = plainAttr(this.#context, ino, canonicalMode(mode), sizeBytes, row.seenTime);
    return { name, attr, row: row.numbers };
  }

  /** The kernel knows entries that have no node here. */
  get hasLiveRow(): boolean {
    return (this.#row?.numbers.live ?? 0) > 0;
  }

  /**
   * Others have changed what stands under a name that nobody has touched. Gives the node that the
   * kernel may know, kept from now on. `tree` is that of this directory.
   */
  changedOutside(name: ByteString, tree: Tree): BranchNode | undefined {
    const row = this.#row;
    if (row === undefined) return undefined;
    const index = tree.indexOf(name);
    const place = index < 0 ? -1 : row.placeOfClean(tree, index);
    const isNodeless = place >= 0 && !this.children.has(name) && !this.removed.has(name);
    const ino = (row.numbers.first + place) as Ino;
    const isKnown = isNodeless && this.#context.inodes.get(ino) !== undefined;
    const node = isKnown ? this.#load(name, tree, index) : undefined;
    row.changed(name);
    return node;
  }

  /** Adds a name that led nowhere. */
  add(name: ByteString, node: BranchNode): void {
    if (this.children.has(name)) throw new Error('a name was given twice');
    this.children.set(name, node);
    this.removed.delete(name);
    if (node instanceof DirectoryVnode) this.#countSubdirectory(1);
  }

  /** Takes a name away. Tells whether the tree may have it, so that a commit has to take it away too. */
  remove(name: ByteString, node: BranchNode): boolean {
    this.detach(name);
    if (node instanceof DirectoryVnode) this.#countSubdirectory(-1);
    if (!this.mayBeStored(name)) return false;
    this.removed.add(name);
    return true;
  }

  /** Takes a name from its node, which lives on, and lets it lead to what the tree has. */
  detach(name: ByteString): void {
    this.children.delete(name);
    this.ignored.delete(name);
    this.#row?.retire(name);
  }

  /** Forgets the node of a name that the tree gives again as it is. */
  release(name: ByteString): void {
    this.children.delete(name);
  }

  /** Forgets a node that the tree gives again as it is, while the kernel goes on knowing its number. */
  makeClean(name: ByteString, node: BranchFile): void {
    const row = this.#row;
    const tree = this.treeIfCached();
    if (row === undefined || tree === undefined || this.children.get(name) !== node) return;
    const index = tree.indexOf(name);
    const place = index < 0 ? -1 : row.placeOfClean(tree, index);
    if (place < 0 || row.at(tree, index) !== node.ino) return;
    const { placed } = node;
    if (placed?.oid !== tree.oidAt(index) || placed.mode !== tree.modeAt(index)) return;
    this.children.delete(name);
    this.#context.inodes.putBack(node, row.numbers);
  }

  /** False when the tree is known not to have the name. */
  mayBeStored(name: ByteString): boolean {
    return this.treeIfCached()?.indexOf(name) !== -1;
  }

  /** The tree holds other names now, and what differs from it is other too. */
  moveOn(origin: Oid | null): void {
    this.origin = origin;
    this.#subdirectories = undefined;
  }

  isEmpty(): MaybePromise<boolean> {
    if (this.children.size > 0) return false;
    const { origin } = this;
    return whenReady(this.tree(), (tree) => {
      // Others may have put something there while the tree was read, and so may the mount.
      if (this.origin !== origin || this.children.size > 0) return this.isEmpty();
      for (let index = 0; index < tree.size; index++) {
        const name = tree.nameAt(index);
        if (name !== repositoryName && !this.removed.has(name)) return false;
      }
      return true;
    });
  }

  /** How many directories are in it, submodules included. */
  subdirectories(): MaybePromise<number> {
    return this.#subdirectories ?? whenReady(this.tree(), (tree) => this.#countIn(tree));
  }

  /** The number of an entry of the tree, the same for a listing and for its node. */
  inoAt(tree: Tree, index: number): Ino {
    return this.#rowOf(tree).at(tree, index);
  }

  /** Whether a name leads anywhere; `tree` is that of this directory. */
  has(tree: Tree, name: ByteString): boolean {
    if (this.children.has(name)) return true;
    return name !== repositoryName && !this.removed.has(name) && tree.indexOf(name) >= 0;
  }

  /** The names as they are now, for a listing that begins or goes on. */
  listing(tree: Tree, isBeginning: boolean): DirectoryListing {
    const row = this.#rowOf(tree);
    if (isBeginning) this.#updateLate(tree, row.tree);
    return new DirectoryListing(this, tree, row, this.#late ?? noLateNames);
  }

  /** The kernel has forgotten the directory: entries that have no node may get other numbers. */
  forgetNumbers(): void {
    if (this.#row?.numbers.live !== 0) return;
    this.#row = undefined;
    this.#late = undefined;
  }

  #updateLate(tree: Tree, first: Tree): void {
    if (tree === first && this.children.size === 0 && this.#late === undefined) return;
    const present = new Set<ByteString>();
    for (const name of this.children.keys()) if (first.indexOf(name) < 0) present.add(name);
    for (let index = 0; tree !== first && index < tree.size; index++) {
      const name = tree.nameAt(index);
      if (first.indexOf(name) < 0 && this.has(tree, name)) present.add(name);
    }
    if (present.size > 0) this.#late ??= new LateNames();
    this.#late?.update(present);
  }

  #rowOf(tree: Tree): CleanRow {
    // A listing may go on in a tree that was the origin when it began.
    const origin = tree === this.treeIfCached() ? this.origin : null;
    const { seenTime, clean } = this.#maker;
    this.#row ??= new CleanRow(this.#context, origin, tree, seenTime, clean);
    return this.#row;
  }

  #find<T>(
    name: ByteString,
    found: (tree: Tree, index: number) => T,
  ): MaybePromise<T | BranchNode | null> {
    const known = this.children.get(name);
    if (known !== undefined) return known;
    if (this.origin === null || this.removed.has(name) || name === repositoryName) return null;
    const tree = this.treeIfCached();
    if (tree === undefined) return this.#findOnDisk(name, this.origin, found);
    const index = tree.indexOf(name);
    return index < 0 ? null : found(tree, index);
  }

  async #findOnDisk<T>(
    name: ByteString,
    origin: Oid,
    found: (tree: Tree, index: number) => T,
  ): Promise<T | BranchNode | null> {
    const tree = await this.#context.odb.tree(origin);
    // Meanwhile another request may have loaded or changed the name, or a commit moved the tree on.
    if (this.origin !== origin || this.children.has(name) || this.removed.has(name)) {
      return this.#find(name, found);
    }
    const index = tree.indexOf(name);
    return index < 0 ? null : found(tree, index);
  }

  /** The node of an entry for somebody who only looks. */
  #look(name: ByteString, tree: Tree, index: number): BranchNode | CleanFile | CleanSymlink {
    const row = this.#rowOf(tree);
    const place = row.placeOfClean(tree, index);
    if (place < 0) return this.#load(name, tree, index);
    return this.#maker.clean(row, place, isSymlinkMode(tree.modeAt(index)));
  }

  /** Makes the node of an entry, and keeps it; with all references, if the kernel knows it already. */
  #load(name: ByteString, tree: Tree, index: number): BranchNode {
    const row = this.#row;
    const ino = row?.at(tree, index) ?? this.#context.inos.next();
    const isClean = row !== undefined && row.placeOfClean(tree, index) >= 0;
    const seenTime = isClean ? row.seenTime : this.#maker.seenTime;
    const node = this.#maker.kept(tree.at(index), ino, seenTime);
    this.children.set(name, node);
    this.#context.inodes.keep(node);
    return node;
  }

  #countSubdirectory(change: number): void {
    if (this.#subdirectories !== undefined) this.#subdirectories += change;
  }

  #countIn(tree: Tree): number {
    let count = 0;
    if (this.children.size === 0 && this.removed.size === 0) {
      return (this.#subdirectories = shownDirectoryCount(tree));
    }
    for (const node of this.children.values()) if (node instanceof DirectoryVnode) count += 1;
    for (let index = 0, left = tree.directoryCount; left > 0; index++) {
      if (!tree.isDirectoryAt(index)) continue;
      left -= 1;
      const name = tree.nameAt(index);
      if (name === repositoryName) continue;
      if (!this.children.has(name) && !this.removed.has(name)) count += 1;
    }
    this.#subdirectories = count;
    return count;
  }
}
