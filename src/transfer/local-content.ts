import {
  close,
  closeSync,
  constants,
  fstat,
  fstatSync,
  open,
  openSync,
  read,
  readFile,
  readSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { ByteString } from '../git/byte-string.ts';
import { beginObjectHash, finishObjectHash, hashObject } from '../git/hash-object.ts';
import type { HashAlgorithm, Oid } from '../git/oid.ts';
import { localPathBytes } from './local-path.ts';
import type { ThreadPace } from '../git/thread-pace.ts';

const openFile = promisify(open);
const closeFile = promisify(close);
const attributesOf = promisify(fstat);
const readFrom = promisify(read);
const readAll = promisify(readFile);

/** Below this a file is cheaper read at once than streamed. */
export const wholeFileBytes: number = 256 * 1024;

/** A regular file of the disk, open for reading. */
export interface LocalFile {
  readonly descriptor: number;
  readonly attributes: BigIntStats;
  readonly sizeBytes: number;
  /** What it is read by in this thread; without it the thread pool reads. */
  readonly pace: ThreadPace | undefined;
}

/** How a file is opened. */
export interface LocalFileOptions {
  /** Whether a link is followed. */
  readonly follow: boolean;
  /** Given for a file that is near: it may be read in this thread. */
  readonly pace?: ThreadPace | undefined;
}

/**
 * Opens a regular file and gives it to `use`; `null` when something else stands there. It waits for
 * nobody: a FIFO is opened without its other end.
 */
export async function withLocalFile<Result>(
  path: ByteString,
  { follow, pace }: LocalFileOptions,
  use: (file: LocalFile) => Promise<Result>,
): Promise<Result | null> {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
  const flags = O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
  const bytes = localPathBytes(path);
  if (pace?.takeNext() === true) {
    const descriptor = pace.run(() => openSync(bytes, flags));
    try {
      return await useIfRegular(descriptor, fstatSync(descriptor, { bigint: true }), pace, use);
    } finally {
      closeSync(descriptor);
    }
  }
  const descriptor = await openFile(bytes, flags);
  try {
    const attributes = await attributesOf(descriptor, { bigint: true });
    return await useIfRegular(descriptor, attributes, undefined, use);
  } finally {
    await closeFile(descriptor);
  }
}

async function useIfRegular<Result>(
  descriptor: number,
  attributes: BigIntStats,
  pace: ThreadPace | undefined,
  use: (file: LocalFile) => Promise<Result>,
): Promise<Result | null> {
  if (!attributes.isFile()) return null;
  return use({ descriptor, attributes, sizeBytes: Number(attributes.size), pace });
}

/** The whole content of an open file that is not big. */
export async function readLocalFile({ descriptor, sizeBytes, pace }: LocalFile): Promise<Buffer> {
  // Files in /proc say 0 and hold more.
  if (sizeBytes === 0) return readAll(descriptor);
  const content = Buffer.allocUnsafe(sizeBytes);
  let filledBytes = 0;
  while (filledBytes < sizeBytes) {
    const lackedBytes = sizeBytes - filledBytes;
    const bytesRead =
      pace === undefined
        ? (await readFrom(descriptor, content, filledBytes, lackedBytes, null)).bytesRead
        : pace.run(() => readSync(descriptor, content, filledBytes, lackedBytes, null));
    if (bytesRead === 0) break;
    filledBytes += bytesRead;
  }
  return content.subarray(0, filledBytes);
}

/**
 * The content of an open file from its start, as long as it was when it was opened. A chunk is good until
 * the next one is asked for: all are in the same memory.
 */
export async function* streamLocalFile({
  descriptor,
  sizeBytes,
}: LocalFile): AsyncGenerator<Buffer, void, undefined> {
  const chunk = Buffer.allocUnsafe(Math.min(wholeFileBytes, sizeBytes));
  for (let position = 0; position < sizeBytes;) {
    const lackedBytes = Math.min(chunk.length, sizeBytes - position);
    // Nothing is read ahead: whoever stops taking chunks may close the file at once.
    const { bytesRead } = await readFrom(descriptor, chunk, 0, lackedBytes, position);
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
