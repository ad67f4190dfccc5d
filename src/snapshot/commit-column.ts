import { oidFromBytes } from '../git/oid.ts';
import type { Oid } from '../git/oid.ts';

/** A commit of a walk. */
export interface WalkedCommit {
  readonly oid: Oid;
  readonly tree: Oid;
  /** When it was committed, in seconds since the epoch. */
  readonly timeSec: number;
}

const firstCapacity = 64;
const timeSizeBytes = 8;
const digitsPerWord = 8;

/** Commits by number, in 48 bytes each (72 with SHA-256): a history of a million fits into memory. */
export class CommitColumn {
  #rows: Buffer = Buffer.alloc(0);
  #oidSizeBytes = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push({ oid, tree, timeSec }: WalkedCommit): void {
    this.#oidSizeBytes = oid.length / 2;
    const at = this.#size * this.#rowSizeBytes;
    if (at === this.#rows.length) this.#grow();
    this.#rows.write(oid, at, 'hex');
    this.#rows.write(tree, at + this.#oidSizeBytes, 'hex');
    this.#rows.writeDoubleLE(timeSec, at + 2 * this.#oidSizeBytes);
    this.#size += 1;
  }

  at(index: number): WalkedCommit {
    const at = this.#checked(index) * this.#rowSizeBytes;
    return {
      oid: oidFromBytes(this.#rows, at, this.#oidSizeBytes),
      tree: oidFromBytes(this.#rows, at + this.#oidSizeBytes, this.#oidSizeBytes),
      timeSec: this.timeSecAt(index),
    };
  }

  timeSecAt(index: number): number {
    const at = this.#checked(index) * this.#rowSizeBytes;
    return this.#rows.readDoubleLE(at + 2 * this.#oidSizeBytes);
  }

  /** Tells whether an id begins with these hex digits, given with `prefixWord` of them. */
  startsWith(index: number, prefix: string, { word, mask }: PrefixWord): boolean {
    const at = this.#checked(index) * this.#rowSizeBytes;
    if ((this.#rows.readUInt32BE(at) & mask) >>> 0 !== word) return false;
    if (prefix.length <= digitsPerWord) return true;
    return oidFromBytes(this.#rows, at, this.#oidSizeBytes).startsWith(prefix);
  }

  get #rowSizeBytes(): number {
    return 2 * this.#oidSizeBytes + timeSizeBytes;
  }

  #checked(index: number): number {
    if (index < 0 || index >= this.#size) throw new RangeError(`no commit ${index}`);
    return index;
  }

  #grow(): void {
    const sizeBytes = Math.max(firstCapacity * this.#rowSizeBytes, 2 * this.#rows.length);
    const rows = Buffer.alloc(sizeBytes);
    this.#rows.copy(rows);
    this.#rows = rows;
  }
}

/** The first digits of an id as a number, and which of its bits count. */
export interface PrefixWord {
  readonly word: number;
  readonly mask: number;
}

/** What makes most comparisons with hex digits one of numbers. */
export function prefixWord(prefix: string): PrefixWord {
  const digits = prefix.slice(0, digitsPerWord);
  const freeBits = 4 * (digitsPerWord - digits.length);
  return {
    word: Number.parseInt(digits.padEnd(digitsPerWord, '0'), 16),
    mask: freeBits >= 32 ? 0 : (0xffff_ffff << freeBits) >>> 0,
  };
}
