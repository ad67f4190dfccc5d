import { Tree } from '../../git/object.ts';
import { forEachBounded } from '../../git/odb/for-each-bounded.ts';
import type { ObjectDatabase } from '../../git/odb/object-database.ts';
import type { Oid } from '../../git/oid.ts';

const readAtATime = 16;
const noTree: Tree = Tree.parse(Buffer.alloc(0), 'sha1');

/**
 * Trees for a walk that must not wait: it goes as far as they are in memory, what it lacked is read,
 * and it begins again, until it lacks nothing.
 */
export class LoadedTrees {
  readonly #odb: ObjectDatabase;
  readonly #trees = new Map<Oid, Tree>();
  readonly #missing = new Set<Oid>();

  constructor(odb: ObjectDatabase) {
    this.#odb = odb;
  }

  /** Runs the walk until it asked for no tree that it did not get. */
  async walk(walk: () => void): Promise<void> {
    for (;;) {
      walk();
      if (this.hasAll) return;
      const missing = [...this.#missing];
      this.#missing.clear();
      await forEachBounded(missing, readAtATime, async (oid) => {
        this.#trees.set(oid, await this.#odb.tree(oid));
      });
    }
  }

  /** Nothing was asked for in vain since the walk began. */
  get hasAll(): boolean {
    return this.#missing.size === 0;
  }

  /** A tree, `null` standing for the empty one; `undefined` when it has to be read first. */
  get(oid: Oid | null): Tree | undefined {
    if (oid === null) return noTree;
    const tree = this.#trees.get(oid) ?? this.#odb.treeIfCached(oid);
    if (tree === undefined) this.#missing.add(oid);
    else this.#trees.set(oid, tree);
    return tree;
  }
}
