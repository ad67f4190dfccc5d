/**
 * The same bytes for somebody who keeps them for long. A small Buffer is a part of a slab (of 8 KiB, see
 * `Buffer.poolSize`), all of which it keeps alive: a cache of commits would hold ten times their size.
 */
export function ownBytes(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength <= 2 * bytes.length) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}
