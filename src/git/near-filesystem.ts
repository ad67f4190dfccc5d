import { statfs } from 'node:fs/promises';

// The kinds of filesystem that hold their files on a disk of this machine, or in its memory: f_type of
// statfs(2), by linux/magic.h. Behind others (FUSE, networks) may stand somebody whom one waits for,
// in the worst case this very process.
const nearFilesystems: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0xf2f52010, // f2fs
  0x2fc12fc1, // zfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
]);

/** Tells whether the files of a directory that are in memory can be read without waiting for anybody. */
export async function isNear(directory: Buffer): Promise<boolean> {
  return nearFilesystems.has((await statfs(directory)).type);
}
