import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { open, readlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { ByteString } from '../git/byte-string.ts';
import { beginObjectHash, finishObjectHash, hashObject } from '../git/hash-object.ts';
import type { HashAlgorithm, Oid } from '../git/oid.ts';
import { localPathBytes } from './local-path.ts';

/** Below this a file is cheaper read at once than streamed. */
export const wholeFileBytes: number = 256 * 1024;

/** A regular file of the disk, open for reading. */
export interface LocalFile {
  readonly handle: FileHandle;
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
  const handle = await open(localPathBytes(path), flags);
  try {
    const attributes = await handle.stat({ bigint: true });
    if (!attributes.isFile()) return null;
    return await use({ handle, attributes, sizeBytes: Number(attributes.size) });
  } finally {
    await handle.close();
  }
}

/** The content of an open file from its start, as long as it was when it was opened. */
export function streamLocalFile({ handle, sizeBytes }: LocalFile): AsyncIterable<Buffer> {
  return handle.createReadStream({
    autoClose: false,
    start: 0,
    end: sizeBytes - 1,
    highWaterMark: wholeFileBytes,
  });
}

/** The id that the content of an open file has as a blob; nothing is stored. */
export async function hashLocalFile(file: LocalFile, algorithm: HashAlgorithm): Promise<Oid> {
  if (file.sizeBytes <= wholeFileBytes) {
    return hashObject(algorithm, 'blob', await file.handle.readFile());
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
