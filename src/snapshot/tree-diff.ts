import { setImmediate as nextTurn } from 'node:timers/promises';
import { textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { isTreeMode } from '../git/mode.ts';
import type { Tree, TreeEntry } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { emptyChangeReport } from './change-report.ts';
import type { ChangeReport, FileEntry } from './change-report.ts';
import { fileTypeFromMode } from './file-type.ts';
import { joinPath, rootPath } from './path.ts';
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
  await diff.trees(rootPath, from, to, change);
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
    if (from === to) return;
    const before = from === null ? null : await treeOf(this.#odb, from);
    const after = to === null ? null : await treeOf(this.#odb, to);
    for (const name of namesToCompare(before, after, change)) {
      const child = change?.kind === 'edit' ? change.children.get(name) : undefined;
      await this.#entries(joinPath(path, name), before?.get(name), after?.get(name), child);
    }
  }

  async #entries(
    path: ByteString,
    from: TreeEntry | undefined,
    to: TreeEntry | undefined,
    change: TreeChange | undefined,
  ): Promise<void> {
    this.#compared += 1;
    if (this.#compared % entriesPerTurn === 0) await nextTurn();
    if (from?.oid === to?.oid && from?.mode === to?.mode) return;
    const [fromFile, fromTree] = fileOrTree(from);
    const [toFile, toTree] = fileOrTree(to);
    if (fromFile !== undefined && toFile === undefined) this.#add('delete', path, fromFile);
    if (toFile !== undefined) this.#add(fromFile === undefined ? 'add' : 'update', path, toFile);
    await this.trees(path, fromTree, toTree, change);
  }

  #add(kind: Difference['kind'], path: ByteString, entry: TreeEntry): void {
    this.#differences.push({ path, entry, kind });
  }
}

/** The names that may differ: those that an edit of the same directory names, else all that do. */
function namesToCompare(
  before: Tree | null,
  after: Tree | null,
  change: TreeChange | undefined,
): Iterable<ByteString> {
  if (change?.kind === 'edit' && change.base === undefined) return change.children.keys();
  return differingNames(before, after);
}

/** Goes through two directories side by side; both are in git's order. */
export function* differingNames(
  before: Tree | null,
  after: Tree | null,
): Generator<ByteString, void, undefined> {
  const seen = new Set<ByteString>();
  const names = function* (tree: Tree | null, other: Tree | null): Generator<ByteString> {
    for (const { name, mode, oid } of tree ?? []) {
      const counterpart = other?.get(name);
      if (counterpart?.oid === oid && counterpart.mode === mode) continue;
      if (seen.has(name)) continue;
      seen.add(name);
      yield name;
    }
  };
  yield* names(before, after);
  yield* names(after, before);
}

function fileOrTree(entry: TreeEntry | undefined): [TreeEntry | undefined, Oid | null] {
  if (entry === undefined) return [undefined, null];
  return isTreeMode(entry.mode) ? [undefined, entry.oid] : [entry, null];
}

function fileEntry(path: ByteString, { mode }: TreeEntry): FileEntry {
  return { path: textFromBytes(path), type: fileTypeFromMode(mode) };
}
