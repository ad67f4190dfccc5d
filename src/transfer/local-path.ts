import type { BigIntStats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { FileNotFoundError, InvalidPathError } from '../errors.ts';
import { bufferFromByteString, bytesFromText, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { isNothingThere } from '../git/system-error.ts';
import { splitPath } from '../snapshot/path.ts';

/** What one source of a copy from the disk names, under rsync's rules. */
export interface LocalSource {
  readonly path: ByteString;
  /** Whether what is in the directory is meant, instead of the directory itself. */
  readonly contents: boolean;
  /** Where it goes below the destination: its own name, what follows a `/./` pivot, or none for contents. */
  readonly names: readonly ByteString[];
}

/** The bytes of a local path. An empty one is a `FileNotFoundError`, as for the system; a NUL byte an `InvalidPathError`. */
export function localPathFromText(text: string): ByteString {
  if (text === '') throw new FileNotFoundError('an empty local path', { path: text });
  if (!text.includes('\0')) return bytesFromText(text);
  throw new InvalidPathError(`a local path with a NUL byte: ${JSON.stringify(text)}`, {
    path: text,
  });
}

/**
 * Takes apart a local source: `dir` is the directory (or file), `dir/`, `dir/.`, `.` and `..` what is
 * in it; after a pivot, as in `base/./a/b`, the rest of the path (`a/b`) is kept, and must not hold
 * `..`, which is an `InvalidPathError`.
 */
export function parseLocalSource(text: string): LocalSource {
  const given = localPathFromText(text);
  const path = (given.replace(/(?:\/+\.?)+$/, '') || '/') as ByteString;
  const contents = /(?:^|\/)\.{0,2}$/.test(given);
  const pivot = given.indexOf('/./');
  const kept = pivot < 0 ? path.slice(path.lastIndexOf('/') + 1) : given.slice(pivot + 3);
  if (contents && pivot < 0) return { path, contents, names: [] };
  const names = splitPath(kept as ByteString).filter((name) => name !== '' && name !== '.');
  if (!names.includes('..' as ByteString)) return { path, contents, names };
  throw new InvalidPathError(`".." after the pivot of ${JSON.stringify(text)}`, { path: text });
}

/** The local path of a name in a local directory. */
export function joinLocalPath(directory: ByteString, name: ByteString): ByteString {
  return `${directory}${directory.endsWith('/') ? '' : '/'}${name}` as ByteString;
}

/** What the functions of `node:fs` take, whatever bytes the path is of. */
export function localPathBytes(path: ByteString): Buffer {
  return bufferFromByteString(path);
}

/** The attributes of what stands at a local path, not following a link; `null` for nothing. */
export function lstatIfThere(path: ByteString): Promise<BigIntStats | null> {
  return nullIfMissing(lstat(localPathBytes(path), { bigint: true }));
}

/** The attributes of what a local path leads to; `null` for nothing. */
export function statIfThere(path: ByteString): Promise<BigIntStats | null> {
  return nullIfMissing(stat(localPathBytes(path), { bigint: true }));
}

async function nullIfMissing(attributes: Promise<BigIntStats>): Promise<BigIntStats | null> {
  try {
    return await attributes;
  } catch (error) {
    if (isNothingThere(error)) return null;
    throw error;
  }
}

/** Tells one file or directory of this machine from all others. */
export function identityOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`;
}

/** The error for a local path at which nothing stands. */
export function nothingOnDisk(path: ByteString): FileNotFoundError {
  const text = textFromBytes(path);
  return new FileNotFoundError(`no such local file or directory: ${text}`, { path: text });
}
