/**
 * MurmurHash3 in its form of 32 bits, for x86. With `isSigned`, each byte is extended with its sign
 * before it is joined to the others: that is not MurmurHash3, but what old versions of git store.
 */
export function murmur3(data: Buffer, seed: number, isSigned: boolean): number {
  const byteAt = (at: number): number => (isSigned ? data.readInt8(at) : data.readUInt8(at));
  const blocksEnd = data.length & ~3;
  let hash = seed;
  for (let at = 0; at < blocksEnd; at += 4) {
    const block =
      byteAt(at) | (byteAt(at + 1) << 8) | (byteAt(at + 2) << 16) | (byteAt(at + 3) << 24);
    hash = Math.imul(rotated(hash ^ scrambled(block), 13), 5) + 0xe6546b64;
  }
  let tail = 0;
  for (let at = data.length - 1; at >= blocksEnd; at--) tail ^= byteAt(at) << (8 * (at & 3));
  if (blocksEnd < data.length) hash ^= scrambled(tail);
  hash ^= data.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function scrambled(block: number): number {
  return Math.imul(rotated(Math.imul(block, 0xcc9e2d51), 15), 0x1b873593);
}

function rotated(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
