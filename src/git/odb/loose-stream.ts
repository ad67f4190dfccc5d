import { objectHeader } from '../hash-object.ts';
import type { ObjectType } from '../hash-object.ts';
import { adler32, adler32Joined } from './adler32.ts';

// RFC 1950: two bytes in front, and the checksum of the content behind.
const zlibHeadBytes = 2;
const zlibTailBytes = 4;

/**
 * Makes the zlib stream of a loose object, which holds a header before the content, out of that of the
 * content alone, which is what packs hold: the header becomes a stored block (RFC 1951) in front of
 * the deflated ones, and the checksums are joined. So nothing is inflated and deflated again. It comes
 * in parts, one of which is a part of `deflated`.
 */
export function looseStream(type: ObjectType, sizeBytes: number, deflated: Buffer): Buffer[] {
  const header = objectHeader(type, sizeBytes);
  const end = deflated.length - zlibTailBytes;
  const checksum = adler32Joined(adler32(header, 1), deflated.readUInt32BE(end), sizeBytes);
  const block = Buffer.alloc(5);
  block.writeUInt16LE(header.length, 1);
  block.writeUInt16LE(~header.length & 0xffff, 3);
  const tail = Buffer.alloc(zlibTailBytes);
  tail.writeUInt32BE(checksum);
  const head = Buffer.concat([deflated.subarray(0, zlibHeadBytes), block, header]);
  return [head, deflated.subarray(zlibHeadBytes, end), tail];
}
