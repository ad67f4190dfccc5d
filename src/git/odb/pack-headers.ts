import type { ObjectType } from '../hash-object.ts';

// What stands in front of a pack and of its entries (gitformat-pack).

/** The length of `packHeader`. */
export const packHeaderBytes = 12;
const version = 2;
const typeNumbers: Readonly<Record<ObjectType, number>> = { commit: 1, tree: 2, blob: 3, tag: 4 };
const offsetDeltaNumber = 6;

/** The head of a pack with so many entries. */
export function packHeader(objectCount: number): Buffer {
  const header = Buffer.from('PACK\0\0\0\0\0\0\0\0', 'latin1');
  header.writeUInt32BE(version, 4);
  header.writeUInt32BE(objectCount, 8);
  return header;
}

/** The head of an entry in a pack: type and size, in 4 bits and then 7 to the byte, lowest first. */
export function packEntryHeader(type: ObjectType, sizeBytes: number): Buffer {
  return entryHeader(typeNumbers[type], sizeBytes);
}

/**
 * The head of a delta whose base starts so many bytes before it: behind the size, the distance in 7
 * bits to the byte, highest first, less one in each but the last.
 */
export function offsetDeltaHeader(sizeBytes: number, distanceBytes: number): Buffer {
  const distance = [distanceBytes % 128];
  for (let rest = Math.floor(distanceBytes / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest -= 1;
    distance.unshift(0x80 | (rest % 128));
  }
  return Buffer.concat([entryHeader(offsetDeltaNumber, sizeBytes), Buffer.from(distance)]);
}

function entryHeader(typeNumber: number, sizeBytes: number): Buffer {
  const bytes: number[] = [];
  let byte = (typeNumber << 4) | (sizeBytes & 0x0f);
  // Sizes do not fit the 32 bits of a shift.
  for (let rest = Math.floor(sizeBytes / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(byte | 0x80);
    byte = rest & 0x7f;
  }
  return Buffer.from([...bytes, byte]);
}
