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

// As `hashObject` gives them, for whom every start of a mount would have to load Node's crypto.
const emptyTreeOids: Readonly<Record<HashAlgorithm, string>> = {
  sha1: '4b825dc642cb6eb9a060e54bf8d69288fbee4904',
  sha256: '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321',
};

/** The id of the tree without entries. */
export function emptyTreeOid(algorithm: HashAlgorithm): Oid {
  return emptyTreeOids[algorithm] as Oid;
}
