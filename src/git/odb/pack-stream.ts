import { createHash } from 'node:crypto';
import type { ReachableObject } from '../reachable.ts';
import { cutIntoPieces, deflatePieces, deflateWhole, pieceBytes } from './deflate.ts';
import type { ObjectDatabase } from './object-database.ts';
import { packEntryHeader } from './pack-writer.ts';

/** How a pack is sent. */
export interface PackStreamOptions {
  /** zlib's level, -1 to 9. Default -1, zlib's own. */
  readonly compressionLevel?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told how many of the objects are written. */
  readonly onObject?: (written: number) => void;
}

const chunkBytes = 64 * 1024;

/**
 * A pack (gitformat-pack, version 2) of these objects, as it is written to a stream: each object
 * whole and not as a delta, in chunks of some 64 KiB or more, with bounded memory.
 */
export async function* packStream(
  odb: ObjectDatabase,
  objects: readonly ReachableObject[],
  options: PackStreamOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash(odb.algorithm);
  let waiting: Buffer[] = [packHeader(objects.length)];
  let waitingBytes = 0;
  let written = 0;
  for (const object of objects) {
    options.signal?.throwIfAborted();
    for await (const part of entryParts(odb, object, options.compressionLevel ?? -1)) {
      waiting.push(part);
      waitingBytes += part.length;
      if (waitingBytes < chunkBytes) continue;
      const chunk = Buffer.concat(waiting);
      hash.update(chunk);
      yield chunk;
      waiting = [];
      waitingBytes = 0;
    }
    options.onObject?.(++written);
  }
  options.signal?.throwIfAborted();
  const rest = Buffer.concat(waiting);
  hash.update(rest);
  yield Buffer.concat([rest, hash.digest()]);
}

function packHeader(objects: number): Buffer {
  const header = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  header.writeUInt32BE(objects, 8);
  return header;
}

async function* entryParts(
  odb: ObjectDatabase,
  { oid, type }: ReachableObject,
  level: number,
): AsyncGenerator<Buffer, void, undefined> {
  const { sizeBytes } = await odb.header(oid);
  if (sizeBytes > pieceBytes) {
    yield packEntryHeader(type, sizeBytes);
    yield* deflatePieces(cutIntoPieces(odb.stream(oid)), sizeBytes, level);
    return;
  }
  const { data } = await odb.read(oid, type);
  yield packEntryHeader(type, data.length);
  yield await deflateWhole(data, level);
}
