import type { Oid } from '../../git/oid.ts';
import type { StoredContent } from '../vfs/vnode.ts';

/** A run of a file whose bytes are those of a stored blob. */
export interface BlobPiece {
  readonly start: number;
  readonly end: number;
  readonly blob: StoredContent;
  /** Where in the blob the run begins. */
  readonly blobOffset: number;
}

/** Beyond this many runs, bytes are moved instead: the list is searched and spliced, and must stay small. */
const limit = 1024;

/** The parts of a file that are still, or by copying again, parts of stored blobs; in order, apart from each other. */
export class BlobPieces {
  #pieces: BlobPiece[] = [];

  /** The whole of a blob as the whole of a file. */
  static whole(blob: StoredContent): BlobPieces {
    const pieces = new BlobPieces();
    pieces.append({ start: 0, end: blob.sizeBytes, blob, blobOffset: 0 });
    return pieces;
  }

  get totalBytes(): number {
    return this.#pieces.reduce((total, { start, end }) => total + end - start, 0);
  }

  /** The blob that is the file, when one is, from its first byte to its last. */
  wholeBlob(fileSizeBytes: number): Oid | undefined {
    const [piece] = this.#pieces;
    if (piece === undefined || this.#pieces.length > 1) return undefined;
    const { start, end, blobOffset, blob } = piece;
    const isWhole = start === 0 && blobOffset === 0 && end === blob.sizeBytes;
    return isWhole && end === fileSizeBytes ? blob.oid : undefined;
  }

  /** Adds a run behind all others; false when there are too many. */
  append(piece: BlobPiece): boolean {
    if (piece.start === piece.end) return true;
    const last = this.#pieces.at(-1);
    if (last !== undefined && continues(last, piece)) {
      this.#pieces[this.#pieces.length - 1] = { ...last, end: piece.end };
      return true;
    }
    if (this.#pieces.length >= limit) return false;
    this.#pieces.push(piece);
    return true;
  }

  /** Takes a range out; false when that would leave too many runs, and nothing was done. */
  cut(start: number, end: number): boolean {
    if (start >= end) return true;
    const kept: BlobPiece[] = [];
    for (const piece of this.#pieces) {
      if (piece.end <= start || piece.start >= end) {
        kept.push(piece);
        continue;
      }
      if (piece.start < start) kept.push({ ...piece, end: start });
      if (piece.end > end) {
        kept.push({ ...piece, start: end, blobOffset: piece.blobOffset + end - piece.start });
      }
    }
    if (kept.length > limit) return false;
    this.#pieces = kept;
    return true;
  }

  /** The runs that meet a range, cut to it. */
  within(start: number, end: number): BlobPiece[] {
    const found: BlobPiece[] = [];
    for (let index = this.#firstEndingAfter(start); index < this.#pieces.length; index++) {
      const piece = this.#pieces[index];
      if (piece === undefined || piece.start >= end) break;
      const from = Math.max(start, piece.start);
      found.push({
        ...piece,
        start: from,
        end: Math.min(end, piece.end),
        blobOffset: piece.blobOffset + from - piece.start,
      });
    }
    return found;
  }

  /** The first run that ends behind an offset. */
  at(offset: number): BlobPiece | undefined {
    return this.#pieces[this.#firstEndingAfter(offset)];
  }

  #firstEndingAfter(offset: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#pieces[middle]?.end ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function continues(last: BlobPiece, next: BlobPiece): boolean {
  return (
    last.end === next.start &&
    last.blob.oid === next.blob.oid &&
    last.blobOffset + last.end - last.start === next.blobOffset
  );
}
