import { objectHeader } from '../hash-object.ts';
import type { ObjectType } from '../hash-object.ts';
import { adler32, adler32Joined } from './adler32.ts';

// RFC 1950: two bytes in front, and the checksum of the content behind.
const zlibHeadBytes = 2;
const zlibTailBytes = 4;

/**
 * Makes the zlib stream of a loose object, which holds a header before the content, out of that of the
 * content alone, which is what packs hold: the header becomes a stored block (RFC 1951) in front of
 * the deflated ones, and the checksums are joined. So nothing is inflated and deflated again. Both are
 * in parts, and share what they have in common.
 */
export function looseStream(
  type: ObjectType,
  sizeBytes: number,
  deflated: readonly Buffer[],
): Buffer[] {
  const header = objectHeader(type, sizeBytes);
  const end = deflated.reduce((sum, { length }) => sum + length, 0) - zlibTailBytes;
  const tail = Buffer.concat(slice(deflated, end, end + zlibTailBytes));
  const checksum = adler32Joined(adler32(header, 1), tail.readUInt32BE(0), sizeBytes);
  tail.writeUInt32BE(checksum);
  const block = Buffer.alloc(5);
  block.writeUInt16LE(header.length, 1);
  block.writeUInt16LE(~header.length & 0xffff, 3);
  const head = Buffer.concat([...slice(deflated, 0, zlibHeadBytes), block, header]);
  return [head, ...slice(deflated, zlibHeadBytes, end), tail];
}

function slice(parts: readonly Buffer[], start: number, end: number): Buffer[] {
  const found: Buffer[] = [];
  let at = 0;
  for (const part of parts) {
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, part.length);
    if (from < to) found.push(part.subarray(from, to));
    at += part.length;
  }
  return found;
}
