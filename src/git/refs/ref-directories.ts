import { mkdir, readdir, rmdir } from 'node:fs/promises';
import { bufferFromByteString, type ByteString } from '../byte-string.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import { isNothingThere, systemErrorCode } from '../system-error.ts';

// Directories of refs come and go with the refs in them: whoever deletes the last ref of a directory
// removes the directory, at any moment, also right after somebody else has made it for a new ref. So
// nothing here counts on a directory that was there a moment ago.

/** The directory that a path is in. */
export function parentOf(path: ByteString): ByteString {
  return path.slice(0, path.lastIndexOf('/')) as ByteString;
}

/**
 * Makes the directory that a file is to stand in; whether it is still there when the file is made,
 * only that can tell. A file in the way is ENOTDIR or EEXIST.
 */
export async function makeParent(path: ByteString): Promise<void> {
  try {
    await mkdir(bufferFromByteString(parentOf(path)), { recursive: true });
  } catch (error) {
    // One that was just made, or found, was removed before the next one could be made in it.
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
}

/** Tells whether there is a file at a path. */
export async function isFile(path: ByteString, disk: Disk = farDisk): Promise<boolean> {
  return (await disk.lstat(bufferFromByteString(path)))?.isFile() ?? false;
}

/** Removes a file; when there is none, or a directory in its place, it does nothing. */
export async function removeFile(path: ByteString, disk: Disk = farDisk): Promise<void> {
  const bytes = bufferFromByteString(path);
  try {
    await disk.unlink(bytes);
  } catch (error) {
    // What the call itself says holds, whatever stands there a moment later: others make and remove
    // directories of this name.
    if (isNothingThere(error) || systemErrorCode(error) === 'EISDIR') return;
    // A directory is EISDIR on Linux and EPERM by POSIX, which can have other reasons, too.
    if (systemErrorCode(error) === 'EPERM' && (await disk.lstat(bytes))?.isDirectory() !== false) {
      return;
    }
    throw error;
  }
}

/**
 * Removes the directory at a path if it holds nothing but empty directories.
 * Gives `false` when something stands in it; a file at the path, or nothing, is no obstacle.
 */
export async function removeEmptyDirectories(path: ByteString): Promise<boolean> {
  if (await removeDirectory(path)) return true;
  const entries = await readdir(bufferFromByteString(path), {
    withFileTypes: true,
    encoding: 'buffer',
  }).catch((error: unknown) => {
    if (isNothingThere(error)) return [];
    throw error;
  });
  for (const entry of entries) {
    if (!entry.isDirectory()) return false;
    const child = `${path}/${entry.name.toString('latin1')}` as ByteString;
    if (!(await removeEmptyDirectories(child))) return false;
  }
  return removeDirectory(path);
}

/**
 * Removes the directories that `base/name` is in as long as they are empty, from the innermost
 * outwards; `refs/heads` and its like stay. One that cannot be removed stays, too: the change that
 * left it empty has been made, and does not fail for that.
 */
export async function removeEmptyParents(base: ByteString, name: string): Promise<void> {
  const parts = name.split('/');
  for (let count = parts.length - 1; count > 2; count--) {
    const directory = [base, ...parts.slice(0, count)].join('/') as ByteString;
    if (!(await removeDirectory(directory).catch(() => false))) return;
  }
}

async function removeDirectory(path: ByteString): Promise<boolean> {
  try {
    await rmdir(bufferFromByteString(path));
    return true;
  } catch (error) {
    if (isNothingThere(error)) return true;
    const code = systemErrorCode(error);
    // POSIX leaves it open which of the two a directory that is not empty gives.
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}
