import { InvalidArgumentError } from '../errors.ts';
import {
  canonicalMode,
  isGitlinkMode,
  isRegularMode,
  isSymlinkMode,
  isTreeMode,
  modeBlob,
  modeExecutable,
  modeSymlink,
  modeTree,
} from '../git/mode.ts';
import type { FileMode } from '../git/mode.ts';

/** The kinds of entry that a tree holds. A submodule counts as a `TREE` without entries. */
export const FileType = {
  /** A regular file. */
  BLOB: 'blob',
  /** A regular file with its executable bit set. */
  EXECUTABLE: 'executable',
  /** A symbolic link. */
  LINK: 'link',
  /** A directory. */
  TREE: 'tree',
} as const;

/** One of the values of `FileType`. */
export type FileType = (typeof FileType)[keyof typeof FileType];

/** The mode of a regular file, as git writes it in octal. */
export const MODE_BLOB = '100644';
/** The mode of an executable file, as git writes it in octal. */
export const MODE_BLOB_EXEC = '100755';
/** The mode of a symbolic link, as git writes it in octal. */
export const MODE_LINK = '120000';
/** The mode of a directory, as git writes it in octal. */
export const MODE_TREE = '040000';

/** How callers say a mode: a `FileType`, an octal string such as `MODE_BLOB_EXEC`, or the number. */
export type ModeOption = FileType | (string & {}) | number;

const modeOfType: Readonly<Record<FileType, FileMode>> = {
  [FileType.BLOB]: modeBlob,
  [FileType.EXECUTABLE]: modeExecutable,
  [FileType.LINK]: modeSymlink,
  [FileType.TREE]: modeTree,
};

/** The six octal digits of a mode, as `git ls-tree` shows them. */
export function formatMode(mode: FileMode): string {
  return mode.toString(8).padStart(6, '0');
}

/** The kind of entry that has this mode: an octal string or a number. An `InvalidArgumentError` when git has no such mode. */
export function fileTypeFromMode(mode: string | number): FileType {
  const number = typeof mode === 'number' ? mode : parseMode(mode);
  if (isTreeMode(number) || isGitlinkMode(number)) return FileType.TREE;
  if (isSymlinkMode(number)) return FileType.LINK;
  if (isRegularMode(number)) {
    return canonicalMode(number) === modeExecutable ? FileType.EXECUTABLE : FileType.BLOB;
  }
  throw new InvalidArgumentError(`not a git file mode: ${String(mode)}`);
}

/** The mode of a kind of entry, as git writes it in octal. */
export function fileModeFromType(type: FileType): string {
  return formatMode(modeFromOption(type));
}

/** The mode that a caller's `mode` option stands for. */
export function modeFromOption(option: ModeOption): FileMode {
  if (typeof option !== 'number' && Object.hasOwn(modeOfType, option)) {
    return modeOfType[option as FileType];
  }
  const mode = typeof option === 'number' ? option : parseMode(option);
  fileTypeFromMode(mode);
  return canonicalMode(mode);
}

/** The mode of a file that a caller writes: a `TREE` has no content, and is an `InvalidArgumentError`. */
export function fileModeFromOption(option: ModeOption | undefined): FileMode {
  const mode = option === undefined ? modeBlob : modeFromOption(option);
  if (fileTypeFromMode(mode) !== FileType.TREE) return mode;
  throw new InvalidArgumentError(`not the mode of a file: ${String(option)}`);
}

function parseMode(text: string): FileMode {
  if (!/^0*[0-7]{5,6}$/.test(text)) {
    throw new InvalidArgumentError(`not a file type or mode: ${JSON.stringify(text)}`);
  }
  return Number.parseInt(text, 8);
}
