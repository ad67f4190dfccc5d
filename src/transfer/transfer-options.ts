import type { ModeOption } from '../snapshot/file-type.ts';
import type { CommitOptions, DryRunOptions } from '../snapshot/write-options.ts';
import type { ExcludeFilter } from './exclude-filter.ts';

/** How far a copy between the disk, or an archive, and a repository has come. */
export interface TransferProgress {
  /** Files and links that are dealt with so far, unchanged ones included. */
  readonly files: number;
  /** Their sizes together. */
  readonly bytes: number;
  /** The one before this call: its local path, or the path that it has in the archive. */
  readonly path: string;
}

/** What copies in both directions have in common. */
export interface TransferOptions extends DryRunOptions {
  /** Leave alone whatever stands at the destination already, of any kind. */
  ignoreExisting?: boolean | undefined;
  /** Put files that fail into `changes.errors` and go on; else the first failure ends the copy. */
  ignoreErrors?: boolean | undefined;
  /**
   * Compare contents, the default. `false` takes files for the same, unread, that agree in size and
   * mtime, as rsync does; the mtime of a stored file is the time of its snapshot's commit, which
   * `copyOut` gives to what it writes. Those that do not agree are compared by content still.
   */
  checksum?: boolean | undefined;
  /** Called after each file. */
  progress?: ((progress: TransferProgress) => void) | undefined;
  /** Ends the copy between two files, with the signal's reason; then nothing is committed. */
  signal?: AbortSignal | undefined;
}

/** How a local directory is made that of a snapshot. */
export interface SyncInOptions extends CommitOptions, TransferOptions {
  /** Store what symbolic links lead to, instead of the links. */
  followSymlinks?: boolean | undefined;
  /** The mode of all regular files, instead of what their executable bits say. */
  mode?: ModeOption | undefined;
  /**
   * Files that are not looked at, neither on the disk nor in the snapshot, where they stay. Paths are
   * judged as seen from the destination: `dir/file` for the source `dir`, `file` for `dir/`.
   */
  exclude?: ExcludeFilter | undefined;
}

/** How local files are copied into a snapshot. */
export interface CopyInOptions extends SyncInOptions {
  /** What stands in a directory of the destination, and not in its source, goes away. */
  delete?: boolean | undefined;
}

/** How a local directory is made like one of a snapshot. */
export type SyncOutOptions = TransferOptions;

/** How files of a snapshot are copied to the disk. */
export interface CopyOutOptions extends SyncOutOptions {
  /** What stands in a directory of the destination, and not in its source, goes away. */
  delete?: boolean | undefined;
}
