import { InodeRows } from './inode-rows.ts';
import type { InodeRow } from './inode-rows.ts';
import type { Ino } from './operations.ts';
import { SymlinkVnode } from './vnode.ts';
import type { Vnode } from './vnode.ts';

/**
 * The inodes that the kernel knows by their number. The life of one:
 *
 * - **Live.** An answer told the kernel of the node (lookup, create, an entry of a readdir with
 *   attributes, …), which counts one reference for each time; `forget` takes back many at once. An
 *   open handle counts one too.
 * - **Orphaned.** The name is gone (unlink, or a rename over it) but references are left: a process
 *   has the file open, stands in the directory, or the kernel merely has not told us yet. The node
 *   is found by its number as before; whether it still has a name is for the node to know. Its
 *   content may go no sooner than its last reference.
 * - **Forgotten.** The last reference went. The node is taken out of the table and told so
 *   (`Vnode.forgotten`), and whoever handed it out lets go of it.
 *
 * Forgetting races with looking up. The kernel sends FORGET for the lookups that were answered by
 * then, so a lookup whose answer is on its way keeps the count above zero, provided that it was
 * counted before anything else could run. Therefore `hold` is called as soon as a directory gives
 * the node, before its attributes are waited for, and `drop` takes that back when they do not come.
 * A directory that answers late (from the disk) may hand out a node which was forgotten meanwhile:
 * it is simply live again. Or it may make a second node for a number that is live: the one in the
 * table wins, and the other is never seen. Nodes that hold no state can therefore be made anew at
 * each lookup; nodes that do must be kept by their directory until `forgotten`.
 *
 * With a million inodes, what is kept for each counts. The number of references stands in the node
 * itself; and a node that holds nothing but its place (a file of a snapshot) is not kept at all: its
 * references are counted in a row (`InodeRow`), and it is made again when its number is named. Such
 * a node is not told that it is forgotten. When it gets something to hold after all, another node
 * takes its number over for good, with all references (`keep`), and whoever has the first one in his
 * hand is led to the second by `hold`.
 */
export class InodeTable {
  readonly #nodes = new Map<Ino, Vnode>();
  readonly #rows = new InodeRows();

  /** How many inodes are known. */
  get size(): number {
    return this.#nodes.size + this.#rows.size;
  }

  /** The node with this number, if it is live. */
  get(ino: Ino): Vnode | undefined {
    return this.#nodes.get(ino) ?? this.#rows.get(ino);
  }

  /** Counts one more reference; gives the node that is in the table for this number. */
  hold(node: Vnode): Vnode {
    const { ino, row } = node;
    const known = this.#nodes.get(ino);
    if (row !== undefined && known === undefined) {
      this.#rows.hold(row, ino, node instanceof SymlinkVnode);
      return node;
    }
    if (known === undefined) this.#nodes.set(ino, node);
    const held = known ?? node;
    held.references += 1;
    return held;
  }

  /** As `hold`, for a node of a row that is no link, without the node. */
  holdPlace(row: InodeRow, ino: Ino): void {
    const known = this.#nodes.get(ino);
    if (known === undefined) this.#rows.hold(row, ino, false);
    else known.references += 1;
  }

  /** Takes back one `hold`. */
  drop({ ino }: { readonly ino: Ino }): void {
    const node = this.#nodes.get(ino);
    if (node === undefined) this.#rows.release(ino, 1);
    else this.#release(node, 1);
  }

  /** As `hold`, for a handle: whatever the kernel says that it forgets, the node stays until `close`. */
  open(node: Vnode): Vnode {
    const held = this.hold(node);
    held.openHandles += 1;
    return held;
  }

  /** Takes back one `open`. */
  close(node: Vnode): void {
    node.openHandles -= 1;
    this.drop(node);
  }

  /** From now on this node has the number that a row has counted for it, and all references. */
  keep(node: Vnode): void {
    const references = this.#rows.take(node.ino);
    if (references === 0) return;
    node.references = references;
    this.#nodes.set(node.ino, node);
  }

  /** The reverse: a row counts the references of a node that is not kept any more. */
  putBack(node: Vnode, row: InodeRow): void {
    if (this.#nodes.get(node.ino) !== node) return;
    this.#nodes.delete(node.ino);
    const isLink = node instanceof SymlinkVnode;
    this.#rows.hold(row, node.ino, isLink, node.references);
    node.references = 0;
  }

  /** Takes back lookups. A number that is not in the table is no fault: `clear` voids what is on its way. */
  forget(ino: Ino, lookups: number): void {
    const node = this.#nodes.get(ino);
    if (node === undefined) this.#rows.release(ino, lookups);
    else this.#release(node, Math.min(lookups, node.references - node.openHandles));
  }

  /** The kernel is gone, and every reference with it. */
  clear(): void {
    const nodes = [...this.#nodes.values()];
    this.#nodes.clear();
    this.#rows.clear();
    for (const node of nodes) {
      node.references = 0;
      node.openHandles = 0;
      node.forgotten();
    }
  }

  #release(node: Vnode, count: number): void {
    node.references = Math.max(0, node.references - count);
    if (node.references === 0 && this.#nodes.delete(node.ino)) node.forgotten();
  }
}
