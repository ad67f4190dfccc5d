import type { Tree } from '../object.ts';
import type { Oid } from '../oid.ts';
import { CountedCache } from './counted-cache.ts';
import type { CacheCounts } from './counted-cache.ts';

// A key of 40 letters or 64, and the place in the cache.
const overheadBytes = 400;

const sizeOf = (tree: Tree): number => tree.sizeBytes + overheadBytes;

/**
 * Parsed trees, bounded in bytes. The last one that is larger than the bound is kept beside them: each
 * request about a directory asks for its tree, and without that every single one would inflate and
 * read all of it again, a million times for a listing of a million files. To be read at all it has to
 * be in memory, so the bound can only say for how long.
 */
export class TreeCache {
  readonly #maxSizeBytes: number;
  readonly #trees: CountedCache<Oid, Tree>;
  #large: { readonly oid: Oid; readonly tree: Tree } | undefined;
  #isLargeBusy = false;

  constructor(maxSizeBytes: number) {
    this.#maxSizeBytes = maxSizeBytes;
    this.#trees = new CountedCache({ maxSize: maxSizeBytes, sizeCalculation: sizeOf });
  }

  get(oid: Oid): Tree | undefined {
    if (this.#large?.oid !== oid) return this.#trees.get(oid);
    this.#isLargeBusy = true;
    this.#trees.hits += 1;
    return this.#large.tree;
  }

  /** As `get`, for somebody whose look was counted before. */
  peek(oid: Oid): Tree | undefined {
    return this.#large?.oid === oid ? this.#large.tree : this.#trees.peek(oid);
  }

  set(oid: Oid, tree: Tree): void {
    if (sizeOf(tree) <= this.#maxSizeBytes) {
      this.#trees.set(oid, tree);
      return;
    }
    this.#large = { oid, tree };
    this.#isLargeBusy = true;
  }

  delete(oid: Oid): void {
    this.#trees.delete(oid);
    if (this.#large?.oid === oid) this.#large = undefined;
  }

  /** Lets go of the large tree, unless it was asked for since this was called last. */
  closeIdle(): void {
    if (!this.#isLargeBusy) this.#large = undefined;
    this.#isLargeBusy = false;
  }

  counts(name: string): CacheCounts {
    const { sizeBytes, ...counts } = this.#trees.counts(name);
    const largeBytes = this.#large === undefined ? 0 : sizeOf(this.#large.tree);
    return { ...counts, sizeBytes: sizeBytes + largeBytes };
  }

  clear(): void {
    this.#trees.clear();
    this.#large = undefined;
  }
}
