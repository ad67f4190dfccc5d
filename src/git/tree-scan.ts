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

/** What one look at a tree's bytes tells. */
export interface TreeScan {
  /** Where each entry starts, and where the last one ends. */
  readonly offsets: Uint32Array;
  /** The directories (by index) whose name the entry before them starts with: a file may have it too. */
  readonly doubtful: readonly number[];
}

/**
 * Finds the entries of a tree and checks them. A `CorruptObjectError` tells of what is wrong.
 *
 * It is one loop on purpose: a directory of a hundred thousand names is often read first by a process
 * that has just started, and one loop is compiled while it runs, where many small functions are not.
 */
export function scanTree(raw: Buffer, oidSize: number): TreeScan {
  const offsets: number[] = [];
  const doubtful: number[] = [];
  let checkedMode = -1;
  let isTree = false;
  let previousName = -1;
  for (let start = 0; start < raw.length;) {
    const wasTree = isTree;
    let at = start;
    let mode = 0;
    for (let byte = raw[at]; byte !== space; byte = raw[++at]) {
      if (byte === undefined || byte < digit0 || byte > digit7 || mode > highestMode) {
        throw badMode(raw, start);
      }
      mode = mode * 8 + byte - digit0;
    }
    if (mode !== checkedMode && !isPossibleMode(mode)) throw badMode(raw, start);
    checkedMode = mode;
    isTree = isTreeMode(mode);

    const name = ++at;
    for (let byte = raw[at]; byte !== nul; byte = raw[++at]) {
      if (byte === undefined) throw cutOff();
      if (byte === slash) throw badName(raw, name);
    }
    const length = at - name;
    if (length < 3 && isReserved(raw, name, length)) throw badName(raw, name);

    if (previousName >= 0) {
      // A name ends in NUL, and a shorter one that is the start of the other is found by that.
      let same = 0;
      while (same < length && raw[previousName + same] === raw[name + same]) same += 1;
      const [before, here] = [raw[previousName + same] ?? nul, raw[name + same] ?? nul];
      // The end of a directory's name sorts as a slash.
      const order = (before === nul && wasTree ? slash : before) - (here || (isTree ? slash : nul));
      if (order >= 0) throw badOrder(raw, name);
      // A file and a directory of one name need not be neighbours: `a`, `a.b`, `a/`. Whatever
      // stands between them starts with the name, so most directories need no search.
      if (isTree && same === length) doubtful.push(offsets.length);
    }
    previousName = name;
    offsets.push(start);
    start = at + 1 + oidSize;
    if (start > raw.length) throw cutOff();
  }
  offsets.push(raw.length);
  return { offsets: Uint32Array.from(offsets), doubtful };
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
