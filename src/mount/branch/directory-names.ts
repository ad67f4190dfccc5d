import type { ByteString } from '../../git/byte-string.ts';
import { isGitlinkMode, isTreeMode } from '../../git/mode.ts';
import { Tree } from '../../git/object.ts';
import type { TreeEntry } from '../../git/object.ts';
import type { Oid } from '../../git/oid.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type { Ino, MaybePromise } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { BranchContext } from './branch-context.ts';
import type { BranchNode } from './branch-node.ts';

/** Makes the node of an entry that is looked at for the first time. */
export type NodeMaker = (entry: TreeEntry, ino: Ino) => BranchNode;

const noTree: Tree = Tree.parse(Buffer.alloc(0), 'sha1');

/**
 * The names in a directory: those of a tree (`origin`), with what the mount knows or changed laid
 * over it.
 *
 * - A name in `children` leads to that node, whatever the tree says. A node is there while the
 *   kernel knows it, and beyond that while it holds something that the tree does not.
 * - A name in `removed` leads nowhere. Only names that the tree may have are kept there.
 * - Any other name leads to what the tree has.
 * - `pending` are the names that the next commit has to look at: what they lead to may differ from
 *   the tree. A name that differs and is not pending is one that no commit takes (scratch names,
 *   FIFOs, files that were never closed); these are always in `children`.
 */
export class DirectoryNames {
  /** `null` for the empty tree. Changed when a commit took what differs, or the branch moved on. */
  origin: Oid | null;
  readonly children: Map<ByteString, BranchNode> = new Map();
  readonly removed: Set<ByteString> = new Set();
  readonly pending: Set<ByteString> = new Set();
  readonly #context: BranchContext;
  readonly #make: NodeMaker;
  #subdirectories: number | undefined;
  #numbers: ListedNumbers | undefined;

  constructor(context: BranchContext, origin: Oid | null, make: NodeMaker) {
    this.#context = context;
    this.origin = origin;
    this.#make = make;
  }

  /** The tree that gives the names which nothing is known about. */
  tree(): MaybePromise<Tree> {
    if (this.origin === null) return noTree;
    return this.#context.odb.treeIfCached(this.origin) ?? this.#context.odb.tree(this.origin);
  }

  treeIfCached(): Tree | undefined {
    return this.origin === null ? noTree : this.#context.odb.treeIfCached(this.origin);
  }

  /** What a name leads to; `null` for nothing. From then on it is in `children`. */
  get(name: ByteString): MaybePromise<BranchNode | null> {
    const known = this.children.get(name);
    if (known !== undefined) return known;
    if (this.origin === null || this.removed.has(name)) return null;
    const tree = this.treeIfCached();
    return tree === undefined ? this.#getFromDisk(name, this.origin) : this.#load(name, tree);
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
    this.#numbers?.retire(name);
  }

  /** Forgets the node of a name that the tree gives again as it is. */
  release(name: ByteString): void {
    this.children.delete(name);
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
    return whenReady(this.tree(), (tree) => {
      for (let index = 0; index < tree.size; index++) {
        if (!this.removed.has(tree.nameAt(index))) return false;
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
    this.#numbers ??= new ListedNumbers(this.#context, tree);
    return this.#numbers.at(tree, index);
  }

  /** The kernel has forgotten the directory: entries that have no node may get other numbers. */
  forgetNumbers(): void {
    this.#numbers = undefined;
  }

  async #getFromDisk(name: ByteString, origin: Oid): Promise<BranchNode | null> {
    const tree = await this.#context.odb.tree(origin);
    // Meanwhile another request may have loaded or changed the name, or a commit moved the tree on.
    if (this.origin !== origin || this.children.has(name) || this.removed.has(name)) {
      return this.get(name);
    }
    return this.#load(name, tree);
  }

  #load(name: ByteString, tree: Tree): BranchNode | null {
    const index = tree.indexOf(name);
    if (index < 0) return null;
    const ino = this.#numbers?.at(tree, index) ?? this.#context.inos.next();
    const node = this.#make(tree.at(index), ino);
    this.children.set(name, node);
    return node;
  }

  #countSubdirectory(change: number): void {
    if (this.#subdirectories !== undefined) this.#subdirectories += change;
  }

  #countIn(tree: Tree): number {
    let count = 0;
    for (const node of this.children.values()) if (node instanceof DirectoryVnode) count += 1;
    for (let index = 0; index < tree.size; index++) {
      const mode = tree.modeAt(index);
      if (!isTreeMode(mode) && !isGitlinkMode(mode)) continue;
      const name = tree.nameAt(index);
      if (!this.children.has(name) && !this.removed.has(name)) count += 1;
    }
    this.#subdirectories = count;
    return count;
  }
}

/**
 * Inode numbers of entries that were listed but never looked up. A name's place in the tree that was
 * listed first is its place in a row of numbers, which costs nothing for each name; names that came
 * into the tree later are few, as are those whose number went away with a node.
 */
class ListedNumbers {
  readonly #context: BranchContext;
  readonly #tree: Tree;
  readonly #first: number;
  readonly #others = new Map<ByteString, Ino>();

  constructor(context: BranchContext, tree: Tree) {
    this.#context = context;
    this.#tree = tree;
    this.#first = context.inos.reserve(tree.size);
  }

  at(tree: Tree, index: number): Ino {
    if (tree === this.#tree && this.#others.size === 0) return (this.#first + index) as Ino;
    const name = tree.nameAt(index);
    const other = this.#others.get(name);
    if (other !== undefined) return other;
    const place = this.#tree.indexOf(name);
    return place < 0 ? this.#another(name) : ((this.#first + place) as Ino);
  }

  /** The number that a name had belongs to a node that may live on elsewhere: it gets another the next time. */
  retire(name: ByteString): void {
    if (this.#tree.indexOf(name) < 0) this.#others.delete(name);
    else this.#another(name);
  }

  #another(name: ByteString): Ino {
    const ino = this.#context.inos.next();
    this.#others.set(name, ino);
    return ino;
  }
}
