import type { Oid } from '../oid.ts';
import type { ObjectDatabase } from './object-database.ts';
import type { StagingArea } from './staging-area.ts';

/**
 * Stores objects that a database has (or has staged) once more, in a new pack. What a running `git gc`
 * decided to remove, it removes from loose objects and from the packs that stood there when it began:
 * an object that a ref leads to by now is safe in a pack that was made afterwards. `area` has to take
 * what the repository holds already, and is discarded.
 */
export async function packAgain(
  database: ObjectDatabase,
  area: StagingArea,
  oids: Iterable<Oid>,
  { fsync }: { readonly fsync: boolean },
): Promise<void> {
  try {
    for (const oid of new Set(oids)) {
      const { type, sizeBytes } = await database.header(oid);
      await area.writeStream(type, sizeBytes, database.stream(oid));
    }
    await area.publish(undefined, { fsync, besideGc: true });
  } finally {
    await area.discard();
  }
}
