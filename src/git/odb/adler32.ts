// Of RFC 1950: sums modulo the largest prime under 2^16. So many bytes can be added before a sum
// needs more than the 53 bits that a number holds exactly; fewer keep it a small integer.
const adlerPrime = 65521;
const adlerRun = 3800;

/** The checksum at the end of a zlib stream, over `data` and what came before it; `start` is 1 for nothing. */
export function adler32(data: Uint8Array, start: number): number {
  let low = start & 0xffff;
  let high = start >>> 16;
  let index = 0;
  while (index < data.length) {
    const end = Math.min(index + adlerRun, data.length);
    for (; index < end; index++) {
      low += data[index] ?? 0;
      high += low;
    }
    low %= adlerPrime;
    high %= adlerPrime;
  }
  return ((high << 16) | low) >>> 0;
}

/** The checksum over two parts together, of those over each and the length of the second. */
export function adler32Joined(first: number, second: number, secondBytes: number): number {
  const [low, high] = [first & 0xffff, first >>> 16];
  // The first part's low sum is in the high sum once more for each byte that follows it.
  const rest = secondBytes % adlerPrime;
  const lowSum = (low + (second & 0xffff) - 1 + adlerPrime) % adlerPrime;
  const highSum = (high + (second >>> 16) + rest * (low - 1 + adlerPrime)) % adlerPrime;
  return ((highSum << 16) | lowSum) >>> 0;
}
