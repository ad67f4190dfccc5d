import type { Ino } from './operations.ts';
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
 * The count is kept in the node itself: with a million inodes, a record beside each would cost more
 * than the nodes do.
 */
export class InodeTable {
  readonly #nodes = new Map<Ino, Vnode>();

  /** How many inodes are known. */
  get size(): number {
    return this.#nodes.size;
  }

  /** The node with this number, if it is live. */
  get(ino: Ino): Vnode | undefined {
    return this.#nodes.get(ino);
  }

  /** Counts one more reference; gives the node that is in the table for this number. */
  hold(node: Vnode): Vnode {
    const known = this.#nodes.get(node.ino);
    if (known === undefined) this.#nodes.set(node.ino, node);
    const held = known ?? node;
    held.references += 1;
    return held;
  }

  /** Takes back one `hold`. */
  drop(node: Vnode): void {
    this.#release(node, 1);
  }

  /** Takes back lookups. A number that is not in the table is no fault: `clear` voids what is on its way. */
  forget(ino: Ino, lookups: number): void {
    const node = this.#nodes.get(ino);
    if (node !== undefined) this.#release(node, lookups);
  }

  /** The kernel is gone, and every reference with it. */
  clear(): void {
    const nodes = [...this.#nodes.values()];
    this.#nodes.clear();
    for (const node of nodes) {
      node.references = 0;
      node.forgotten();
    }
  }

  #release(node: Vnode, count: number): void {
    node.references = Math.max(0, node.references - count);
    if (node.references === 0 && this.#nodes.delete(node.ino)) node.forgotten();
  }
}
