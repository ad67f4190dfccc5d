import { closeSync, constants, fstatSync, open, read, readFile } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { ByteString } from '../git/byte-string.ts';
import { beginObjectHash, finishObjectHash, hashObject } from '../git/hash-object.ts';
import type { HashAlgorithm, Oid } from '../git/oid.ts';
import { localPathBytes } from './local-path.ts';

const openFile = promisify(open);
const readFrom = promisify(read);
const readAll = promisify(readFile);

/** Below this a file is cheaper read at once than streamed. */
export const wholeFileBytes: number = 256 * 1024;

/** A regular file of the disk, open for reading. */
export interface LocalFile {
  readonly descriptor: number;
  readonly attributes: BigIntStats;
  readonly sizeBytes: number;
}

/**
 * Opens a regular file and gives it to `use`; `null` when something else stands there. It waits for
 * nobody: a FIFO is opened without its other end. A link is followed only when told.
 */
export async function withLocalFile<Result>(
  path: ByteString,
  { follow }: { readonly follow: boolean },
  use: (file: LocalFile) => Promise<Result>,
): Promise<Result | null> {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
  const flags = O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
  const descriptor = await openFile(localPathBytes(path), flags);
  try {
    // What is open has its attributes in memory, and closing it after reading writes nothing: neither
    // waits for the disk, and a trip to another thread costs more than the reading itself.
    const attributes = fstatSync(descriptor, { bigint: true });
    if (!attributes.isFile()) return null;
    return await use({ descriptor, attributes, sizeBytes: Number(attributes.size) });
  } finally {
    closeSync(descriptor);
  }
}

/** The whole content of an open file that is not big. */
export async function readLocalFile({ descriptor, sizeBytes }: LocalFile): Promise<Buffer> {
  // Files in /proc say 0 and hold more.
  if (sizeBytes === 0) return readAll(descriptor);
  const content = Buffer.allocUnsafe(sizeBytes);
  let filledBytes = 0;
  while (filledBytes < sizeBytes) {
    const lackedBytes = sizeBytes - filledBytes;
    const { bytesRead } = await readFrom(descriptor, content, filledBytes, lackedBytes, null);
    if (bytesRead === 0) break;
    filledBytes += bytesRead;
  }
  return content.subarray(0, filledBytes);
}

/** The content of an open file from its start, as long as it was when it was opened. */
export async function* streamLocalFile({
  descriptor,
  sizeBytes,
}: LocalFile): AsyncGenerator<Buffer, void, undefined> {
  for (let position = 0; position < sizeBytes;) {
    const chunk = Buffer.allocUnsafe(Math.min(wholeFileBytes, sizeBytes - position));
    // Nothing is read ahead: whoever stops taking chunks may close the file at once.
    const { bytesRead } = await readFrom(descriptor, chunk, 0, chunk.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}

/** The id that the content of an open file has as a blob; nothing is stored. */
export async function hashLocalFile(file: LocalFile, algorithm: HashAlgorithm): Promise<Oid> {
  if (file.sizeBytes <= wholeFileBytes) {
    return hashObject(algorithm, 'blob', await readLocalFile(file));
  }
  const hash = beginObjectHash(algorithm, 'blob', file.sizeBytes);
  for await (const chunk of streamLocalFile(file)) hash.update(chunk);
  return finishObjectHash(hash);
}

/** Tells whether a file was last changed exactly at a time: what `checksum: false` asks. */
export function isChangedAt({ mtimeNs }: BigIntStats, timeSec: number): boolean {
  return mtimeNs === BigInt(timeSec) * 1_000_000_000n;
}

/** The target of a link. */
export async function readLocalLink(path: ByteString): Promise<Buffer> {
  return readlink(localPathBytes(path), { encoding: 'buffer' });
}
