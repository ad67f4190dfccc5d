import { InvalidPathError } from '../errors.ts';
import { bytesFromText, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { isForbiddenName } from '../git/forbidden-name.ts';
import type { FileMode } from '../git/mode.ts';

/** The path of the root directory inside a snapshot. */
export const rootPath: ByteString = '' as ByteString;

/**
 * The one form of a path inside a repository: `/` between its segments, none at either end, no `.`
 * segments. `\` counts as `/`; the root is `''`. A `..`, an empty segment or a NUL byte is an
 * `InvalidPathError`. A name that holds a backslash has it as `backslashInName`.
 */
export function normalizePath(path: string): string {
  return pathSegments(path).join('/');
}

/** The segments of a path, under the rules of `normalizePath`; none for the root. */
export function pathSegments(path: string): string[] {
  if (path.includes('\0')) throw invalidPath(path, 'it holds a NUL byte');
  const inner = path.replaceAll('\\', '/').replace(/^\/+|\/+$/g, '');
  if (inner === '') return [];
  const segments = inner.split('/');
  if (segments.includes('')) throw invalidPath(path, 'it holds an empty segment');
  if (segments.includes('..')) throw invalidPath(path, 'it holds ".."');
  return segments.filter((segment) => segment !== '.');
}

/**
 * What stands in the text of a path for a backslash that belongs to a name, as it may on every system but
 * Windows: the byte as a lone surrogate, as bytes that are no UTF-8 are given.
 */
const backslashInName = '\udc5c';

/** The text of a path in a snapshot, which leads back to it. */
export function pathText(path: ByteString): string {
  return textFromBytes(path).replaceAll('\\', backslashInName);
}

/** Where a path from a caller leads, for reading. */
export function pathFromText(path: string): ByteString {
  return bytesFromText(normalizePath(path));
}

/**
 * Where a path from a caller leads, for something to be stored there. The root, and names that git
 * forbids in a tree, are an `InvalidPathError`.
 */
export function writablePathFromText(path: string, mode?: FileMode): ByteString {
  const bytes = innerPathFromText(path);
  refuseForbiddenNames(bytes, mode);
  return bytes;
}

/** Where a path from a caller leads, for something to be taken away there: not the root. */
export function innerPathFromText(path: string): ByteString {
  const bytes = pathFromText(path);
  if (bytes === rootPath) throw invalidPath(path, 'it is the root directory');
  return bytes;
}

/** Throws an `InvalidPathError` when git forbids one of the path's names in a tree. */
export function refuseForbiddenNames(path: ByteString, mode?: FileMode): void {
  const names = splitPath(path);
  names.forEach((name, index) => {
    const isLast = index === names.length - 1;
    if (isForbiddenName(name, isLast ? mode : undefined)) {
      throw invalidPath(path, `git does not allow the name ${JSON.stringify(name)}`);
    }
  });
}

function invalidPath(path: string, fault: string): InvalidPathError {
  return new InvalidPathError(`not a path: ${JSON.stringify(path)}: ${fault}`, { path });
}

/** The names of a path in its one form; none for the root. */
export function splitPath(path: ByteString): ByteString[] {
  return path === rootPath ? [] : (path.split('/') as ByteString[]);
}

/** The path of a name in a directory. */
export function joinPath(directory: ByteString, name: ByteString): ByteString {
  if (directory === rootPath) return name;
  return name === rootPath ? directory : (`${directory}/${name}` as ByteString);
}

/** The last name of a path; `''` for the root. */
export function baseName(path: ByteString): ByteString {
  return path.slice(path.lastIndexOf('/') + 1) as ByteString;
}

/** The path of the directory that holds a path; the root for what stands there, and for itself. */
export function parentPath(path: ByteString): ByteString {
  return path.slice(0, Math.max(0, path.lastIndexOf('/'))) as ByteString;
}

/** Tells whether a path is another one or lies below it. */
export function isWithin(path: ByteString, directory: ByteString): boolean {
  return directory === rootPath || path === directory || path.startsWith(`${directory}/`);
}
