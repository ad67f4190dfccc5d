import { InvalidPathError } from '../errors.ts';
import { textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';

/** One entry of an archive, of one that is read as of one that is written. */
export interface ArchiveEntry {
  /** Its path as it stands in the archive, without a `/` at the end. */
  readonly path: ByteString;
  /** `hard link` is the same file as an earlier entry, `other` what no repository can hold. */
  readonly kind: 'file' | 'link' | 'directory' | 'hard link' | 'other';
  readonly isExecutable: boolean;
  /** Of the content, exactly: reading fails when another amount comes. */
  readonly sizeBytes: number;
  /** The path of the earlier entry, for a hard link. */
  readonly target?: ByteString;
  /** The bytes of a file, or what a symbolic link leads to. To be read before the next entry, once at most. */
  readonly content: () => AsyncIterable<Buffer>;
}

/** The content of an entry that has none. */
// eslint-disable-next-line @typescript-eslint/require-await -- it has to be an async iterable
export async function* noContent(): AsyncGenerator<Buffer, void, undefined> {
  yield* [];
}

/** Reads all of some content. */
export async function collectContent(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// What is longer no system opens; nested as deep as that, it would only cost time.
const longestPathBytes = 4096;

/**
 * Where an entry goes, `''` for the root. Whatever leads out of it is an `InvalidPathError`: `..`
 * and absolute paths, also with the separators of Windows.
 */
export function placeInArchive(path: ByteString): ByteString {
  const text = (): string => JSON.stringify(textFromBytes(path));
  if (path.length > longestPathBytes) {
    throw new InvalidPathError(`a path of ${path.length} bytes in an archive`);
  }
  if (path.includes('\0')) throw new InvalidPathError(`a NUL byte in an archive's path: ${text()}`);
  if (/^[/\\]/.test(path) || /^[A-Za-z]:[/\\]/.test(path)) {
    throw new InvalidPathError(`an absolute path in an archive: ${text()}`);
  }
  if (path.split(/[/\\]/).includes('..')) {
    throw new InvalidPathError(`a path in an archive that leads out of it: ${text()}`);
  }
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  return names.join('/') as ByteString;
}
