import { LRUCache } from 'lru-cache';
import type { ByteString } from '../../git/byte-string.ts';
import { repositoryName } from '../../git/forbidden-name.ts';
import { isGitlinkMode, isTreeMode, modeTree } from '../../git/mode.ts';
import { joinPath, rootPath } from '../../snapshot/path.ts';
import { PathLookup, lastEntry } from '../../snapshot/path-versions.ts';
import type { PlacedEntry } from '../../snapshot/path-versions.ts';
import { directoryAttr } from '../vfs/attr.ts';
import type { Attr, Ino } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryEntry, DirectoryStream } from '../vfs/vnode.ts';
import type { BranchHistory } from './branch-histories.ts';
import type { BranchTreeShared, BranchViewPlace } from './branch-tree-directory.ts';
import { FileVersionsDirectory } from './file-versions-directory.ts';

/** How many paths are remembered that were looked for in a whole history, and are not in it. */
const absentKept = 10_000;

// What is in the branch may be another thing with the next commit.
const cache: CacheRule = { entriesValidSec: 0, attrValidSec: 0 };

/** Paths that no commit of a history holds, from the position on that stands here. */
export type AbsentPaths = LRUCache<string, number>;

/** Nothing is known to be absent. */
export function noAbsentPaths(): AbsentPaths {
  // With `max` it would make room for all of them at once: 5 ms of the start of a mount.
  return new LRUCache({ maxSize: absentKept, sizeCalculation: () => 1 });
}

/**
 * A directory below `/.versions/<branch>`: that of the branch, with a directory for each file. What
 * was deleted is found by its name as what it was last, and not listed.
 */
export class VersionsDirectory extends DirectoryVnode {
  readonly ino: Ino;
  readonly parent: DirectoryVnode;
  readonly cache: CacheRule = cache;
  readonly #shared: BranchTreeShared;
  readonly #absent: AbsentPaths;
  /** As it was when somebody last looked. */
  #history: BranchHistory;
  readonly #path: ByteString;

  constructor(
    shared: BranchTreeShared,
    absent: AbsentPaths,
    history: BranchHistory,
    { ino, parent }: BranchViewPlace,
    path: ByteString = rootPath,
  ) {
    super();
    this.ino = ino;
    this.parent = parent;
    this.#shared = shared;
    this.#absent = absent;
    this.#history = history;
    this.#path = path;
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): Attr {
    const time = { sec: Math.max(0, this.#history.timeSec), nsec: 0 };
    return directoryAttr(this.#shared.options.context, this.ino, undefined, time);
  }

  async lookup(name: ByteString): Promise<DirectoryVnode | null> {
    // It is never shown, and programs look for it everywhere.
    if (name === repositoryName) return null;
    const history = await this.#now();
    if (history === null) return null;
    const path = joinPath(this.#path, name);
    const entry =
      (await this.#entryAtTip(history, path)) ?? (await this.#formerEntry(history, path));
    if (entry === null) return null;
    const place = { ino: this.#inoOf(history, entry, path), parent: this };
    const known = this.#shared.options.context.inodes.get(place.ino);
    if (known instanceof DirectoryVnode) return known;
    if (isDirectory(entry))
      return new VersionsDirectory(this.#shared, this.#absent, history, place, path);
    return new FileVersionsDirectory(this.#shared, history, place, path);
  }

  async entries(): Promise<DirectoryStream> {
    const history = await this.#now();
    const entry = history === null ? null : await this.#entryAtTip(history, this.#path);
    if (history === null || entry === null || !isTreeMode(entry.mode)) {
      return { entry: () => undefined };
    }
    const tree = await this.#shared.options.odb.tree(entry.oid);
    const hidden = tree.indexOf(repositoryName);
    return {
      next: (position) => (position === hidden ? position + 1 : position),
      entry: (position): DirectoryEntry | undefined => {
        if (position >= tree.size) return undefined;
        const { name, mode, oid } = tree.at(position);
        const ino = this.#inoOf(history, { mode, oid }, joinPath(this.#path, name));
        return { name, ino, mode: modeTree };
      },
    };
  }

  async #now(): Promise<BranchHistory | null> {
    const history = await this.#shared.histories.open(this.#history.ref);
    if (history !== null) this.#history = history;
    return history;
  }

  async #entryAtTip({ walk }: BranchHistory, path: ByteString): Promise<PlacedEntry | null> {
    const tip = walk.known(walk.top);
    return tip === undefined ? null : new PathLookup(this.#shared.options.odb, path).in(tip.tree);
  }

  async #formerEntry(history: BranchHistory, path: ByteString): Promise<PlacedEntry | null> {
    const key = `${history.key} ${path}`;
    const { walk } = history;
    const { top } = walk;
    const entry = await lastEntry(this.#shared.options.odb, walk, path, this.#absent.get(key));
    if (entry === null) this.#absent.set(key, top);
    return entry;
  }

  /** One that is a file now, and a directory with the next commit, is another inode then. */
  #inoOf(history: BranchHistory, entry: PlacedEntry, path: ByteString): Ino {
    const kind = isDirectory(entry) ? 'directory' : 'file';
    return this.#shared.numbers.inoOf(`${kind} ${history.key} ${path}`);
  }
}

/** Shown with what is in it; a submodule has nothing to show. */
function isDirectory({ mode }: PlacedEntry): boolean {
  return isTreeMode(mode) || isGitlinkMode(mode);
}
