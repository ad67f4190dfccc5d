import { adler32 } from './adler32.ts';
import { allocateObject } from './allocate.ts';

// Zlib needs a few microseconds, and memory that the collector has to look after, before it inflates
// the first byte. Most trees and commits are stored as deltas of some ten bytes, which deflate puts
// into blocks with its fixed codes: those are decoded here sooner than that. RFC 1950 and 1951.

const endOfBlock = 256;
const stored = 0;
const fixed = 1;

// What the codes from 257 on, and those of distances, stand for, and how many more bits they take.
const lengthExtra = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const lengthBase = [...basesOf(lengthExtra.slice(0, -1), 3), 258];
const distanceExtra = Array.from({ length: 30 }, (_, code) => Math.max(0, (code >> 1) - 1));
const distanceBase = basesOf(distanceExtra, 1);

function basesOf(extraBits: readonly number[], first: number): number[] {
  let base = first;
  return extraBits.map((bits) => {
    base += 1 << bits;
    return base - (1 << bits);
  });
}

/** For the next nine bits of the input: a symbol, and in the lowest four bits how many bits it takes. */
const symbols = new Uint16Array(512);
putCodes({ from: 256, to: 279, code: 0b000_0000, bits: 7 });
putCodes({ from: 0, to: 143, code: 0b0011_0000, bits: 8 });
putCodes({ from: 280, to: 287, code: 0b1100_0000, bits: 8 });
putCodes({ from: 144, to: 255, code: 0b1_1001_0000, bits: 9 });

function putCodes(run: { from: number; to: number; code: number; bits: number }): void {
  for (let symbol = run.from; symbol <= run.to; symbol++) {
    const start = reversed(run.code + symbol - run.from, run.bits);
    for (let index = start; index < symbols.length; index += 1 << run.bits) {
      symbols[index] = (symbol << 4) | run.bits;
    }
  }
}

/** Codes come with their highest bit first, all else with the lowest. */
function reversed(code: number, bits: number): number {
  let result = 0;
  for (let at = 0; at < bits; at++) result |= ((code >> at) & 1) << (bits - 1 - at);
  return result;
}

class SmallInflate {
  readonly #input: Buffer;
  readonly #output: Buffer;
  #at = 2;
  #bits = 0;
  #bitCount = 0;
  #filled = 0;

  constructor(input: Buffer, output: Buffer) {
    this.#input = input;
    this.#output = output;
  }

  /** Inflates all blocks. Gives the length of the stream; -1 for one that is not understood. */
  run(): number {
    const [method, flags] = [this.#input[0] ?? 0, this.#input[1] ?? 0];
    const isZlib = (method & 0x0f) === 8 && (method * 256 + flags) % 31 === 0;
    if (!isZlib || (flags & 0x20) !== 0) return -1;
    for (let isLast = false; !isLast;) {
      isLast = this.#take(1) === 1;
      const kind = this.#take(2);
      const isGood = kind === fixed ? this.#inflate() : kind === stored && this.#copyStored();
      if (!isGood) return -1;
    }
    this.#dropBits();
    const end = this.#at + 4;
    if (this.#filled !== this.#output.length || end > this.#input.length) return -1;
    return this.#input.readUInt32BE(this.#at) === adler32(this.#output, 1) ? end : -1;
  }

  #take(count: number): number {
    this.#need(count);
    const value = this.#bits & ((1 << count) - 1);
    this.#drop(count);
    return value;
  }

  /** Behind the end of the input there are zeros; that it was passed shows at the end. */
  #need(count: number): void {
    while (this.#bitCount < count) {
      this.#bits |= (this.#input[this.#at++] ?? 0) << this.#bitCount;
      this.#bitCount += 8;
    }
  }

  #drop(count: number): void {
    this.#bits >>>= count;
    this.#bitCount -= count;
  }

  /** Goes on at the next whole byte. */
  #dropBits(): void {
    this.#at -= this.#bitCount >> 3;
    this.#bits = this.#bitCount = 0;
  }

  #copyStored(): boolean {
    this.#dropBits();
    const [input, start] = [this.#input, this.#at + 4];
    if (start > input.length) return false;
    const length = input.readUInt16LE(this.#at);
    if ((length ^ 0xffff) !== input.readUInt16LE(this.#at + 2)) return false;
    this.#at = start + length;
    if (this.#at > input.length || this.#filled + length > this.#output.length) return false;
    input.copy(this.#output, this.#filled, start, this.#at);
    this.#filled += length;
    return true;
  }

  #inflate(): boolean {
    const output = this.#output;
    for (;;) {
      this.#need(9);
      const found = symbols[this.#bits & 511] ?? 0;
      this.#drop(found & 15);
      const symbol = found >> 4;
      if (symbol === endOfBlock) return true;
      if (this.#filled >= output.length) return false;
      if (symbol < endOfBlock) output[this.#filled++] = symbol;
      else if (!this.#copyMatch(symbol - endOfBlock - 1)) return false;
    }
  }

  #copyMatch(lengthCode: number): boolean {
    if (lengthCode >= lengthBase.length) return false;
    const length = (lengthBase[lengthCode] ?? 0) + this.#take(lengthExtra[lengthCode] ?? 0);
    const distanceCode = reversed(this.#take(5), 5);
    if (distanceCode >= distanceBase.length) return false;
    const extra = this.#take(distanceExtra[distanceCode] ?? 0);
    const distance = (distanceBase[distanceCode] ?? 0) + extra;
    const output = this.#output;
    const end = this.#filled + length;
    if (distance > this.#filled || end > output.length) return false;
    for (let at = this.#filled; at < end; at++) output[at] = output[at - distance] ?? 0;
    this.#filled = end;
    return true;
  }
}

/**
 * Inflates a zlib stream of exactly `sizeBytes` bytes, checksum included; `input` may go on behind it.
 * Undefined for whatever it does not take: codes of their own, and all that is wrong, so that zlib can
 * say what it is.
 */
export function inflateSmall(
  input: Buffer,
  sizeBytes: number,
): { readonly data: Buffer; readonly compressedSizeBytes: number } | undefined {
  const data = allocateObject(sizeBytes);
  const compressedSizeBytes = new SmallInflate(input, data).run();
  return compressedSizeBytes < 0 ? undefined : { data, compressedSizeBytes };
}
