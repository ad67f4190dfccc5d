import type { ByteString } from '../../git/byte-string.ts';
import { canonicalMode } from '../../git/mode.ts';
import type { Oid } from '../../git/oid.ts';
import { baseName } from '../../snapshot/path.ts';
import { pathVersions, versionAt } from '../../snapshot/path-versions.ts';
import type { PathVersion } from '../../snapshot/path-versions.ts';
import { directoryAttr } from '../vfs/attr.ts';
import { FixedStream } from '../vfs/fixed-stream.ts';
import { forever } from '../vfs/operations.ts';
import type { Attr, Ino, MaybePromise } from '../vfs/operations.ts';
import { nameLimitBytes } from '../vfs/statfs.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryEntry, DirectoryStream, Vnode } from '../vfs/vnode.ts';
import type { BranchHistory } from './branch-histories.ts';
import type { BranchTreeShared, BranchViewPlace } from './branch-tree-directory.ts';
import { commitName, commitNameLength, parseCommitName } from './commit-name.ts';
import { PositionNumbers } from './position-numbers.ts';
import { versionNode } from './version-file.ts';

/** Longer listings are found anew each time. */
const entriesKept = 10_000;

// A version stays what it is. One that is missing may come with the next commit.
const cache: CacheRule = { entriesValidSec: forever, missingValidSec: 0, attrValidSec: 0 };

/**
 * `/.versions/<branch>/<path of a file>`: each content that the file had, under the time and hash of
 * the commit that brought it, newest first.
 */
export class FileVersionsDirectory extends DirectoryVnode {
  readonly ino: Ino;
  readonly parent: DirectoryVnode;
  readonly cache: CacheRule = cache;
  readonly #shared: BranchTreeShared;
  readonly #path: ByteString;
  readonly #extension: ByteString;
  /** As it was when somebody last looked, and the numbers of its versions. */
  #history: BranchHistory;
  #numbers: PositionNumbers;
  /** The last listing that came to its end, and the tip that it is of: finding it may have taken long. */
  #listed: { readonly tip: Oid; readonly entries: readonly DirectoryEntry[] } | undefined;

  constructor(
    shared: BranchTreeShared,
    history: BranchHistory,
    { ino, parent }: BranchViewPlace,
    path: ByteString,
  ) {
    super();
    this.ino = ino;
    this.parent = parent;
    this.#shared = shared;
    this.#path = path;
    this.#extension = extensionOf(baseName(path));
    this.#history = history;
    this.#numbers = new PositionNumbers(shared.options.context.inos);
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): Attr {
    const time = { sec: Math.max(0, this.#history.timeSec), nsec: 0 };
    return directoryAttr(this.#shared.options.context, this.ino, 0, time);
  }

  async lookup(name: ByteString): Promise<Vnode | null> {
    if (!name.endsWith(this.#extension)) return null;
    const listed = parseCommitName(name.slice(0, name.length - this.#extension.length));
    if (listed === undefined) return null;
    const { prefix, time } = listed;
    const now = await this.#now();
    if (now === null) return null;
    const { odb } = this.#shared.options;
    const { walk } = now.history;
    const position = await walk.find(prefix, { time });
    if (position === undefined) return null;
    const version = await versionAt(odb, walk, this.#path, position);
    return version === null ? null : this.#node(now, version);
  }

  async entries(): Promise<DirectoryStream> {
    const now = await this.#now();
    if (now === null) return { entry: () => undefined };
    const { walk } = now.history;
    const { tip } = walk;
    if (this.#listed?.tip === tip) return new FixedStream(this.#listed.entries);
    const versions = pathVersions(this.#shared.options.odb, walk, this.#path);
    return new VersionsStream(versions, {
      entryOf: (version) => this.#entry(now.numbers, version),
      whenWhole: (entries) => {
        if (now.history === this.#history && entries.length <= entriesKept)
          this.#listed = { tip, entries };
      },
    });
  }

  #entry(numbers: PositionNumbers, { position, commit, mode }: PathVersion): DirectoryEntry {
    return {
      name: (commitName(commit.oid, commit.timeSec) + this.#extension) as ByteString,
      ino: numbers.inoAt(position),
      mode: canonicalMode(mode),
    };
  }

  #node({ history, numbers }: NumberedHistory, version: PathVersion): Vnode {
    const { context, odb } = this.#shared.options;
    const ino = numbers.inoAt(version.position);
    const known = context.inodes.get(ino);
    if (known !== undefined) return known;
    const { commit } = version;
    const time = { sec: commit.timeSec, nsec: 0 };
    const snapshot = { context, odb, time, commit: commit.oid, ref: history.ref };
    return versionNode(snapshot, version, ino);
  }

  async #now(): Promise<NumberedHistory | null> {
    const history = await this.#shared.histories.open(this.#history.ref);
    if (history === null) return null;
    if (history !== this.#history) {
      this.#history = history;
      this.#numbers = new PositionNumbers(this.#shared.options.context.inos);
      this.#listed = undefined;
    }
    return { history, numbers: this.#numbers };
  }
}

/** Positions are those of one history, and another one may have taken its place before they are used. */
interface NumberedHistory {
  readonly history: BranchHistory;
  readonly numbers: PositionNumbers;
}

/** What comes after the last dot, with it; nothing where that is the first letter, or would be too long. */
function extensionOf(name: ByteString): ByteString {
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 ? name.slice(dot) : '';
  return (commitNameLength + extension.length > nameLimitBytes ? '' : extension) as ByteString;
}

/** What a listing is made for. */
interface Listing {
  readonly entryOf: (version: PathVersion) => DirectoryEntry;
  readonly whenWhole: (entries: readonly DirectoryEntry[]) => void;
}

/** The versions as they are found; those that were found are kept until the directory is closed. */
class VersionsStream implements DirectoryStream {
  readonly isSearch = true;
  readonly #versions: AsyncGenerator<PathVersion, void, undefined>;
  readonly #listing: Listing;
  readonly #found: DirectoryEntry[] = [];
  #isWhole = false;
  /** Finds one after the other; where that fails, it fails again whenever somebody asks on. */
  #looking: Promise<void> = Promise.resolve();

  constructor(versions: AsyncGenerator<PathVersion, void, undefined>, listing: Listing) {
    this.#versions = versions;
    this.#listing = listing;
  }

  entry(index: number): MaybePromise<DirectoryEntry | undefined> {
    if (index < this.#found.length || this.#isWhole) return this.#found[index];
    return this.#lookFor(index);
  }

  async #lookFor(index: number): Promise<DirectoryEntry | undefined> {
    while (this.#found.length <= index && !this.#isWhole) {
      this.#looking = this.#looking.then(() => this.#lookForNext());
      await this.#looking;
    }
    return this.#found[index];
  }

  async #lookForNext(): Promise<void> {
    const { value, done } = await this.#versions.next();
    if (done !== true) {
      this.#found.push(this.#listing.entryOf(value));
    } else if (!this.#isWhole) {
      this.#isWhole = true;
      this.#listing.whenWhole(this.#found);
    }
  }
}
