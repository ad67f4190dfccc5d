import type { ObjectType } from '../object.ts';
import type { PackLocation } from './pack-directory.ts';

/** An entry of a pack, to be copied into another one. */
export interface StoredEntry {
  /** The pack, and where in it the entry starts. */
  readonly packId: number;
  readonly offset: number;
  /** Undefined for a delta. */
  readonly type: ObjectType | undefined;
  /** Where the entry of a delta's base starts in the same pack. */
  readonly baseOffset: number;
  /** The size of the object, or of the delta. */
  readonly sizeBytes: number;
  /** Its zlib stream, which has been seen to be whole; undefined when it is too long for that. */
  readonly deflated: Buffer | undefined;
}

/** Reads an entry as it stands; throws a `Fault` when a page of the pack is not in memory. */
export function storedEntryAt({ pack, offset }: PackLocation): StoredEntry {
  const entry = pack.entryAt(offset);
  return { ...entry, packId: pack.id, deflated: pack.deflated(entry) };
}
