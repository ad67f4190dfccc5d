import { crc32 } from 'node:zlib';
import { CorruptObjectError } from '../../errors.ts';
import type { Oid } from '../oid.ts';

/** An entry of a pack and its checksum, as it was when it was appended. */
export interface CheckedEntry {
  readonly oid: Oid;
  readonly offset: number;
  readonly endOffset: number;
  readonly crc32: number;
}

/**
 * Looks whether entries of a temporary pack are still what was appended, as their bytes pass by: what
 * memory, the disk or a mistake of ours has lost since then must not get into a pack that git sees.
 */
export class EntryCheck {
  readonly #entries: readonly CheckedEntry[];
  #next = 0;
  #checksum = 0;

  /** For entries in the order of the file. */
  constructor(entries: readonly CheckedEntry[]) {
    this.#entries = entries;
  }

  /** Takes the bytes that follow in the file. A damaged entry is a `CorruptObjectError`. */
  see(bytes: Buffer, position: number): void {
    const end = position + bytes.length;
    for (let entry = this.#entries[this.#next]; entry !== undefined;) {
      const { oid, offset, endOffset } = entry;
      const start = Math.max(offset - position, 0);
      this.#checksum = crc32(bytes.subarray(start, endOffset - position), this.#checksum);
      if (endOffset > end) return;
      if (this.#checksum !== entry.crc32) {
        throw new CorruptObjectError(`what was staged is damaged: ${oid}`);
      }
      this.#checksum = 0;
      this.#next += 1;
      entry = this.#entries[this.#next];
    }
  }
}
