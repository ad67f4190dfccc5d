/**
 * Numbers of the FUSE kernel protocol, as in the kernel's include/uapi/linux/fuse.h. Only what this
 * daemon looks at or answers stands here; any other opcode is answered with ENOSYS, which tells the
 * kernel to do without.
 */
export const opcodes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  access: 34,
  create: 35,
  interrupt: 36,
  bmap: 37,
  destroy: 38,
  ioctl: 39,
  poll: 40,
  batchforget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyfilerange: 47,
  syncfs: 50,
  tmpfile: 51,
  statx: 52,
  copyfilerange64: 53,
} as const;

export type OpcodeName = keyof typeof opcodes;

const names = new Map<number, string>(Object.entries(opcodes).map(([name, code]) => [code, name]));

/** The name of an opcode, for logs and metrics; `opcode-N` for one that is not known here. */
export function opcodeName(opcode: number): string {
  return names.get(opcode) ?? `opcode-${opcode}`;
}

/**
 * What the kernel and the daemon agree on at INIT (`FUSE_*` flags). Left out on purpose: locks
 * (POSIX_LOCKS, FLOCK_LOCKS), so that the kernel keeps them by itself; WRITEBACK_CACHE, which would
 * make the kernel the owner of sizes and times; EXPORT_SUPPORT; splicing, which needs system calls
 * that Node does not have.
 */
export const initFlags = {
  /** Several reads of one file may be on their way (readahead). */
  asyncRead: 1 << 0,
  /** open with O_TRUNC truncates; no separate SETATTR comes before it. */
  atomicTruncate: 1 << 3,
  /** A WRITE may hold more than a page. */
  bigWrites: 1 << 5,
  /** Listings come with attributes… */
  readdirPlus: 1 << 13,
  /** …where the kernel finds that a program looks at them. */
  readdirPlusAuto: 1 << 14,
  /** Several direct reads and writes may be on their way. */
  asyncDirectIo: 1 << 15,
  /** Lookups and listings in one directory need not wait for each other. */
  parallelDirectoryOperations: 1 << 18,
  /** Requests may be as large as `max_pages` says. */
  maxPages: 1 << 22,
  /** The kernel keeps the targets of symbolic links. */
  cacheSymlinks: 1 << 23,
  /** A changed size or time is no reason to drop what is cached of a file: only a notice is. */
  explicitInvalidation: 1 << 25,
  /** The daemon takes away set-user-id bits when a file is written; saves a GETXATTR for each write. */
  killPrivileges: 1 << 28,
} as const;

export type InitFlagName = keyof typeof initFlags;

/** `FATTR_*`: which fields of a SETATTR are meant. */
export const setattrFields = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  atime: 1 << 4,
  mtime: 1 << 5,
  fh: 1 << 6,
  atimeNow: 1 << 7,
  mtimeNow: 1 << 8,
  killPrivileges: 1 << 11,
} as const;

/** `FOPEN_*`: how the kernel may treat an open file. */
export const openReplyFlags = {
  directIo: 1 << 0,
  keepCache: 1 << 1,
  cacheDirectory: 1 << 3,
  noFlush: 1 << 5,
} as const;

/** `FUSE_GETATTR_FH`: the request names a handle. */
export const getattrHasHandle: number = 1 << 0;
/** `FUSE_WRITE_KILL_SUIDGID`: the writer may not keep set-user-id bits on the file. */
export const writeKillsPrivileges: number = 1 << 2;
/** `FUSE_OPEN_KILL_SUIDGID`: the same for an open that truncates. */
export const openKillsPrivileges: number = 1 << 0;
/** `FUSE_FSYNC_FDATASYNC`. */
export const fsyncDataOnly: number = 1 << 0;

/** `FUSE_NOTIFY_*`: what the daemon tells the kernel unasked. */
export const notices = {
  invalidateInode: 2,
  invalidateEntry: 3,
  /** Every name that the kernel keeps is asked for again. Since 7.44. */
  nextEpoch: 8,
} as const;
