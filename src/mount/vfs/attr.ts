import type { NodeContext } from './node-context.ts';
import type { Attr, Ino, Timespec } from './operations.ts';

/** What `ls -l` shows for the size of a directory, as on ext4. */
const directorySizeBytes = 4096;
const blockSizeBytes = 512;

const directoryMode = 0o040755;

/** The attributes of a file, link or directory that were all set at one time. */
export function plainAttr(
  { owner }: Pick<NodeContext, 'owner'>,
  ino: Ino,
  mode: number,
  sizeBytes: number,
  time: Timespec,
  nlink = 1,
): Attr {
  return {
    ino,
    mode,
    nlink,
    uid: owner.uid,
    gid: owner.gid,
    rdev: 0,
    size: sizeBytes,
    blocks: Math.ceil(sizeBytes / blockSizeBytes),
    atime: time,
    mtime: time,
    ctime: time,
  };
}

/**
 * The attributes of a directory. `nlink` counts its name, its `.` and the `..` of each directory in
 * it; it is 1, which tools take for "not counted", where that number is not known.
 */
export function directoryAttr(
  context: Pick<NodeContext, 'owner'>,
  ino: Ino,
  subdirectories: number | undefined,
  time: Timespec,
): Attr {
  const nlink = subdirectories === undefined ? 1 : 2 + subdirectories;
  return plainAttr(context, ino, directoryMode, directorySizeBytes, time, nlink);
}

/** The present, by the daemon's clock. */
export function timespecNow(): Timespec {
  const nowMs = Date.now();
  const sec = Math.floor(nowMs / 1000);
  return { sec, nsec: (nowMs - sec * 1000) * 1_000_000 };
}
