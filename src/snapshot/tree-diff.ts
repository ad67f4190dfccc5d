import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ByteString } from '../git/byte-string.ts';
import { isTreeMode } from '../git/mode.ts';
import type { Tree, TreeEntry } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { emptyChangeReport } from './change-report.ts';
import type { ChangeReport, FileEntry } from './change-report.ts';
import { fileTypeFromMode } from './file-type.ts';
import { joinPath, pathText, rootPath } from './path.ts';
import type { TreeChange } from './tree-edit.ts';
import { treeOf } from './tree.ts';

/**
 * What is other in one tree than in another (`null` for none), as the files that were added,
 * updated and deleted, each list in the order of paths as bytes. Trees that are the same are not
 * read. `change` is what led from one to the other, when that is known: then the names that it does
 * not touch are not compared.
 */
export async function diffTrees(
  odb: ObjectDatabase,
  from: Oid | null,
  to: Oid | null,
  change?: TreeChange,
): Promise<ChangeReport> {
  const diff = new TreeDiff(odb);
  if (from !== to) await diff.trees(rootPath, from, to, change);
  return diff.report();
}

/** How many entries are compared in one go: a mount answers its requests on this thread. */
const entriesPerTurn = 1000;

interface Difference {
  readonly path: ByteString;
  readonly entry: TreeEntry;
  readonly kind: 'add' | 'update' | 'delete';
}

class TreeDiff {
  readonly #odb: ObjectDatabase;
  readonly #differences: Difference[] = [];
  #compared = 0;

  constructor(odb: ObjectDatabase) {
    this.#odb = odb;
  }

  report(): ChangeReport {
    const report = emptyChangeReport();
    this.#differences.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
    for (const { path, entry, kind } of this.#differences) {
      report[kind].push(fileEntry(path, entry));
    }
    return report;
  }

  async trees(
    path: ByteString,
    from: Oid | null,
    to: Oid | null,
    change?: TreeChange,
  ): Promise<void> {
    const before = from === null ? null : await treeOf(this.#odb, from);
    const after = to === null ? null : await treeOf(this.#odb, to);
    const pairs =
      change?.kind === 'edit' && change.base === undefined
        ? pairsNamed(before, after, change.children)
        : allPairs(before, after);
    for (const { name, from: one, to: other, change: child } of pairs) {
      this.#compared += 1;
      if (this.#compared % entriesPerTurn === 0) await nextTurn();
      const inside = this.#entries(joinPath(path, name), one, other, child);
      if (inside !== undefined) await inside;
    }
  }

  #entries(
    path: ByteString,
    from: TreeEntry | undefined,
    to: TreeEntry | undefined,
    change: TreeChange | undefined,
  ): Promise<void> | undefined {
    if (from?.oid === to?.oid && from?.mode === to?.mode) return;
    const [fromFile, fromTree] = fileOrTree(from);
    const [toFile, toTree] = fileOrTree(to);
    if (fromFile !== undefined && toFile === undefined) this.#add('delete', path, fromFile);
    if (toFile !== undefined) this.#add(fromFile === undefined ? 'add' : 'update', path, toFile);
    return fromTree === toTree ? undefined : this.trees(path, fromTree, toTree, change);
  }

  #add(kind: Difference['kind'], path: ByteString, entry: TreeEntry): void {
    this.#differences.push({ path, entry, kind });
  }
}

/** What stands at one name before and after. */
interface Pair {
  readonly name: ByteString;
  readonly from?: TreeEntry | undefined;
  readonly to?: TreeEntry | undefined;
  /** What is known to have happened there. */
  readonly change?: TreeChange;
}

/** The pairs at the names that an edit of the directory touched. */
function* pairsNamed(
  before: Tree | null,
  after: Tree | null,
  children: ReadonlyMap<ByteString, TreeChange>,
): Generator<Pair, void, undefined> {
  for (const [name, change] of children) {
    yield { name, from: before?.get(name), to: after?.get(name), change };
  }
}

/**
 * The pairs at all names, by going through two directories side by side in git's order. A file that
 * became a directory, or the reverse, comes as two pairs, for the two sort differently.
 */
function* allPairs(before: Tree | null, after: Tree | null): Generator<Pair, void, undefined> {
  const [left, right] = [new Cursor(before), new Cursor(after)];
  for (;;) {
    const { entry: from } = left;
    const { entry: to } = right;
    if (from === undefined && to === undefined) return;
    if (to === undefined || (from !== undefined && left.key < right.key)) {
      if (from !== undefined) yield { name: from.name, from };
      left.advance();
    } else if (from === undefined || right.key < left.key) {
      yield { name: to.name, to };
      right.advance();
    } else {
      yield { name: to.name, from, to };
      left.advance();
      right.advance();
    }
  }
}

/** A place in the entries of a directory. */
class Cursor {
  entry: TreeEntry | undefined;
  /** What the entry sorts by. */
  key = '';
  readonly #entries: Iterator<TreeEntry, void>;

  constructor(tree: Tree | null) {
    this.#entries = (tree ?? [])[Symbol.iterator]();
    this.advance();
  }

  advance(): void {
    const { value } = this.#entries.next();
    this.entry = value ?? undefined;
    this.key = value ? (isTreeMode(value.mode) ? `${value.name}/` : value.name) : '';
  }
}

function fileOrTree(entry: TreeEntry | undefined): [TreeEntry | undefined, Oid | null] {
  if (entry === undefined) return [undefined, null];
  return isTreeMode(entry.mode) ? [undefined, entry.oid] : [entry, null];
}

function fileEntry(path: ByteString, { mode }: TreeEntry): FileEntry {
  return { path: pathText(path), type: fileTypeFromMode(mode) };
}
