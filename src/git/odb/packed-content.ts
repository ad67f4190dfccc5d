import { CorruptObjectError } from '../../errors.ts';
import { allocateObject } from './allocate.ts';
import { inflatePiece, pieceBytes } from './deflate.ts';
import { inflateExactly, inflateLarge, largestSyncInflateBytes } from './inflate.ts';
import type { PackWriter, PackedObject } from './pack-writer.ts';

/** How many pieces the content of an object is made of; empty content is one. */
export function pieceCount({ pieceEdges }: PackedObject): number {
  return pieceEdges === undefined ? 1 : pieceEdges.length - 1;
}

/**
 * Reads one piece of an object back, `pieceBytes` of its content or the rest of it, out of the pack
 * that it was appended to. Anything but the bytes that were written is a `CorruptObjectError`.
 */
export async function readPiece(
  writer: PackWriter,
  packed: PackedObject,
  index: number,
): Promise<Buffer> {
  const { oid, sizeBytes, dataOffset, endOffset, pieceEdges } = packed;
  const start = pieceEdges?.[index] ?? 0;
  const end = pieceEdges?.[index + 1] ?? endOffset - dataOffset;
  const contentBytes = Math.min(pieceBytes, sizeBytes - index * pieceBytes);
  const stored = await writer.readAt(dataOffset + start, end - start);
  try {
    const inflate = pieceEdges === undefined ? inflateWhole : inflatePiece;
    const content = await inflate(stored, contentBytes);
    if (content?.length === contentBytes) return content;
  } catch (cause) {
    throw new CorruptObjectError(`staged object ${oid} is damaged`, { oid, cause });
  }
  throw new CorruptObjectError(`staged object ${oid} is cut off`, { oid });
}

/** The whole content of an object, with the errors of `readPiece`. */
export async function readContent(writer: PackWriter, packed: PackedObject): Promise<Buffer> {
  const count = pieceCount(packed);
  if (count === 1) return readPiece(writer, packed, 0);
  const data = allocateObject(packed.sizeBytes);
  for (let index = 0; index < count; index++) {
    data.set(await readPiece(writer, packed, index), index * pieceBytes);
  }
  return data;
}

function inflateWhole(stored: Buffer, sizeBytes: number): Buffer | undefined | Promise<Buffer> {
  if (sizeBytes <= largestSyncInflateBytes) return inflateExactly(stored, sizeBytes);
  return inflateLarge(inOnePart(stored), sizeBytes);
}

// eslint-disable-next-line @typescript-eslint/require-await -- what reads it asks for an async one
async function* inOnePart(stored: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield stored;
}
