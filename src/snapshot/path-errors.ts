import { FileNotFoundError, IsADirectoryError, NotADirectoryError } from '../errors.ts';
import type { ByteString } from '../git/byte-string.ts';
import { pathText } from './path.ts';

/** The error for a path at which nothing stands. */
export function nothingAt(path: ByteString): FileNotFoundError {
  const text = pathText(path);
  return new FileNotFoundError(`no such file or directory: ${text}`, { path: text });
}

/** The error for a directory where a file is needed. */
export function directoryAt(path: ByteString): IsADirectoryError {
  const text = pathText(path);
  return new IsADirectoryError(`is a directory: ${text}`, { path: text });
}

/** The error for a file where a directory is needed. */
export function fileAt(path: ByteString): NotADirectoryError {
  const text = pathText(path);
  return new NotADirectoryError(`not a directory: ${text}`, { path: text });
}
