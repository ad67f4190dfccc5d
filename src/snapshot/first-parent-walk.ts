import type { CommitLinks } from '../git/commit-links.ts';
import type { Oid } from '../git/oid.ts';
import { CommitColumn, prefixWord } from './commit-column.ts';
import type { WalkedCommit } from './commit-column.ts';
import type { CommitSource } from './commit-source.ts';
import { TimeSlice } from './time-slice.ts';

/** A time in seconds since the epoch, as exactly as it is known: the first and the last that it can be. */
export interface TimeSpan {
  readonly firstSec: number;
  readonly lastSec: number;
}

interface FindOptions {
  readonly start?: number;
  readonly end?: number;
  readonly time?: TimeSpan;
}

/** How many commits are read together with one that is asked for: as many as are known, in these bounds. */
const leastReadAhead = 64;
const mostReadAhead = 4096;
/** How many new commits may stand between two tips for the walk to go on from the new one. */
const longestAdvance = 4096;

/**
 * The history of a branch along first parents, read as far as somebody asked and then kept.
 *
 * A commit's position stays its own for the life of the walk: 0 is the tip that the walk began with,
 * older commits count up, and those that are put on top later count down from -1. So whoever lists
 * the history remembers where he began, and is not disturbed by a branch that moves.
 */
export class FirstParentWalk {
  readonly source: CommitSource;
  /** The commits before the first tip, the last one first: position -1 is at index 0. */
  readonly #newer = new CommitColumn();
  readonly #older = new CommitColumn();
  #tip: Oid;
  /** The first commit that is not read yet; `null` when the beginning of history is. */
  #next: Oid | null;
  #reading: Promise<void> | undefined;

  constructor(source: CommitSource, tip: Oid) {
    this.source = source;
    this.#tip = tip;
    this.#next = tip;
  }

  get tip(): Oid {
    return this.#tip;
  }

  /** The position of the tip. */
  get top(): number {
    return -this.#newer.size;
  }

  /** The commit at a position, once it has been read. */
  known(position: number): WalkedCommit | undefined {
    if (position < 0) {
      return position < this.top ? undefined : this.#newer.at(-1 - position);
    }
    return position < this.#older.size ? this.#older.at(position) : undefined;
  }

  /** The commit at a position from the top on; `undefined` when history is over there. */
  at(position: number): WalkedCommit | undefined | Promise<WalkedCommit | undefined> {
    if (position < this.#older.size || this.#next === null) return this.known(position);
    return this.#readTo(position).then(() => this.known(position));
  }

  /** The first position from `start` on whose commit was made at a time or before; `undefined` for none. */
  before(timeSec: number, start: number = this.top): Promise<number | undefined> {
    return this.#search(
      { start, end: Infinity },
      (column, index) => column.timeSecAt(index) <= timeSec,
    );
  }

  /**
   * The first commit from `start` on, and before `end`, whose id begins with these hex digits, and
   * which was made at a certain time if that is given.
   */
  find(
    prefix: string,
    { start = this.top, end = Infinity, time }: FindOptions = {},
  ): Promise<number | undefined> {
    const word = prefixWord(prefix);
    return this.#search(
      { start, end },
      (column, index) =>
        column.startsWith(index, prefix, word) &&
        (time === undefined || isWithin(column.timeSecAt(index), time)),
    );
  }

  /**
   * Goes on from a new tip, when the tip so far is in its history and not far back. False when it
   * is not; the walk then stays as it was.
   */
  async advance(tip: Oid): Promise<boolean> {
    const added: WalkedCommit[] = [];
    for (let next: Oid | null = tip; next !== this.#tip;) {
      if (next === null || added.length === longestAdvance) return false;
      const links: CommitLinks = await this.source.links(next);
      added.push({ oid: next, tree: links.tree, timeSec: links.timeSec });
      next = links.parent;
    }
    for (const commit of added.reverse()) this.#newer.push(commit);
    this.#tip = tip;
    return true;
  }

  async #search(
    { start, end }: { readonly start: number; readonly end: number },
    matches: (column: CommitColumn, index: number) => boolean,
  ): Promise<number | undefined> {
    const slice = new TimeSlice();
    for (let position = start; position < end; position++) {
      if (position >= this.#older.size) {
        if (this.#next === null) return undefined;
        await this.#readTo(position);
        if (position >= this.#older.size) return undefined;
      }
      const isNewer = position < 0;
      const index = isNewer ? -1 - position : position;
      if (matches(isNewer ? this.#newer : this.#older, index)) return position;
      // Asking for the time at each step would take longer than the step.
      if (position % 1024 === 0 && slice.isOver) await slice.rest();
    }
    return undefined;
  }

  async #readTo(position: number): Promise<void> {
    while (this.#next !== null && this.#older.size <= position) {
      const ahead = Math.min(mostReadAhead, Math.max(leastReadAhead, this.#older.size));
      this.#reading ??= this.#read(position + ahead).finally(() => {
        this.#reading = undefined;
      });
      try {
        await this.#reading;
      } catch (error) {
        // What stands behind it may be missing or damaged, and need not concern who asked for this.
        if (this.#older.size <= position) throw error;
      }
    }
  }

  async #read(position: number): Promise<void> {
    const slice = new TimeSlice();
    while (this.#next !== null && this.#older.size < position) {
      const oid = this.#next;
      const found = this.source.links(oid);
      const { tree, parent, timeSec } = found instanceof Promise ? await found : found;
      this.#older.push({ oid, tree, timeSec });
      this.#next = parent;
      if (slice.isOver) await slice.rest();
    }
  }
}

function isWithin(timeSec: number, { firstSec, lastSec }: TimeSpan): boolean {
  return timeSec >= firstSec && timeSec <= lastSec;
}
