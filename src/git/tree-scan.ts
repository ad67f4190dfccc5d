import { CorruptObjectError } from '../errors.ts';
import { isGitlinkMode, isRegularMode, isSymlinkMode, isTreeMode } from './mode.ts';
import type { FileMode } from './mode.ts';

const nul = 0x00;
const space = 0x20;
const dot = 0x2e;
const slash = 0x2f;
const digit0 = 0x30;
const digit7 = 0x37;
const highestMode = 0o177777;
/** What an entry takes at least, unless its name is one letter. */
const fewestBytesAsARule = 30;
/** What is looked at in one go while the rest is inflated: zlib gets its next piece in between. */
const bytesInOneGo = 64 * 1024;
/** An entry that starts so far before the end of what is there is taken to be whole. */
const longestBytesAsARule = 512;

/** What one look at a tree's bytes tells. */
export interface TreeScan {
  /** Where each entry starts, and where the last one ends. */
  readonly offsets: Uint32Array;
  /** The directories (by index) whose name the entry before them starts with: a file may have it too. */
  readonly doubtful: readonly number[];
  /** How many entries are directories or submodules. */
  readonly directories: number;
}

/**
 * Finds the entries of a tree and checks them, as they come out of zlib if need be: a directory of a
 * hundred thousand names is often read first by a process that has just started, in which this is not
 * compiled yet, and goes on meanwhile.
 */
export class TreeScanner {
  readonly #oidSize: number;
  #offsets: Uint32Array;
  readonly #doubtful: number[] = [];
  #count = 0;
  #directories = 0;
  #isTree = false;
  #isDirectory = false;
  #previous = 0;
  #previousName = 0;
  #start = 0;
  #hasFailed = false;

  /** `sizeBytes` is the length of the tree. */
  constructor(sizeBytes: number, oidSize: number) {
    this.#oidSize = oidSize;
    this.#offsets = new Uint32Array(Math.floor(sizeBytes / fewestBytesAsARule) + 2);
  }

  /**
   * Looks at some of the first bytes of the tree; those of the call before come again. Tells whether there
   * are more to look at.
   */
  advance(start: Buffer): boolean {
    if (this.#hasFailed) return false;
    const end = start.length - longestBytesAsARule;
    try {
      this.#scan(start, Math.min(end, this.#start + bytesInOneGo));
    } catch {
      // An entry that is cut off, perhaps only here. The whole tree tells.
      this.#hasFailed = true;
    }
    return !this.#hasFailed && this.#start < end;
  }

  /** What the whole tree comes to. A `CorruptObjectError` tells of what is wrong. */
  finish(raw: Buffer): TreeScan {
    if (this.#hasFailed) return scanTree(raw, this.#oidSize);
    this.#scan(raw, raw.length);
    // A copy of many costs more than some room behind them.
    const isNearlyFull = this.#count > 0.75 * this.#offsets.length;
    const offsets = this.#offsets[isNearlyFull ? 'subarray' : 'slice'](0, this.#count + 1);
    offsets[this.#count] = raw.length;
    return { offsets, doubtful: this.#doubtful, directories: this.#directories };
  }

  /** Looks at the entries that start before `until`. After an error nothing is known any more. */
  // It is one loop on purpose: that is compiled while it runs, where many small functions are not.
  #scan(raw: Buffer, until: number): void {
    const oidSize = this.#oidSize;
    const doubtful = this.#doubtful;
    let offsets = this.#offsets;
    let count = this.#count;
    let directories = this.#directories;
    let isTree = this.#isTree;
    let isDirectory = this.#isDirectory;
    let previous = this.#previous;
    let previousName = this.#previousName;
    let start = this.#start;
    while (start < until) {
      const wasTree = isTree;
      // As a rule the mode is that of the entry before, and need not be read.
      let at = start;
      let other = previous;
      for (; other < previousName && raw[at] === raw[other]; other++) at += 1;
      if (count === 0 || other < previousName) {
        let mode = 0;
        at = start;
        for (let byte = raw[at]; byte !== space; byte = raw[++at]) {
          if (byte === undefined || byte < digit0 || byte > digit7 || mode > highestMode) {
            throw badMode(raw, start);
          }
          mode = mode * 8 + byte - digit0;
        }
        if (!isPossibleMode(mode)) throw badMode(raw, start);
        isTree = isTreeMode(mode);
        isDirectory = isTree || isGitlinkMode(mode);
        at += 1;
      }
      if (isDirectory) directories += 1;

      // What the name has in common with the one before was looked at there.
      const name = at;
      let before = count === 0 ? nul : (raw[previousName] ?? nul);
      let here = raw[at];
      for (other = previousName; here === before && here !== nul;) {
        before = raw[++other] ?? nul;
        here = raw[++at];
      }
      const same = at - name;
      const difference = here ?? nul;
      for (; here !== nul; here = raw[++at]) {
        if (here === undefined) throw cutOff();
        if (here === slash) throw badName(raw, name);
      }
      const length = at - name;
      if (length < 3 && isReserved(raw, name, length)) throw badName(raw, name);
      if (count > 0) {
        // A name ends in NUL, and a shorter one that is the start of the other is found by that. The end of
        // a directory's name sorts as a slash.
        const last = before === nul && wasTree ? slash : before;
        if (last >= (difference || (isTree ? slash : nul))) throw badOrder(raw, name);
        // A file and a directory of one name need not be neighbours: `a`, `a.b`, `a/`. Whatever
        // stands between them starts with the name, so most directories need no search.
        if (isTree && same === length) doubtful.push(count);
      }
      previous = start;
      previousName = name;
      if (count === offsets.length - 1) offsets = grown(offsets);
      offsets[count++] = start;
      start = at + 1 + oidSize;
      if (start > raw.length) throw cutOff();
    }
    this.#offsets = offsets;
    this.#count = count;
    this.#directories = directories;
    this.#isTree = isTree;
    this.#isDirectory = isDirectory;
    this.#previous = previous;
    this.#previousName = previousName;
    this.#start = start;
  }
}

/** `TreeScanner` for a tree that is there. */
export function scanTree(raw: Buffer, oidSize: number): TreeScan {
  return new TreeScanner(raw.length, oidSize).finish(raw);
}

function grown(numbers: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}

function isPossibleMode(mode: FileMode): boolean {
  if (mode > highestMode) return false;
  return isRegularMode(mode) || isTreeMode(mode) || isSymlinkMode(mode) || isGitlinkMode(mode);
}

function isReserved(raw: Buffer, start: number, length: number): boolean {
  if (length === 0) return true;
  return raw[start] === dot && (length === 1 || raw[start + 1] === dot);
}

function cutOff(): CorruptObjectError {
  return new CorruptObjectError('a tree is cut off');
}

function badMode(raw: Buffer, start: number): CorruptObjectError {
  const text = raw.toString('latin1', start, start + 8);
  return new CorruptObjectError(`a tree has an entry with no valid mode: ${JSON.stringify(text)}`);
}

function badName(raw: Buffer, start: number): CorruptObjectError {
  const name = nameFrom(raw, start);
  if (name === undefined) return cutOff();
  return new CorruptObjectError(`a tree has an entry with the name ${name}`);
}

function badOrder(raw: Buffer, start: number): CorruptObjectError {
  return new CorruptObjectError(`a tree is not in order at ${nameFrom(raw, start) ?? ''}`);
}

function nameFrom(raw: Buffer, start: number): string | undefined {
  const end = raw.indexOf(nul, start);
  return end < 0 ? undefined : JSON.stringify(raw.toString('latin1', start, end));
}
