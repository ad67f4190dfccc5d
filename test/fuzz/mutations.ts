import { createHash } from 'node:crypto';
import { seededRandom } from '../helpers/seeded-random.ts';

/** Numbers that break arithmetic: the ends of ranges, signs, and counts that are too large. */
const edges: readonly number[] = [
  ...[0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff],
  ...[0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff],
];

/** Makes inputs out of good ones: the same ones for the same seed. */
export class Mutator {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** Mostly one of the seeds with a few changes; sometimes noise, or the seed as it is. */
  next(seeds: readonly Buffer[]): Buffer {
    if (this.below(50) === 0) return this.bytes(this.below(300));
    let bytes: Buffer = Buffer.from(this.pick(seeds));
    for (let changes = this.below(6); changes > 0; changes--) bytes = this.#change(bytes, seeds);
    return bytes;
  }

  #change(bytes: Buffer, seeds: readonly Buffer[]): Buffer {
    const at = this.below(bytes.length + 1);
    // What says how the rest is to be read stands at the start.
    const near = this.below(3) === 0 ? this.below(Math.min(64, bytes.length + 1)) : at;
    switch (this.below(8)) {
      case 0:
        if (near < bytes.length) bytes[near] = bytes[near]! ^ (1 << this.below(8));
        return bytes;
      case 1:
        if (near < bytes.length) bytes[near] = this.below(256);
        return bytes;
      case 2:
      case 3: {
        const width = this.pick([1, 2, 4]);
        if (near + width > bytes.length) return bytes;
        const value = this.pick(edges) % 2 ** (8 * width);
        if (this.below(2) === 0) bytes.writeUIntBE(value, near, width);
        else bytes.writeUIntLE(value, near, width);
        return bytes;
      }
      case 4:
        return bytes.subarray(0, at);
      case 5: {
        const inserted = this.bytes(1 + this.below(8));
        return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at)]);
      }
      case 6: {
        const end = Math.min(bytes.length, at + 1 + this.below(32));
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
      }
      default: {
        const other = this.pick(seeds);
        const from = this.below(other.length + 1);
        return Buffer.concat([
          bytes.subarray(0, at),
          other.subarray(from, from + this.below(64)),
          bytes.subarray(at),
        ]);
      }
    }
  }
}

/** Makes the checksum at the end right again, so that what stands before it is looked at. */
export function withChecksum(bytes: Buffer): Buffer {
  if (bytes.length < 20) return bytes;
  const content = bytes.subarray(0, -20);
  return Buffer.concat([content, createHash('sha1').update(content).digest()]);
}
