import { InvalidArgumentError } from '../errors.ts';

declare const oidBrand: unique symbol;

/** An object id: lowercase hex, 40 digits (SHA-1) or 64 (SHA-256). Made only by the functions below. */
export type Oid = string & { readonly [oidBrand]: true };

/** The hash function of a repository, `extensions.objectFormat` in git's configuration. */
export type HashAlgorithm = 'sha1' | 'sha256';

/** The length of a raw object id in bytes. */
export const oidSizeBytes: Readonly<Record<HashAlgorithm, number>> = { sha1: 20, sha256: 32 };

const pattern = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Tells whether the text is a whole object id, in lower case. */
export function isOid(text: string): text is Oid {
  return pattern.test(text);
}

/** Takes a whole object id in either case; anything else is an `InvalidArgumentError`. */
export function parseOid(text: string): Oid {
  const lower = text.toLowerCase();
  if (!isOid(lower)) throw new InvalidArgumentError(`not an object id: ${JSON.stringify(text)}`);
  return lower;
}

/** Reads a raw object id of `sizeBytes` bytes out of a buffer. */
export function oidFromBytes(bytes: Buffer, offset: number, sizeBytes: number): Oid {
  return bytes.toString('hex', offset, offset + sizeBytes) as Oid;
}

/** The raw form of an object id. */
export function oidToBytes(oid: Oid): Buffer {
  return Buffer.from(oid, 'hex');
}

/** The id of no object: what git writes for "did not exist" in reflogs and ref transactions. */
export function zeroOid(algorithm: HashAlgorithm): Oid {
  return '0'.repeat(2 * oidSizeBytes[algorithm]) as Oid;
}
