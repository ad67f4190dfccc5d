import { FS } from '../snapshot/fs.ts';
import { parseSource, sourceList } from '../snapshot/source-path.ts';
import { copyIn } from './copy-in.ts';
import { copyOut } from './copy-out.ts';
import { localPathFromText, parseLocalSource } from './local-path.ts';
import type {
  CopyInOptions,
  CopyOutOptions,
  SyncInOptions,
  SyncOutOptions,
} from './transfer-options.ts';

// Snapshots know nothing of what is built on them; this adds the methods that copy between them
// and the disk where both are at hand.
declare module '../snapshot/fs.ts' {
  interface FS {
    /**
     * Copies files and directories of the disk into the directory `dest`, which is made when it is
     * missing, in one commit. A source `dir` is copied as `dest/dir`, `dir/` pours what is in it, and
     * a `/./` pivot keeps the path after it; several sources that meet are laid over each other, the
     * first one above. What stands in `dest` stays, unless `delete` is given; a file in place of a
     * source's directory makes way, a directory in place of a source's file only with `delete`.
     *
     * Links are stored as links, unless followed; the executable bit is kept, or `mode` counts.
     * Empty directories cannot be stored. FIFOs, sockets and devices, what is called `.git`, and files
     * that go away meanwhile are left out, each with a line in `changes.warnings`. A file that a
     * source names and is not there is a `FileNotFoundError`; a file for the destination, or where
     * contents were asked for, a `NotADirectoryError`.
     */
    copyIn(sources: string | readonly string[], dest: string, options?: CopyInOptions): Promise<FS>;

    /**
     * Copies files and directories of this snapshot into the local directory `dest`, which is made
     * when it is missing, under the rules of `copyIn`; any snapshot will do. Gives this snapshot with
     * `changes`, whose paths are seen from `dest`. Files appear whole or not at all, with the time of
     * the commit as their mtime, and are not touched when their content is there already.
     *
     * Nothing outside of `dest` is written: links in place of directories are replaced, not followed,
     * and names that git forbids are an `InvalidPathError`. What was written stays when one fails.
     */
    copyOut(
      sources: string | readonly string[],
      dest: string,
      options?: CopyOutOptions,
    ): Promise<FS>;

    /** Makes the directory `repoPath` the same as a local one, in one commit: `copyIn` of its contents with `delete`. */
    syncIn(localPath: string, repoPath: string, options?: SyncInOptions): Promise<FS>;

    /** Makes a local directory the same as `repoPath` is in this snapshot: `copyOut` of its contents with `delete`. */
    syncOut(repoPath: string, localPath: string, options?: SyncOutOptions): Promise<FS>;
  }
}

FS.prototype.copyIn = async function (this: FS, sources, dest, options = {}) {
  const parsed = sourceList(sources).map(parseLocalSource);
  return copyIn(this, { sources: parsed, dest, operation: 'cp', options });
};

FS.prototype.copyOut = async function (this: FS, sources, dest, options = {}) {
  return copyOut(this, { sources: sourceList(sources).map(parseSource), dest, options });
};

FS.prototype.syncIn = async function (this: FS, localPath, repoPath, options = {}) {
  const source = { path: localPathFromText(localPath), contents: true, names: [] };
  const how = { ...options, delete: true };
  return copyIn(this, { sources: [source], dest: repoPath, operation: 'sync', options: how });
};

FS.prototype.syncOut = async function (this: FS, repoPath, localPath, options = {}) {
  const source = { ...parseSource(repoPath), contents: true, kept: null };
  const how = { ...options, delete: true };
  return copyOut(this, { sources: [source], dest: localPath, options: how });
};
