import { CorruptObjectError } from '../../errors.ts';
import type { CommitLinks } from '../commit-links.ts';
import { oidToBytes } from '../oid.ts';
import type { Oid } from '../oid.ts';
import type { ChangedPathQuery } from './changed-paths.ts';
import type { CommitGraphFile } from './commit-graph-file.ts';
import { Fault, whenReady } from './fault.ts';
import { FileGoneError } from './paged-file.ts';

const noParent = 0x70000000;
const lastEdgeFlag = 0x80000000;
// A time up to here, in 2242, is the commit's own. Above are those from before 1970 and those that
// 34 bits do not hold.
const latestTimeSec = 2 ** 33 - 1;

interface Place {
  readonly file: CommitGraphFile;
  readonly index: number;
}

/**
 * What git has noted of commits in `objects/info`, so that nobody has to inflate them: their trees,
 * parents and times, and filters of the paths that they changed. A commit that is in it has all its
 * ancestors in it. Commits go by a position, valid for this graph alone.
 *
 * Ask in `answer` or `answerIfReady`: a graph is a convenience, and one whose files prove damaged or
 * gone answers nothing any more. The methods that they run throw a `Fault` when they need a page that
 * is not in memory.
 *
 * It holds commits as they are stored, without replacements (`refs/replace`) and grafts, just as the
 * object database does; git makes none where history is cut off (`shallow`).
 */
export class CommitGraph {
  /** The lowest first. */
  readonly #files: readonly CommitGraphFile[];
  /** The position of the first commit of each file. */
  readonly #starts: readonly number[];
  /** How many commits it holds. */
  readonly size: number;
  #isUsable = true;

  constructor(files: readonly { readonly file: CommitGraphFile; readonly size: number }[]) {
    this.#files = files.map(({ file }) => file);
    let size = 0;
    this.#starts = files.map((part) => {
      const start = size;
      size += part.size;
      return start;
    });
    this.size = size;
  }

  /** Whether it has proved readable so far. */
  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** Runs a question, again when what it needs has been read; undefined when that cannot be had. */
  async answer<T>(question: () => T): Promise<T | undefined> {
    if (!this.#isUsable) return undefined;
    try {
      return await whenReady(question);
    } catch (error) {
      this.#giveUp(error);
      return undefined;
    }
  }

  /** `answer` as far as it needs no disk. What it needs is then read, for the next time. */
  answerIfReady<T>(question: () => T): T | undefined {
    if (!this.#isUsable) return undefined;
    try {
      return question();
    } catch (error) {
      if (!(error instanceof Fault)) this.#giveUp(error);
      // An error is met again, and told, by the next question that waits.
      else error.wait().catch(() => undefined);
      return undefined;
    }
  }

  /**
   * The position of a commit; undefined when it is not in the graph. The first parent of the commit
   * at `child` is found without a search.
   */
  find(commit: Oid, child?: number): number | undefined {
    const parent = child === undefined ? undefined : this.firstParentAt(child);
    if (parent !== undefined && this.oidAt(parent) === commit) return parent;
    const raw = oidToBytes(commit);
    for (let at = this.#files.length - 1; at >= 0; at--) {
      const index = this.#files[at]?.find(raw) ?? -1;
      if (index >= 0) return (this.#starts[at] ?? 0) + index;
    }
    return undefined;
  }

  oidAt(position: number): Oid {
    const { file, index } = this.#place(position);
    return file.oidAt(index);
  }

  /** The tree of a commit. */
  treeAt(position: number): Oid {
    const { file, index } = this.#place(position);
    return file.treeAt(index);
  }

  /** The position of the first parent; undefined when there is none. */
  firstParentAt(position: number): number | undefined {
    const { file, index } = this.#place(position);
    const parent = file.firstParentWordAt(index);
    return parent === noParent ? undefined : this.#checked(parent);
  }

  /** The positions of all parents, in their order. */
  parentsAt(position: number): number[] {
    const { file, index } = this.#place(position);
    const [first, second] = file.parentWordsAt(index);
    if (first === noParent) return [];
    const parents = [this.#checked(first)];
    if (second === noParent) return parents;
    if (second < lastEdgeFlag) return [...parents, this.#checked(second)];
    for (let at = second - lastEdgeFlag; ; at++) {
      const edge = file.extraEdgeAt(at);
      if (edge >= lastEdgeFlag) return [...parents, this.#checked(edge - lastEdgeFlag)];
      parents.push(this.#checked(edge));
    }
  }

  /**
   * The time of a commit, in seconds since the epoch; undefined where only the commit itself can
   * tell: before 1970, after 2242, and when it has none that can be read. As in git, the times of
   * commits after 2514 begin at 1970 again.
   */
  timeSecAt(position: number): number | undefined {
    const { file, index } = this.#place(position);
    const timeSec = file.timeSecAt(index);
    return timeSec === 0 || timeSec > latestTimeSec ? undefined : timeSec;
  }

  /** The longest way to a commit without parents, counted in commits; 0 when git did not note it. */
  levelAt(position: number): number {
    const { file, index } = this.#place(position);
    return file.levelAt(index);
  }

  /**
   * Whether a commit may have changed a path against its first parent (or nothing). After a 'no', what
   * stands there is the same in both, but for directories without any file in them.
   */
  changedPathAt(position: number, path: ChangedPathQuery): 'no' | 'maybe' {
    const { file, index } = this.#place(position);
    const settings = file.filterSettings;
    if (settings === undefined) return 'maybe';
    return path.isMissingIn(file.filterAt(index), settings) ? 'no' : 'maybe';
  }

  /** What a walk along first parents needs of a commit; undefined when that is not all to be had here. */
  linksAt(position: number): CommitLinks | undefined {
    const timeSec = this.timeSecAt(position);
    if (timeSec === undefined) return undefined;
    const parent = this.firstParentAt(position);
    return {
      tree: this.treeAt(position),
      parent: parent === undefined ? null : this.oidAt(parent),
      timeSec,
    };
  }

  /** Lets go of all files. */
  close(): void {
    this.#isUsable = false;
    for (const { file } of this.#files) file.close();
  }

  /** Rethrows what is not a fault of the graph. */
  #giveUp(error: unknown): void {
    if (!(error instanceof CorruptObjectError || error instanceof FileGoneError)) throw error;
    this.#isUsable = false;
  }

  #place(position: number): Place {
    for (let at = this.#files.length - 1; at >= 0; at--) {
      const [file, start] = [this.#files[at], this.#starts[at] ?? 0];
      if (file !== undefined && position >= start) return { file, index: position - start };
    }
    throw new RangeError(`no commit ${position} in a graph of ${this.size}`);
  }

  #checked(position: number): number {
    if (position < this.size) return position;
    throw new CorruptObjectError(`a commit-graph names commit ${position} of ${this.size}`);
  }
}
