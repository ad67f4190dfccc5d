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

/** A kind of request that has a name here. */
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
  asyncRead: 0x1,
  /** open with O_TRUNC truncates; no separate SETATTR comes before it. */
  atomicTruncate: 0x8,
  /** A WRITE may hold more than a page. */
  bigWrites: 0x20,
  /** Listings come with attributes… */
  readdirPlus: 0x2000,
  /** …where the kernel finds that a program looks at them. */
  readdirPlusAuto: 0x4000,
  /** Several direct reads and writes may be on their way. */
  asyncDirectIo: 0x8000,
  /** Lookups and listings in one directory need not wait for each other. */
  parallelDirectoryOperations: 0x4_0000,
  /** Requests may be as large as `max_pages` says. */
  maxPages: 0x40_0000,
  /** The kernel keeps the targets of symbolic links. */
  cacheSymlinks: 0x80_0000,
  /** A changed size or time is no reason to drop what is cached of a file: only a notice is. */
  explicitInvalidation: 0x200_0000,
  /** The daemon takes away set-user-id bits when a file is written; saves a GETXATTR for each write. */
  killPrivileges: 0x1000_0000,
} as const;

/** `FUSE_INIT_EXT`: INIT and its answer have a second word of flags. */
export const initExtended: number = 0x4000_0000;

/** The flags of the second word. */
export const secondInitFlags = {
  /** The kernel may be given files that it reads by itself (`BackedInodes`). Since 7.40. */
  passthrough: 0x20,
} as const;

/** A feature that can be agreed on at INIT. */
export type InitFlagName = keyof typeof initFlags | keyof typeof secondInitFlags;

/** `FATTR_*`: which fields of a SETATTR are meant. */
export const setattrFields = {
  mode: 0x1,
  uid: 0x2,
  gid: 0x4,
  size: 0x8,
  atime: 0x10,
  mtime: 0x20,
  fh: 0x40,
  atimeNow: 0x80,
  mtimeNow: 0x100,
  killPrivileges: 0x800,
} as const;

/** `FOPEN_*`: how the kernel may treat an open file. */
export const openReplyFlags = {
  directIo: 0x1,
  keepCache: 0x2,
  cacheDirectory: 0x8,
  noFlush: 0x20,
  passthrough: 0x80,
} as const;

/** `FUSE_GETATTR_FH`: the request names a handle. */
export const getattrHasHandle: number = 0x1;
/** `FUSE_WRITE_CACHE`: what mmap(2) has changed, and the handle is any that can write. */
export const writeOfCache: number = 0x1;
/** `FUSE_WRITE_LOCKOWNER`: the request names who would hold a lock, as every write past the kernel's cache does. */
export const writeHasOwner: number = 0x2;
/** `FUSE_WRITE_KILL_SUIDGID`: the writer may not keep set-user-id bits on the file. */
export const writeKillsPrivileges: number = 0x4;
/** `FUSE_OPEN_KILL_SUIDGID`: the same for an open that truncates. */
export const openKillsPrivileges: number = 0x1;
/** `FUSE_FSYNC_FDATASYNC`. */
export const fsyncDataOnly: number = 0x1;

/** `FUSE_NOTIFY_*`: what the daemon tells the kernel unasked. */
export const notices = {
  invalidateInode: 2,
  invalidateEntry: 3,
  store: 4,
  /** Every request that was read and not answered is to be read again. Since 7.40. */
  resend: 7,
  /** Every name that the kernel keeps is asked for again. Since 7.44. */
  nextEpoch: 8,
} as const;
