import { LRUCache } from 'lru-cache';

/** How often something was found in a cache, and how often not, since it is there. */
export interface CacheCounts {
  /** What the cache holds: `trees`, `pages` and the like. */
  readonly name: string;
  readonly hits: number;
  readonly misses: number;
  /** What it takes at the moment, by its own reckoning. */
  readonly sizeBytes: number;
}

/** A cache bounded in bytes that counts what `get` finds and what it does not. */
export class CountedCache<K extends string | number, V extends object> extends LRUCache<K, V> {
  hits = 0;
  misses = 0;

  override get(key: K): V | undefined {
    const value = super.get(key);
    if (value === undefined) this.misses += 1;
    else this.hits += 1;
    return value;
  }

  /** The counts, under a name for the cache. */
  counts(name: string): CacheCounts {
    return { name, hits: this.hits, misses: this.misses, sizeBytes: this.calculatedSize };
  }
}
