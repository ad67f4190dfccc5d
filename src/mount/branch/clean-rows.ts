import type { ByteString } from '../../git/byte-string.ts';
import { isGitlinkMode, isTreeMode } from '../../git/mode.ts';
import type { Tree } from '../../git/object.ts';
import type { Oid } from '../../git/oid.ts';
import { InodeRow } from '../vfs/inode-rows.ts';
import type { RowOwner } from '../vfs/inode-rows.ts';
import type { Ino, Timespec } from '../vfs/operations.ts';
import type { Vnode } from '../vfs/vnode.ts';
import type { BranchContext } from './branch-context.ts';
import type { CleanFile, CleanSymlink } from './clean-nodes.ts';
import { MostlyEmptyMap, MostlyEmptySet } from './mostly-empty.ts';

/** Makes the node of an entry that nobody has touched, by its place in the row. */
export type CleanNodeMaker = (
  row: CleanRow,
  index: number,
  isLink: boolean,
) => CleanFile | CleanSymlink;

/**
 * The inode numbers of the entries of a directory. A name's place in the tree that was there first
 * is its place in a row of numbers, which costs nothing for each name; names that came into the tree
 * later are few, as are those whose number went away with a node.
 *
 * Files and links that nobody has touched need nothing but that number (`CleanFile`). A name stops
 * being one of those when its node is moved or removed, and when others have changed it.
 */
export class CleanRow implements RowOwner {
  readonly numbers: InodeRow;
  /** The tree that was there first, and its id. */
  readonly origin: Oid | null;
  readonly tree: Tree;
  /** The time that files show which nobody has touched. */
  readonly seenTime: Timespec;
  readonly #context: BranchContext;
  readonly #clean: CleanNodeMaker;
  readonly #others = new MostlyEmptyMap<ByteString, Ino>();
  /** Names whose files show another time. */
  readonly #changed = new MostlyEmptySet<ByteString>();
  /** A bit for each file whose content was read. */
  #read: Uint8Array | undefined;

  constructor(
    context: BranchContext,
    origin: Oid | null,
    tree: Tree,
    seenTime: Timespec,
    clean: CleanNodeMaker,
  ) {
    this.#context = context;
    this.origin = origin;
    this.tree = tree;
    this.seenTime = seenTime;
    this.numbers = new InodeRow(context.inos.reserve(tree.size), tree.size, this);
    this.#clean = clean;
  }

  rowNode(index: number, isLink: boolean): Vnode {
    return this.#clean(this, index, isLink);
  }

  /** The number of an entry, the same for a listing and for its node. */
  at(tree: Tree, index: number): Ino {
    if (tree === this.tree && this.#others.size === 0) return this.#numberAt(index);
    const name = tree.nameAt(index);
    const other = this.#others.get(name);
    if (other !== undefined) return other;
    const place = this.tree.indexOf(name);
    return place < 0 ? this.#another(name) : this.#numberAt(place);
  }

  /** Where in the row an entry stands that needs no node; -1 when it needs one. */
  placeOfClean(tree: Tree, index: number): number {
    const mode = tree.modeAt(index);
    if (isTreeMode(mode) || isGitlinkMode(mode)) return -1;
    const isFirstTree = tree === this.tree;
    if (isFirstTree && this.isAsFirst) return index;
    const name = tree.nameAt(index);
    if (this.#others.has(name) || this.#changed.has(name)) return -1;
    return isFirstTree ? index : this.tree.indexOf(name);
  }

  /** Nothing but the tree that was there first has a say in its entries. */
  get isAsFirst(): boolean {
    return this.#others.size === 0 && this.#changed.size === 0;
  }

  /** Notes that the content of a file is read. False when it was before. */
  reads(index: number): boolean {
    this.#read ??= new Uint8Array(Math.ceil(this.tree.size / 8));
    const byte = this.#read[index >> 3] ?? 0;
    this.#read[index >> 3] = byte | (1 << (index & 7));
    return (byte & (1 << (index & 7))) === 0;
  }

  /** Others have changed what the name leads to: it shows their time. */
  changed(name: ByteString): void {
    this.#changed.add(name);
  }

  /** The number that a name had belongs to a node that may live on elsewhere: it gets another the next time. */
  retire(name: ByteString): void {
    if (this.tree.indexOf(name) < 0) this.#others.delete(name);
    else this.#another(name);
  }

  #numberAt(index: number): Ino {
    return (this.numbers.first + index) as Ino;
  }

  #another(name: ByteString): Ino {
    const ino = this.#context.inos.next();
    this.#others.set(name, ino);
    return ino;
  }
}
