import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { HashAlgorithm, Oid } from './oid.ts';

/** The four kinds of object that git stores. */
export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';

/** What git hashes, and stores in loose objects, before the content: `<type> <size in decimal>\0`. */
export function objectHeader(type: ObjectType, sizeBytes: number): Buffer {
  return Buffer.from(`${type} ${sizeBytes}\0`, 'latin1');
}

/** The id of an object with this type and content. */
export function hashObject(algorithm: HashAlgorithm, type: ObjectType, data: Uint8Array): Oid {
  const hash = createHash(algorithm);
  hash.update(`${type} ${data.length}\0`, 'latin1');
  hash.update(data);
  return hash.digest('hex') as Oid;
}

/** A hash that has taken the header of an object; feed it the content, then take `finishObjectHash`. */
export function beginObjectHash(
  algorithm: HashAlgorithm,
  type: ObjectType,
  sizeBytes: number,
): Hash {
  return createHash(algorithm).update(objectHeader(type, sizeBytes));
}

/** The id that a hash begun with `beginObjectHash` stands for; the hash cannot be used any more. */
export function finishObjectHash(hash: Hash): Oid {
  return hash.digest('hex') as Oid;
}

const emptyTreeOids: Partial<Record<HashAlgorithm, Oid>> = {};

/** The id of the tree without entries. */
export function emptyTreeOid(algorithm: HashAlgorithm): Oid {
  return (emptyTreeOids[algorithm] ??= hashObject(algorithm, 'tree', Buffer.alloc(0)));
}
