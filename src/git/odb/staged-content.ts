import { LRUCache } from 'lru-cache';
import { pieceBytes } from './deflate.ts';
import { pieceCount, readContent, readPiece } from './packed-content.ts';
import type { StagedObject } from './staged-pack.ts';

const cachedPieces = 8;

/** Reads the content of staged objects back. The pieces that ranges were read from last are kept. */
export class StagedContent {
  readonly #pieces = new LRUCache<string, Promise<Buffer>>({ max: cachedPieces });

  /** All of it. */
  read(object: StagedObject): Promise<Buffer> {
    return holding(object, () => readContent(object.pack.writer, object.packed));
  }

  /** A part of it, shorter where it ends. */
  range(object: StagedObject, offset: number, length: number): Promise<Buffer> {
    return holding(object, async () => {
      const end = Math.min(offset + length, object.packed.sizeBytes);
      const parts: Buffer[] = [];
      for (let position = offset; position < end;) {
        const index = Math.floor(position / pieceBytes);
        const pieceStart = index * pieceBytes;
        const piece = await this.#piece(object, index);
        parts.push(piece.subarray(position - pieceStart, end - pieceStart));
        position = pieceStart + pieceBytes;
      }
      return Buffer.concat(parts);
    });
  }

  /** All of it, in pieces. */
  async *stream({ pack, packed }: StagedObject): AsyncGenerator<Buffer, void, undefined> {
    pack.hold();
    try {
      for (let index = 0; index < pieceCount(packed); index++) {
        yield await readPiece(pack.writer, packed, index);
      }
    } finally {
      await pack.letGo();
    }
  }

  #piece({ pack, packed }: StagedObject, index: number): Promise<Buffer> {
    const key = `${packed.oid}:${index}`;
    const cached = this.#pieces.get(key);
    if (cached !== undefined) return cached;
    const piece = readPiece(pack.writer, packed, index);
    this.#pieces.set(key, piece);
    // Left in by a failure, it would fail forever. Whoever asked for the piece is told.
    piece.catch(() => this.#pieces.delete(key));
    return piece;
  }
}

async function holding<Result>(
  { pack }: StagedObject,
  read: () => Promise<Result>,
): Promise<Result> {
  pack.hold();
  try {
    return await read();
  } finally {
    await pack.letGo();
  }
}
