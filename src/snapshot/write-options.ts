import type { ModeOptions } from './batch.ts';
import type { FS } from './fs.ts';

/** How a commit is made. */
export interface CommitOptions {
  /** The commit's message, or a template for it: see `formatCommitMessage`. */
  message?: string | null | undefined;
  /** Snapshots that become further parents of the commit; their trees are not merged. */
  parents?: readonly FS[] | undefined;
}

/** How a batch is committed. */
export interface BatchOptions extends CommitOptions {
  /** A name for what is done, for the message that is made when none is given. */
  operation?: string | undefined;
}

/** How one file is written. */
export interface WriteOptions extends CommitOptions, ModeOptions {}

/** How a text is written. */
export interface WriteTextOptions extends WriteOptions {
  /** Default `utf-8`; also `utf-16le`, `latin1` and `ascii`. */
  encoding?: string | undefined;
}

/** An operation that can be tried out. */
export interface DryRunOptions {
  /** Commit nothing: the snapshot that comes back is the same one, with `changes` filled. */
  dryRun?: boolean | undefined;
}

/** How files are removed or moved. */
export interface ReorganizeOptions extends CommitOptions, DryRunOptions {
  /** Directories are meant too; else they are an `IsADirectoryError`. */
  recursive?: boolean | undefined;
}

/** How files are copied from another snapshot. */
export interface CopyFromRefOptions extends CommitOptions, DryRunOptions {
  /** What stands in a destination directory and not in its source goes away. */
  delete?: boolean | undefined;
}

/** Which commits `FS.log` gives; all conditions must hold. */
export interface LogOptions {
  /** Only commits that changed this file or directory. */
  path?: string | undefined;
  /** Only commits whose message matches: `*` is any text, `?` one character. */
  match?: string | undefined;
  /** Only commits made at this time or before. */
  before?: Date | undefined;
}
