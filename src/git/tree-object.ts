import { CorruptObjectError, InvalidArgumentError } from '../errors.ts';
import { byteStringFromBuffer } from './byte-string.ts';
import type { ByteString } from './byte-string.ts';
import { isGitlinkMode, isTreeMode } from './mode.ts';
import type { FileMode } from './mode.ts';
import { oidFromBytes, oidSizeBytes } from './oid.ts';
import type { HashAlgorithm, Oid } from './oid.ts';
import { ownBytes } from './own-bytes.ts';
import { TreeScanner } from './tree-scan.ts';

/** One entry of a tree. */
export interface TreeEntry {
  readonly name: ByteString;
  readonly mode: FileMode;
  readonly oid: Oid;
}

const nul = 0x00;
const space = 0x20;
const slash = 0x2f;
const digit0 = 0x30;

/** An entry that is taken out (`null`), or put in before the one at the index; lower orders go first. */
interface Splice {
  readonly index: number;
  readonly bytes: Buffer | null;
  readonly isDirectory: boolean;
  readonly order: number;
}

// What a parsed tree costs beside its bytes and offsets: the object, and two typed-array headers.
const overheadBytes = 300;

/**
 * A tree, read where it stands: its bytes and one offset for each entry, so that a directory of a
 * hundred thousand names costs few objects, and a lookup makes no strings.
 *
 * A tree is entries of `<mode in octal> <name>\0<raw oid>`, sorted by name as bytes, where the name
 * of a directory sorts as if it ended in `/`.
 */
export class Tree {
  readonly #raw: Buffer;
  readonly #oidSizeBytes: number;
  /** Where each entry starts, and where the last one ends. */
  readonly #offsets: Uint32Array;
  /** How many directories it has, submodules included. */
  readonly directoryCount: number;
  /** What was asked for last: whoever asks for a name asks several things about it. */
  #lastName: ByteString | undefined;
  #lastIndex = -1;

  private constructor(raw: Buffer, offsets: Uint32Array, directoryCount: number, oidSize: number) {
    this.#raw = ownBytes(raw);
    this.#offsets = offsets;
    this.directoryCount = directoryCount;
    this.#oidSizeBytes = oidSize;
  }

  /**
   * Reads a tree, which keeps `raw`. A `CorruptObjectError` tells of an entry that is cut off, of a
   * name that is empty, `.`, `..` or holds a `/`, of a mode that is no file, directory, link or
   * submodule, and of names that are not in order or twice there. `scanner` may have seen some of it.
   */
  static parse(raw: Buffer, algorithm: HashAlgorithm, scanner?: TreeScanner): Tree {
    const oidSize = oidSizeBytes[algorithm];
    const scan = (scanner ?? new TreeScanner(raw.length, oidSize)).finish(raw);
    const { offsets, doubtful, directories } = scan;
    const tree = new Tree(raw, offsets, directories, oidSize);
    for (const index of doubtful) {
      const name = tree.nameAt(index);
      if (tree.#search(name, false, index) >= 0) {
        throw new CorruptObjectError(`a tree holds ${JSON.stringify(name)} twice`);
      }
    }
    return tree;
  }

  /** The tree of some entries, in whatever order they come. Errors as of `serializeTree`. */
  static of(entries: Iterable<TreeEntry>, algorithm: HashAlgorithm): Tree {
    const raw = orderedEntries(entries, algorithm);
    try {
      return Tree.parse(raw, algorithm);
    } catch (cause) {
      if (!(cause instanceof CorruptObjectError)) throw cause;
      const message = `not a tree that can be stored: ${cause.message}`;
      throw new InvalidArgumentError(message, { cause });
    }
  }

  /** The bytes that git stores. They are not to be written to. */
  get raw(): Buffer {
    return this.#raw;
  }

  /** How many entries there are. */
  get size(): number {
    return this.#offsets.length - 1;
  }

  /** About how much memory the tree holds, for caches. */
  get sizeBytes(): number {
    return this.#raw.length + this.#offsets.byteLength + overheadBytes;
  }

  /** The entry at an index from 0 to `size - 1`; another index is a `RangeError`, here and below. */
  at(index: number): TreeEntry {
    return { name: this.nameAt(index), mode: this.modeAt(index), oid: this.oidAt(index) };
  }

  /** Whether an entry is a directory or a submodule. */
  isDirectoryAt(index: number): boolean {
    const mode = this.modeAt(index);
    return isTreeMode(mode) || isGitlinkMode(mode);
  }

  nameAt(index: number): ByteString {
    return byteStringFromBuffer(this.#raw, this.#nameStart(index), this.#nameEnd(index));
  }

  /** The mode as it is stored: in old repositories a file may have one like `100664` (see `canonicalMode`). */
  modeAt(index: number): FileMode {
    const raw = this.#raw;
    let mode = 0;
    // Not `readUInt8`: a process that has just started makes a call of it for each byte.
    for (let at = this.#start(index), byte = raw[at]; byte !== space && byte !== undefined;) {
      mode = mode * 8 + byte - digit0;
      byte = raw[++at];
    }
    return mode;
  }

  oidAt(index: number): Oid {
    return oidFromBytes(this.#raw, this.#nameEnd(index) + 1, this.#oidSizeBytes);
  }

  /** The index of the entry with this name, or -1. */
  indexOf(name: ByteString): number {
    if (name !== this.#lastName) {
      const asFile = this.#search(name, false, this.size);
      this.#lastIndex = asFile >= 0 ? asFile : this.#search(name, true, this.size);
      this.#lastName = name;
    }
    return this.#lastIndex;
  }

  /** The entry with this name. */
  get(name: ByteString): TreeEntry | undefined {
    const index = this.indexOf(name);
    return index < 0 ? undefined : this.at(index);
  }

  /** How many entries from an index on are those of another tree from an index on, found without a look at each. */
  sameRun(index: number, other: Tree, otherIndex: number): number {
    const most = Math.min(this.size - index, other.size - otherIndex);
    let same = 0;
    // Steps that grow until one meets a difference, and then shrink: each byte is compared about twice.
    for (let step = 1, grows = true; step > 0 && same < most;) {
      const next = Math.min(same + step, most);
      const ours = this.#bytes(index + same, index + next);
      if (ours.equals(other.#bytes(otherIndex + same, otherIndex + next))) same = next;
      else grows = false;
      step = grows ? step * 2 : step >>> 1;
    }
    return same;
  }

  /** The entries in git's order. */
  *[Symbol.iterator](): Generator<TreeEntry, void, undefined> {
    for (let index = 0; index < this.size; index++) yield this.at(index);
  }

  /**
   * This tree with some names set to another object, or (`null`) taken out. What stays is copied in runs
   * and not looked at again, so a change in a large directory costs little more than its bytes. Errors
   * as of `serializeTree`.
   */
  edited(
    changes: ReadonlyMap<ByteString, Omit<TreeEntry, 'name'> | null>,
    algorithm: HashAlgorithm,
  ): Tree {
    const entries: TreeEntry[] = [];
    for (const [name, entry] of changes) if (entry !== null) entries.push({ name, ...entry });
    const added = Tree.of(entries, algorithm);
    if (this.size === 0) return added;
    const removals = [...this.#removals(changes.keys())];
    const insertions = [...this.#insertions(added)];
    const splices = [...removals, ...insertions];
    splices.sort((a, b) => a.index - b.index || a.order - b.order);
    const offsets = new Uint32Array(this.size - removals.length + insertions.length + 1);
    const parts: Buffer[] = [];
    let [from, to, shift] = [0, 0, 0];
    let directories = this.directoryCount;
    const copyUpTo = (end: number): void => {
      parts.push(this.#bytes(from, end));
      while (from < end) offsets[to++] = (this.#offsets[from++] ?? 0) + shift;
    };
    for (const { index, bytes, isDirectory } of splices) {
      copyUpTo(index);
      if (isDirectory) directories += bytes === null ? -1 : 1;
      const start = this.#offsets[index] ?? 0;
      if (bytes === null) {
        from = index + 1;
        shift -= (this.#offsets[from] ?? start) - start;
      } else {
        parts.push(bytes);
        offsets[to++] = start + shift;
        shift += bytes.length;
      }
    }
    copyUpTo(this.size);
    const raw = Buffer.concat(parts);
    offsets[to] = raw.length;
    return new Tree(raw, offsets, directories, this.#oidSizeBytes);
  }

  *#removals(names: Iterable<ByteString>): Generator<Splice, void, undefined> {
    for (const name of names) {
      const index = this.indexOf(name);
      if (index < 0) continue;
      yield { index, bytes: null, isDirectory: this.isDirectoryAt(index), order: Infinity };
    }
  }

  /** Where new entries go: before the first one that sorts behind them, and in their own order. */
  *#insertions(added: Tree): Generator<Splice & { readonly bytes: Buffer }, void, undefined> {
    for (let order = 0; order < added.size; order++) {
      const index = this.#lowerBound(added.nameAt(order), added.#isTree(order));
      const bytes = added.#bytes(order, order + 1);
      yield { index, bytes, isDirectory: added.isDirectoryAt(order), order };
    }
  }

  #start(index: number): number {
    const start = index < this.size ? this.#offsets[index] : undefined;
    if (start === undefined) throw new RangeError(`a tree of ${this.size} has no entry ${index}`);
    return start;
  }

  #bytes(index: number, end: number): Buffer {
    return this.#raw.subarray(this.#offsets[index], this.#offsets[end]);
  }

  #nameStart(index: number): number {
    return this.#raw.indexOf(space, this.#start(index)) + 1;
  }

  #nameEnd(index: number): number {
    return (this.#offsets[index + 1] ?? 0) - this.#oidSizeBytes - 1;
  }

  #isTree(index: number): boolean {
    return isTreeMode(this.modeAt(index));
  }

  /** Finds a name among the first `count` entries, which it sorts into as a file or as a directory. */
  #search(name: ByteString, asTree: boolean, count: number): number {
    const index = this.#lowerBound(name, asTree, count);
    return index < count && this.#compareAt(index, name, asTree) === 0 ? index : -1;
  }

  /** The index of the first entry that a name does not sort behind, as a file or as a directory. */
  #lowerBound(name: ByteString, asTree: boolean, count: number = this.size): number {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compareAt(middle, name, asTree) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compareAt(index: number, name: ByteString, asTree: boolean): number {
    const raw = this.#raw;
    const start = this.#nameStart(index);
    const length = this.#nameEnd(index) - start;
    const common = Math.min(length, name.length);
    for (let at = 0; at < common; at++) {
      const difference = (raw[start + at] ?? nul) - name.charCodeAt(at);
      if (difference !== 0) return difference;
    }
    // A name's end sorts as NUL, a directory's as a slash. A name that is looked for may hold them.
    const here =
      length > common ? raw.readUInt8(start + common) : this.#isTree(index) ? slash : nul;
    const there = name.length > common ? name.charCodeAt(common) : asTree ? slash : nul;
    return here - there || length - name.length;
  }
}

/**
 * Writes a tree; the entries may come in any order. What `Tree.parse` would not take back (a name
 * twice, a bad name or mode) is an `InvalidArgumentError`.
 */
export function serializeTree(entries: Iterable<TreeEntry>, algorithm: HashAlgorithm): Buffer {
  return Tree.of(entries, algorithm).raw;
}

function orderedEntries(entries: Iterable<TreeEntry>, algorithm: HashAlgorithm): Buffer {
  const sorted = Array.from(entries, (entry) => ({ entry, key: sortKey(entry) }));
  sorted.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const oidSize = oidSizeBytes[algorithm];
  let sizeBytes = 0;
  for (const { entry } of sorted) {
    // Checked here, for read back the name would end at it and its rest be taken for an id.
    if (entry.name.includes('\0')) throw new InvalidArgumentError('a name cannot hold NUL bytes');
    sizeBytes += entry.mode.toString(8).length + entry.name.length + 2 + oidSize;
  }
  const raw = Buffer.allocUnsafe(sizeBytes);
  let position = 0;
  for (const { entry } of sorted) {
    position += raw.write(`${entry.mode.toString(8)} ${entry.name}\0`, position, 'latin1');
    const written = raw.write(entry.oid, position, 'hex');
    if (entry.oid.length !== 2 * oidSize || written !== oidSize) {
      throw new InvalidArgumentError(`not a ${algorithm} id: ${JSON.stringify(entry.oid)}`);
    }
    position += written;
  }
  return raw;
}

function sortKey({ name, mode }: TreeEntry): string {
  return isTreeMode(mode) ? `${name}/` : name;
}
