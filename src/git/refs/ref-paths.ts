import { bytesFromText, type ByteString } from '../byte-string.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import { SyncedDirectories } from '../synced-directories.ts';
import type { OpenDirectories } from '../synced-directories.ts';
import type { LockMaker } from './lock-marks.ts';
import { parentOf } from './ref-directories.ts';

// What each linked worktree has of its own; see "REFS" in git-worktree(1).
const ofOneWorktree = /^(?!refs\/)|^refs\/(?:bisect|worktree|rewritten)(?:\/|$)/;

/** Tells whether a ref belongs to one worktree, as `HEAD` does, instead of to the whole repository. */
export function isPerWorktree(name: string): boolean {
  return ofOneWorktree.test(name);
}

/** What is left out is not marked, is not known, and is synced. */
type RefPathsOptions = { readonly [Key in 'marks' | 'disk' | 'syncs']?: RefPaths[Key] | undefined };

/** Where the refs of a repository and their logs are on disk; see gitrepository-layout(5). */
export class RefPaths {
  /** The git directory of this worktree. */
  readonly gitDir: ByteString;
  /** The git directory that all worktrees share; the same one when there is only one. */
  readonly commonDir: ByteString;

  /** How locks that are taken on these paths are marked; `undefined` for not at all. */
  readonly marks: LockMaker | undefined;
  /** Where the directories are. */
  readonly disk: Disk;
  /** Whether a change of a ref is on stable storage, and its line in the reflog, when it is done. */
  readonly syncs: boolean;
  readonly #synced: SyncedDirectories;

  constructor(gitDir: string, commonDir: string, options: RefPathsOptions = {}) {
    const { marks, disk = farDisk, syncs = true } = options;
    this.gitDir = bytesFromText(gitDir);
    this.commonDir = bytesFromText(commonDir);
    this.marks = marks;
    this.disk = disk;
    this.syncs = syncs;
    this.#synced = new SyncedDirectories(this.commonDir, disk);
  }

  /** The directory that the name of a ref is a path in. */
  base(name: string): ByteString {
    return isPerWorktree(name) ? this.gitDir : this.commonDir;
  }

  /** The file that holds a loose ref. */
  ref(name: string): ByteString {
    return `${this.base(name)}/${name}` as ByteString;
  }

  /** The file that holds the reflog of a ref. */
  log(name: string): ByteString {
    return `${this.base(name)}/logs/${name}` as ByteString;
  }

  /** Brings to stable storage which files stand in the directories that some paths are in. */
  syncNames(paths: Iterable<ByteString>): Promise<void> {
    return this.#synced.sync(Array.from(paths, parentOf));
  }

  /** Begins with directories that are synced later. */
  beginNames(): OpenDirectories {
    return this.#synced.begin();
  }

  /** Where a log stands for a moment while its ref is renamed; no ref can have this name. */
  get logOnTheMove(): ByteString {
    return `${this.commonDir}/logs/refs/.tmp-renamed-log` as ByteString;
  }

  get packedRefs(): ByteString {
    return `${this.commonDir}/packed-refs` as ByteString;
  }
}
