import {
  FileNotFoundError,
  GitStoreError,
  InvalidPathError,
  IsADirectoryError,
  NotADirectoryError,
} from '../errors.ts';
import { systemErrorCode } from './system-error.ts';

/**
 * What a failed call says of a path on the local disk, as an error of this library where one means the
 * same; every other error as it is.
 */
export function localError(path: string, cause: unknown): unknown {
  const context = { path, cause };
  switch (systemErrorCode(cause)) {
    case 'ENOENT':
      return new FileNotFoundError(`no such local file: ${path}`, context);
    case 'ENOTDIR':
      return new NotADirectoryError(
        `there is a file where a directory is needed: ${path}`,
        context,
      );
    case 'EISDIR':
      return new IsADirectoryError(`is a directory: ${path}`, context);
    case 'ELOOP':
      return new GitStoreError('ELOOP', `too many links on the way to ${path}`, context);
    case 'ENAMETOOLONG':
      return new InvalidPathError(`a name is too long: ${path}`, context);
    // What Node says of a NUL byte.
    case 'ERR_INVALID_ARG_VALUE':
      return new InvalidPathError(`not a local path: ${JSON.stringify(path)}`, context);
    default:
      return cause;
  }
}
