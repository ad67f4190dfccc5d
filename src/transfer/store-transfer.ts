import { resolve } from 'node:path';
import { GitStore } from '../store/git-store.ts';
import { InvalidArgumentError } from '../errors.ts';
import { exportBundle } from './bundle.ts';
import { backup, restore, restoreBundle } from './mirror.ts';
import type { MirrorDiff } from './mirror-diff.ts';
import type {
  BackupOptions,
  BundleExportOptions,
  RestoreOptions,
  TransferContext,
  MirrorOptions,
} from './mirror-options.ts';

// Stores know nothing of what is built on them; this adds the methods that exchange refs and objects
// with other repositories where both are at hand.
declare module '../store/git-store.ts' {
  interface GitStore {
    /**
     * Makes the refs of another repository what they are here, or writes a bundle file when the url
     * ends in `.bundle` (or `format` says so). Without `refs` it is a full mirror: all refs, notes too,
     * and those that are only there are deleted, unless the other side hides them from pushes. With
     * `refs` only those are sent, and none is deleted. What stands there otherwise is overwritten.
     *
     * The url is a local path (made, as a bare repository, when nothing is there), `file://`,
     * `http(s)://`, `ssh://`, `git://` or `host:path`. With git on the `PATH` it does the talking, with
     * the user's configuration and credentials; without it http(s) and local paths work.
     *
     * Gives what changed, or with `dryRun` what would. All refs move or none does, as far as the other
     * side can do that. Symbolic refs of the other side stay, as far as it tells which are: they move
     * with what they lead to. Errors: `RefConflictError` when they would have to hold something else,
     * `KeyNotFoundError` for one of `refs`, `CorruptRefError` for a ref here
     * that is broken, of all or of `refs`, before anything is sent (so that the other side keeps its
     * copy), `GitCommandError` or `TransferError` when the other side refuses or cannot be reached,
     * `GitNotFoundError` when it needs git, `InvalidArgumentError`. Credentials are in none of them.
     */
    backup(url: string, options?: BackupOptions): Promise<MirrorDiff>;

    /**
     * Takes over the refs of another repository, or of a bundle file: they are added and updated
     * here (also when that loses commits of theirs), none is deleted, and HEAD stays. A symbolic ref
     * here stays one and moves with what it leads to; when `refs` names both and they differ there, it
     * is a `RefConflictError`. Urls, results and
     * errors as for `backup`; besides, `FileNotFoundError` when nothing is at a local path,
     * `InvalidBundleError`, and `RefLockedError` or `RefChangedError` when somebody else moves a ref.
     */
    restore(url: string, options?: RestoreOptions): Promise<MirrorDiff>;

    /**
     * Writes refs and all that they reach to a bundle file, which `git clone`, `git fetch` and
     * `bundleImport` read. It appears whole or not at all. With `refs` it holds only those, under new
     * names where that says so; with `squash` one commit without parents for each. The path is a path
     * on this machine whatever it holds, and never a url. `CorruptRefError` as for `backup`.
     */
    bundleExport(path: string, options?: BundleExportOptions): Promise<void>;

    /**
     * Takes over the refs of a bundle file, as `restore`; the path as for `bundleExport`. An `InvalidBundleError` tells of a file that
     * is none, or that builds on commits that are not here.
     */
    bundleImport(path: string, options?: MirrorOptions): Promise<void>;
  }
}

GitStore.prototype.backup = async function (this: GitStore, url, options = {}) {
  return backup(contextOf(this, options), url, options);
};

GitStore.prototype.restore = async function (this: GitStore, url, options = {}) {
  return restore(contextOf(this, options), url, options);
};

GitStore.prototype.bundleExport = async function (this: GitStore, path, options = {}) {
  const { refs, squash = false } = options;
  await exportBundle(pathOfBundle(path), { refs, squash }, contextOf(this, options));
};

GitStore.prototype.bundleImport = async function (this: GitStore, path, options = {}) {
  await restoreBundle(contextOf(this, options), pathOfBundle(path), { refs: options.refs });
};

/** A path is one whatever it holds: what would be a host in a url is a part of the name here. */
function pathOfBundle(path: string): string {
  if (path !== '' && !path.includes('\0')) return resolve(path);
  throw new InvalidArgumentError(`not the path of a bundle: ${JSON.stringify(path)}`);
}

function contextOf(
  { context: { repository, identity } }: GitStore,
  { progress, signal }: MirrorOptions,
): TransferContext {
  return { repository, identity, progress, signal };
}
