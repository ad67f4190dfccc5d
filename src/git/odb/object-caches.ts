import type { Oid } from '../oid.ts';
import { ownBytes } from '../own-bytes.ts';
import { CountedCache } from './counted-cache.ts';
import type { CacheCounts } from './counted-cache.ts';
import { DeltaBaseCache } from './delta-base-cache.ts';
import type { ObjectData } from './delta-base-cache.ts';
import { PageCache } from './page-cache.ts';
import { TreeCache } from './tree-cache.ts';
import type { ObjectInfo } from './unpacking.ts';

/** The memory that the caches of a database may take together, when nobody says otherwise. */
export const defaultCacheSizeBytes: number = 83 * 1024 * 1024;

// Sixteenths of the whole. Of the default the pages hold most of the ids and offsets of a million objects;
// what a walk of all of them needs of the others is glanced at (see `PagedFile`). Trees answer with a binary search, and
// even a directory of 500 000 files fits in. A kernel in front keeps what was read, so content and the
// blocks of big blobs need only last from one read of a file to the next.
const shares = {
  trees: 4.25,
  pages: 4.5,
  deltaBases: 2.5,
  objects: 2.25,
  blobBlocks: 2.25,
  infos: 0.25,
};

// A key of 40 letters or 64, the object, and the place in the cache.
const infoSizeBytes = 200;
const overheadBytes = 400;

/** All that a database keeps in memory, each part with its share of one bound. */
export class ObjectCaches {
  readonly pages: PageCache;
  readonly deltaBases: DeltaBaseCache;
  readonly objects: CountedCache<Oid, ObjectData>;
  readonly trees: TreeCache;
  readonly infos: CountedCache<Oid, ObjectInfo>;
  readonly maxBlobBlocksSizeBytes: number;
  /** Larger content is not kept in `objects`. */
  readonly largestObjectBytes: number;

  constructor(sizeBytes: number) {
    const share = (sixteenths: number): number => Math.ceil((sizeBytes / 16) * sixteenths);
    this.pages = new PageCache({ maxSizeBytes: share(shares.pages) });
    this.deltaBases = new DeltaBaseCache(share(shares.deltaBases));
    this.maxBlobBlocksSizeBytes = share(shares.blobBlocks);
    // One object does not push out all the others.
    this.largestObjectBytes = Math.ceil(share(shares.objects) / 8);
    this.objects = new CountedCache({
      maxSize: share(shares.objects),
      maxEntrySize: this.largestObjectBytes + overheadBytes,
      sizeCalculation: ({ data }) => data.length + overheadBytes,
    });
    this.trees = new TreeCache(share(shares.trees));
    this.infos = new CountedCache({
      maxSize: share(shares.infos),
      sizeCalculation: () => infoSizeBytes,
    });
  }

  /** Keeps an object, if it is not too large. */
  keepObject(oid: Oid, { type, data }: ObjectData): void {
    this.objects.set(oid, { type, data: ownBytes(data) });
  }

  /** How useful each cache is. */
  counts(): CacheCounts[] {
    return [
      this.trees.counts('trees'),
      this.objects.counts('objects'),
      this.infos.counts('sizes'),
      this.pages.counts(),
      this.deltaBases.counts(),
    ];
  }

  /** Lets go of what is large and was not asked for since this was called last. */
  closeIdle(): void {
    this.pages.closeIdle();
    this.trees.closeIdle();
  }

  /** Forgets everything. */
  clear(): void {
    this.objects.clear();
    this.trees.clear();
    this.infos.clear();
  }
}
