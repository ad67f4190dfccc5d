/** From the fewest lines to the most. */
export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
/** What is written to the log: lines of this level and of those before it. */
export type LogLevel = (typeof logLevels)[number];

/**
 * What makes a commit. `close`: every close of a changed file (bursts become one). `fsync`: only
 * fsync(2) and the unmount. `manual`: only an explicit commit. `idle`: when nothing was closed for
 * `idleMs`.
 */
export type CommitPolicy = 'close' | 'fsync' | 'manual' | { readonly idleMs: number };

/**
 * How requests get here: `kernel` speaks the protocol of the Linux kernel, `fuse-native` goes by way
 * of libfuse and the package of that name, and `auto` is `kernel` on Linux.
 */
export const transports = ['auto', 'kernel', 'fuse-native'] as const;
/** One of `transports`. */
export type Transport = (typeof transports)[number];

/** How a mount looks and behaves; everything has a default. Plain data, so that it can cross a process boundary. */
export interface MountOptions {
  /** Serve this branch alone, writable, at the root of the mount. */
  readonly branch?: string;
  /**
   * Serve this snapshot alone, read-only for good: a tag, a branch or a commit, with `@<when>` (an ISO
   * date or time, `2h`, `3d`, `yesterday`) and `~N` after it if wanted.
   */
  readonly ref?: string;
  /** As `ref`, and only a tag will do. */
  readonly tag?: string;
  /**
   * Serve an earlier commit of `ref`, `tag` or `branch`, read-only for good: the newest one along first
   * parents for which the next three hold, or this many before it.
   */
  readonly back?: number;
  /** Made at this time or before, in seconds since the epoch. */
  readonly beforeSec?: number;
  /** With a message that matches: `*` is any text, `?` one character. */
  readonly match?: string;
  /** Which changed this path. */
  readonly path?: string;
  /** Nothing can be written through this mount. */
  readonly readOnly?: boolean;
  /** Create the repository when there is none (default true). */
  readonly create?: boolean;
  /** Default `close`. */
  readonly commitOn?: CommitPolicy;
  /** How long a branch must be quiet before its commit, in milliseconds (default 100). */
  readonly commitDelayMs?: number;
  /** The template of commit messages, with the library's placeholders. */
  readonly message?: string;
  /** Who commits; default is the git configuration, else `vost`. */
  readonly author?: string;
  readonly email?: string;
  /** Patterns of names that live for the session only; they take the place of the built-in list. */
  readonly scratch?: readonly string[];
  /** What a branch's own `.gitignore` files name lives for the session only, too. */
  readonly gitignore?: boolean;
  /** Writes beyond this size answer EFBIG. */
  readonly maxFileSizeBytes?: number;
  /** Bound of the caches of objects, in bytes. */
  readonly cacheSizeBytes?: number;
  /** Where content waits that is too big for memory; default is beside the repository's packs. */
  readonly spoolDirectory?: string;
  /** Let other users in. */
  readonly allowOther?: boolean;
  /** The owner and group that files show; default are those of this process. */
  readonly uid?: number;
  readonly gid?: number;
  /** Mount over a directory that is not empty. */
  readonly nonEmpty?: boolean;
  /** Default `auto`. */
  readonly transport?: Transport;
  /** Options of mount(8) that the kernel itself sees to, such as `noexec`. */
  readonly kernelOptions?: readonly string[];
  /** List `.tags`, `.commits` and the other special directories in the root; they are found by name either way. */
  readonly showDotDirectories?: boolean;
  /** The process is there for this mount alone: its umask follows `core.sharedRepository`. */
  readonly setsUmask?: boolean;
  /** What is written to the log (default `warn`). */
  readonly logLevel?: LogLevel;
}

/** Which commit along the history of another one is meant. */
export type CommitChoice = Pick<MountOptions, 'back' | 'beforeSec' | 'match' | 'path'>;

/** Tells whether a commit along a history is to be chosen. */
export function choosesCommit({ back, beforeSec, match, path }: CommitChoice): boolean {
  return [back, beforeSec, match, path].some((condition) => condition !== undefined);
}
