import { CorruptObjectError } from '../../errors.ts';
import { oidFromBytes } from '../oid.ts';
import type { Oid } from '../oid.ts';
import type { PagedFile } from './paged-file.ts';

/** Where a table stands in its file. */
export interface OidTableLayout {
  /** 256 numbers of 32 bits: how many ids start with a byte up to this one. */
  readonly fanoutOffset: number;
  /** The first id. */
  readonly firstOidOffset: number;
  /** From one id to the next. */
  readonly strideBytes: number;
  readonly oidSizeBytes: number;
}

const fanoutEntries = 256;
// Of a million ids nearly every one (3.2 standard deviations) is this near to where it should be.
const nearbyEntries = 100;

/**
 * The sorted ids in the index of a pack, or of many packs, with the fan-out table in front of them.
 * The methods throw a `Fault` when they need a page that is not in memory.
 */
export class OidTable {
  /** How many ids there are. */
  readonly size: number;
  readonly #file: PagedFile;
  readonly #layout: OidTableLayout;
  /** Kept, for every search begins with two of them. */
  readonly #counts = new Uint32Array(fanoutEntries);

  /** Checks the fan-out: a table whose counts fall is a `CorruptObjectError`. */
  constructor(file: PagedFile, layout: OidTableLayout) {
    this.#file = file;
    this.#layout = layout;
    const fanout = file.slice(layout.fanoutOffset, 4 * fanoutEntries);
    let count = 0;
    for (let byte = 0; byte < fanoutEntries; byte++) {
      const next = fanout.readUInt32BE(4 * byte);
      if (next < count) throw new CorruptObjectError(`${file.path} has a fan-out that falls`);
      this.#counts[byte] = count = next;
    }
    this.size = count;
  }

  /** The index of an id, or -1. */
  find(raw: Buffer): number {
    // An id of the other hash function.
    if (raw.length !== this.#layout.oidSizeBytes) return -1;
    const wanted = raw.readUInt32BE(0);
    const first = raw.readUInt8(0);
    let low = this.#fanout(first - 1);
    let high = this.#fanout(first) - 1;
    // Ids are spread evenly, so their first bytes tell nearly where one stands: mostly one page is
    // needed where halving needs several. Every other step halves, in case they are not.
    let lowKey = first * 2 ** 24;
    let highKey = lowKey + 2 ** 24 - 1;
    const near = this.#findNear(raw, low, high, (wanted - lowKey) / 2 ** 24);
    if (near !== undefined) return near;
    for (let interpolate = true; low <= high; interpolate = !interpolate) {
      const share = interpolate ? (wanted - lowKey) / (highKey - lowKey + 1) : 0.5;
      const middle = low + Math.min(high - low, Math.floor(share * (high - low + 1)));
      const offset = this.#offsetAt(middle);
      const key = this.#file.readUInt32(offset);
      const order = key === wanted ? this.#compareRest(offset, raw) : key - wanted;
      if (order === 0) return middle;
      if (order < 0) {
        low = middle + 1;
        lowKey = key;
      } else {
        high = middle - 1;
        highKey = key;
      }
    }
    return -1;
  }

  /** `find` by the ids around the place where it should be; `undefined` where these do not tell. */
  #findNear(raw: Buffer, low: number, high: number, share: number): number | undefined {
    const { strideBytes, oidSizeBytes } = this.#layout;
    const guess = low + Math.floor(share * (high - low + 1));
    const start = Math.max(low, guess - nearbyEntries);
    const count = Math.min(high + 1, guess + nearbyEntries) - start;
    if (count <= 0) return undefined;
    const lengthBytes = (count - 1) * strideBytes + oidSizeBytes;
    const ids = this.#file.glance(this.#offsetAt(start), lengthBytes);
    if (ids === undefined) return undefined;
    let from = 0;
    for (let to = count; from < to;) {
      const middle = (from + to) >> 1;
      const at = middle * strideBytes;
      const order = ids.compare(raw, 0, oidSizeBytes, at, at + oidSizeBytes);
      if (order === 0) return start + middle;
      if (order < 0) from = middle + 1;
      else to = middle;
    }
    const isBetween = (from > 0 || start === low) && (from < count || start + count === high + 1);
    return isBetween ? -1 : undefined;
  }

  /** The ids that start with these digits; all without any. */
  startingWith(prefix: string): Oid[] {
    const { oidSizeBytes } = this.#layout;
    const oids: Oid[] = [];
    let index = this.#lowerBound(Buffer.from(prefix.padEnd(2 * oidSizeBytes, '0'), 'hex'));
    for (; index < this.size; index++) {
      const oid = this.#oidAt(index);
      if (!oid.startsWith(prefix)) break;
      oids.push(oid);
    }
    return oids;
  }

  /** The index of the first id that is not less. */
  #lowerBound(raw: Buffer): number {
    const { oidSizeBytes } = this.#layout;
    const first = raw.readUInt8(0);
    let low = this.#fanout(first - 1);
    let high = this.#fanout(first);
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#file.slice(this.#offsetAt(middle), oidSizeBytes).compare(raw) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #oidAt(index: number): Oid {
    const { oidSizeBytes } = this.#layout;
    return oidFromBytes(this.#file.slice(this.#offsetAt(index), oidSizeBytes), 0, oidSizeBytes);
  }

  /** How many ids start with a byte up to this one, -1 included. */
  #fanout(byte: number): number {
    return this.#counts[byte] ?? 0;
  }

  #offsetAt(index: number): number {
    return this.#layout.firstOidOffset + index * this.#layout.strideBytes;
  }

  #compareRest(offset: number, raw: Buffer): number {
    const here = this.#file.slice(offset, this.#layout.oidSizeBytes);
    return here.compare(raw, 4, this.#layout.oidSizeBytes, 4);
  }
}
