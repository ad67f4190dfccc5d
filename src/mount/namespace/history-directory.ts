import { textFromBytes } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { modeTree } from '../../git/mode.ts';
import { oidSizeBytes } from '../../git/oid.ts';
import type { Oid } from '../../git/oid.ts';
import { branchAt } from '../../snapshot/branch-at.ts';
import { parseMoment } from '../../snapshot/moment.ts';
import { openCommit } from '../snapshot-nodes.ts';
import { directoryAttr } from '../vfs/attr.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import { forever } from '../vfs/operations.ts';
import type { Attr, Ino, MaybePromise } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryEntry, DirectoryStream, Vnode } from '../vfs/vnode.ts';
import type { BranchHistory } from './branch-histories.ts';
import type { BranchTreeShared, BranchViewPlace } from './branch-tree-directory.ts';
import { commitName, parseCommitName } from './commit-name.ts';
import type { CommitName } from './commit-name.ts';

const stepsBack = /^~(0|[1-9]\d{0,14})$/;
const moment = /^@(.+)$/s;
/** How many commits from the last one on are looked at before all. */
const lookedAtFirst = 256;

const hashLike = /^[0-9a-f]{4,64}$/;

// What a hash names stays. A name that is missing may be there after the next commit.
const cache: CacheRule = { entriesValidSec: forever, missingValidSec: 0, attrValidSec: 0 };

/**
 * `/.history/<branch>`: the commits of a branch along first parents, each as its snapshot. Names that
 * mean another commit when the branch or the time goes on (`~1`, `@2h`) are asked for each time; each
 * of the names of a commit has an inode of its own, since one directory cannot have two names.
 */
export class HistoryDirectory extends DirectoryVnode {
  readonly ino: Ino;
  readonly parent: DirectoryVnode;
  readonly cache: CacheRule = cache;
  readonly #shared: BranchTreeShared;
  /** As it was when somebody last looked. */
  #history: BranchHistory;
  /** Where a listed name was found last: after a listing, they are looked up in their order. */
  #lastListed = 0;
  /** Found under a name that does not stay theirs. */
  readonly #moving = new WeakSet<Vnode>();

  constructor(shared: BranchTreeShared, history: BranchHistory, { ino, parent }: BranchViewPlace) {
    super();
    this.ino = ino;
    this.parent = parent;
    this.#shared = shared;
    this.#history = history;
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): Attr {
    const time = { sec: Math.max(0, this.#history.timeSec), nsec: 0 };
    return directoryAttr(this.#shared.options.context, this.ino, undefined, time);
  }

  lookup(name: ByteString): MaybePromise<DirectoryVnode | null> {
    const steps = stepsBack.exec(name)?.[1];
    if (steps !== undefined) return this.#moved(name, (history) => ancestor(history, steps));
    const when = moment.exec(name)?.[1];
    if (when !== undefined) {
      const timeSec = parseMoment(textFromBytes(when as ByteString));
      return timeSec === undefined
        ? null
        : this.#moved(name, (history) => this.#at(history, timeSec));
    }
    const listed = parseCommitName(name);
    if (listed !== undefined) return this.#listed(listed);
    return hashLike.test(name) ? this.#hash(name) : null;
  }

  async entries(): Promise<DirectoryStream> {
    const history = await this.#now();
    return history === null ? { entry: () => undefined } : new HistoryStream(history);
  }

  override entryValidSec(node: Vnode): number {
    return this.#moving.has(node) ? 0 : cache.entriesValidSec;
  }

  /** The branch as it is at this moment; `null` when it has gone. */
  async #now(): Promise<BranchHistory | null> {
    const history = await this.#shared.histories.open(this.#history.ref);
    if (history !== null) this.#history = history;
    return history;
  }

  async #moved(
    name: ByteString,
    find: (history: BranchHistory) => Promise<Oid | null>,
  ): Promise<DirectoryVnode | null> {
    const history = await this.#now();
    const oid = history === null ? null : await find(history);
    if (oid === null) return null;
    const ino = this.#inoOf(`${name} ${oid}`);
    const node = this.#known(ino) ?? (await this.#open(oid, ino));
    this.#moving.add(node);
    return node;
  }

  #at({ ref, walk }: BranchHistory, timeSec: number): Promise<Oid | null> {
    const { refs, algorithm } = this.#shared.options;
    return branchAt(refs, algorithm, ref, walk, timeSec);
  }

  async #listed({ prefix, time }: CommitName): Promise<DirectoryVnode | null> {
    const history = await this.#now();
    if (history === null) return null;
    const { walk, numbers } = history;
    const start = this.#lastListed;
    const position =
      (await walk.find(prefix, { time, start, end: start + lookedAtFirst })) ??
      (await walk.find(prefix, { time }));
    const commit = position === undefined ? undefined : walk.known(position);
    if (position === undefined || commit === undefined) return null;
    this.#lastListed = position;
    const ino = numbers.inoAt(position);
    return this.#known(ino) ?? this.#open(commit.oid, ino);
  }

  async #hash(name: ByteString): Promise<DirectoryVnode | null> {
    const history = await this.#now();
    if (history === null || !(await this.#mayBeCommit(name))) return null;
    const { walk } = history;
    const position = await walk.find(name);
    if (position === undefined) return null;
    const isWhole = name.length === this.#wholeLength;
    const isClear = isWhole || (await walk.find(name, { start: position + 1 })) === undefined;
    const oid = walk.known(position)?.oid;
    return isClear && oid !== undefined ? this.#byName(name, oid) : null;
  }

  /** False where a look at the objects spares reading a long history to its end. */
  async #mayBeCommit(name: string): Promise<boolean> {
    const { odb } = this.#shared.options;
    if (name.length > this.#wholeLength) return false;
    const [oid, another] = await odb.resolvePrefix(name);
    if (oid === undefined || another !== undefined) return oid !== undefined;
    return (await odb.header(oid)).type === 'commit';
  }

  get #wholeLength(): number {
    return 2 * oidSizeBytes[this.#shared.options.algorithm];
  }

  #byName(name: ByteString, oid: Oid): MaybePromise<DirectoryVnode> {
    const ino = this.#inoOf(name);
    return this.#known(ino) ?? this.#open(oid, ino);
  }

  #inoOf(name: string): Ino {
    return this.#shared.numbers.inoOf(`commit ${this.ino} ${name}`);
  }

  #known(ino: Ino): DirectoryVnode | undefined {
    const node = this.#shared.options.context.inodes.get(ino);
    return node instanceof DirectoryVnode ? node : undefined;
  }

  #open(oid: Oid, ino: Ino): Promise<DirectoryVnode> {
    const { context, odb } = this.#shared.options;
    return openCommit(context, odb, oid, { ino, parent: this }, this.#history.ref);
  }
}

async function ancestor({ walk }: BranchHistory, steps: string): Promise<Oid | null> {
  const commit = await walk.at(walk.top + Number(steps));
  return commit?.oid ?? null;
}

/** The commits from the tip of that moment on, newest first, read as they are asked for. */
class HistoryStream implements DirectoryStream {
  readonly isSearch = true;
  readonly #history: BranchHistory;
  readonly #top: number;

  constructor(history: BranchHistory) {
    this.#history = history;
    this.#top = history.walk.top;
  }

  entry(index: number): MaybePromise<DirectoryEntry | undefined> {
    const { walk, numbers } = this.#history;
    const position = this.#top + index;
    return whenReady(walk.at(position), (commit) =>
      commit === undefined
        ? undefined
        : {
            name: commitName(commit.oid, commit.timeSec),
            ino: numbers.inoAt(position),
            mode: modeTree,
          },
    );
  }
}
