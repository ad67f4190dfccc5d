/** A git file mode, as the number that a tree entry stores in octal. */
export type FileMode = number;

/** A regular file. */
export const modeBlob = 0o100644;
/** A regular file with its executable bit set. */
export const modeExecutable = 0o100755;
/** A symbolic link; its blob holds the target. */
export const modeSymlink = 0o120000;
/** A directory. */
export const modeTree = 0o040000;
/** A submodule; its oid is a commit of another repository. */
export const modeGitlink = 0o160000;

const formatMask = 0o170000;

/** Tells whether a tree entry with this mode is a directory. */
export function isTreeMode(mode: FileMode): boolean {
  return (mode & formatMask) === modeTree;
}

/** Tells whether a tree entry with this mode is a submodule. */
export function isGitlinkMode(mode: FileMode): boolean {
  return (mode & formatMask) === modeGitlink;
}

/** Tells whether a tree entry with this mode is a symbolic link. */
export function isSymlinkMode(mode: FileMode): boolean {
  return (mode & formatMask) === modeSymlink;
}

/** Tells whether a tree entry with this mode is a regular file, executable or not. */
export function isRegularMode(mode: FileMode): boolean {
  return (mode & formatMask) === 0o100000;
}

/**
 * One of the five modes that git writes today. Old repositories hold others (`100664`); git treats
 * every regular file as `100644` or `100755` by the owner's executable bit, and so does this.
 */
export function canonicalMode(mode: FileMode): FileMode {
  if (isRegularMode(mode)) return (mode & 0o100) === 0 ? modeBlob : modeExecutable;
  return mode & formatMask;
}
