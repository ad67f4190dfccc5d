import type { ObjectType } from '../object.ts';
import { ownBytes } from '../own-bytes.ts';
import type { TreeScanner } from '../tree-scan.ts';
import { CountedCache } from './counted-cache.ts';
import type { CacheCounts } from './counted-cache.ts';
import type { Pack } from './pack.ts';

/** An object with its content. The bytes are shared with caches: they must not be written to. */
export interface ObjectData {
  readonly type: ObjectType;
  readonly data: Buffer;
  /** What has been seen of a large tree while it was inflated. */
  readonly scanner?: TreeScanner | undefined;
}

// The object, its key and the place in the cache.
const overheadBytes = 400;

/** Objects that deltas were applied to, or made from, by where they stand; bounded in bytes. */
export class DeltaBaseCache {
  readonly #objects: CountedCache<string, ObjectData>;

  constructor(maxSizeBytes: number) {
    this.#objects = new CountedCache({
      maxSize: maxSizeBytes,
      // One object does not push out everything that was of use before.
      maxEntrySize: Math.ceil(maxSizeBytes / 4),
      sizeCalculation: ({ data }) => data.length + overheadBytes,
    });
  }

  /** How useful it is. */
  counts(): CacheCounts {
    return this.#objects.counts('delta-bases');
  }

  get(pack: Pack, offset: number): ObjectData | undefined {
    return this.#objects.get(`${pack.id}:${offset}`);
  }

  set(pack: Pack, offset: number, { type, data }: ObjectData): void {
    this.#objects.set(`${pack.id}:${offset}`, { type, data: ownBytes(data) });
  }
}
