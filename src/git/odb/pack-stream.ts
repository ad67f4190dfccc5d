import { createHash } from 'node:crypto';
import type { ReachableObject } from '../reachable.ts';
import { cutIntoPieces, deflatePieces, deflateWhole, pieceBytes } from './deflate.ts';
import type { ObjectDatabase } from './object-database.ts';
import { offsetDeltaHeader, packEntryHeader, packHeader } from './pack-headers.ts';
import type { StoredEntry } from './stored-entry.ts';

/** How a pack is sent. */
export interface PackStreamOptions {
  /** zlib's level, -1 to 9. Default -1, zlib's own. */
  readonly compressionLevel?: number;
  /** Whether deltas may be sent, each with the distance to its base (`ofs-delta`). Default `true`. */
  readonly deltas?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Told how many of the objects are written, and how many bytes these are so far. */
  readonly onObject?: (written: number, bytes: number) => void;
}

const chunkBytes = 64 * 1024;

/**
 * A pack (gitformat-pack, version 2) of these objects, as it is written to a stream, in chunks of some
 * 64 KiB or more. What stands in a pack is copied as it is, deltas too when their base is sent before
 * them; nothing is made a delta here. In memory is where each object stands, and one of them.
 */
export async function* packStream(
  odb: ObjectDatabase,
  objects: readonly ReachableObject[],
  options: PackStreamOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash(odb.algorithm);
  const entries = new PackEntries(odb, options);
  const header = packHeader(objects.length);
  let waiting: Buffer[] = [header];
  let waitingBytes = 0;
  let position = header.length;
  let written = 0;
  for (const object of objects) {
    options.signal?.throwIfAborted();
    for await (const part of entries.parts(object, position)) {
      waiting.push(part);
      waitingBytes += part.length;
      position += part.length;
      if (waitingBytes < chunkBytes) continue;
      const chunk = Buffer.concat(waiting);
      hash.update(chunk);
      yield chunk;
      waiting = [];
      waitingBytes = 0;
    }
    options.onObject?.(++written, position);
  }
  options.signal?.throwIfAborted();
  const rest = Buffer.concat(waiting);
  hash.update(rest);
  yield Buffer.concat([rest, hash.digest()]);
}

/** Makes the entries, and knows where in the new pack those stand that came from others. */
class PackEntries {
  readonly #odb: ObjectDatabase;
  readonly #level: number;
  readonly #mayCopyDeltas: boolean;
  // For each pack, by the offset there.
  readonly #positions = new Map<number, Map<number, number>>();

  constructor(odb: ObjectDatabase, { compressionLevel = -1, deltas = true }: PackStreamOptions) {
    this.#odb = odb;
    this.#level = compressionLevel;
    this.#mayCopyDeltas = deltas;
  }

  /** The bytes of an entry that starts at this position. */
  async *parts(
    { oid, type }: ReachableObject,
    position: number,
  ): AsyncGenerator<Buffer, void, undefined> {
    const stored = await this.#odb.storedEntry(oid);
    const copy = stored && this.#copy(stored, position);
    if (copy !== undefined) {
      yield* copy;
      return;
    }
    const { sizeBytes } = await this.#odb.header(oid);
    if (sizeBytes > pieceBytes) {
      yield packEntryHeader(type, sizeBytes);
      yield* deflatePieces(cutIntoPieces(this.#odb.stream(oid)), sizeBytes, this.#level, type);
      return;
    }
    const { data } = await this.#odb.read(oid, type);
    yield packEntryHeader(type, data.length);
    yield await deflateWhole(data, this.#level, type);
  }

  /** The parts of a copy, when it can be copied. Its deltas find it where it stands now, copied or not. */
  #copy(stored: StoredEntry, position: number): Buffer[] | undefined {
    const { packId, offset, type, baseOffset, sizeBytes, deflated } = stored;
    let positions = this.#positions.get(packId);
    if (positions === undefined)
      this.#positions.set(packId, (positions = new Map<number, number>()));
    const base = positions.get(baseOffset);
    positions.set(offset, position);
    if (deflated === undefined) return undefined;
    if (type !== undefined) return [packEntryHeader(type, sizeBytes), deflated];
    if (base === undefined || !this.#mayCopyDeltas) return undefined;
    return [offsetDeltaHeader(sizeBytes, position - base), deflated];
  }
}
