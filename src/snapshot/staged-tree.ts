import type { ByteString } from '../git/byte-string.ts';
import { isGitlinkMode, isTreeMode } from '../git/mode.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import { directoryAt, fileAt, nothingAt } from './path-errors.ts';
import { joinPath, refuseForbiddenNames, rootPath, splitPath } from './path.ts';
import { putChange } from './tree-edit.ts';
import type { PlacedObject, TreeChange, TreeEdit, TreeSet } from './tree-edit.ts';
import { treeOf } from './tree.ts';

/**
 * What stands at a path: an object as it is, or a directory with changes in it, told by the tree
 * that they start from. Either can be put at another path as it is.
 */
export type Standing = TreeSet | StandingEdit;

type StandingEdit = TreeEdit & { readonly base: Oid | null };

/**
 * A tree and the changes that are collected for it: answers what stands where after them, and
 * refuses what no filesystem would do. The last change of a path wins.
 */
export class StagedTree {
  readonly #odb: ObjectDatabase;
  #root: StandingEdit;
  #isReplaced = false;

  constructor(odb: ObjectDatabase, root: Oid) {
    this.#odb = odb;
    this.#root = { kind: 'edit', base: root, children: new Map() };
  }

  /** All changes, to be applied to the tree that this began with. */
  get change(): TreeChange {
    if (this.#isReplaced) return this.#root;
    return { kind: 'edit', children: this.#root.children };
  }

  /** What stands at a path; `null` for nothing, also when a part of the path is no directory. */
  find(path: ByteString): Promise<Standing | null> {
    return this.#reach(path, () => null);
  }

  /**
   * Puts a file or link at a path. A file in place of a parent directory is a `NotADirectoryError`,
   * a directory at the path itself an `IsADirectoryError`.
   */
  async write(path: ByteString, object: PlacedObject): Promise<void> {
    refuseForbiddenNames(path, object.mode);
    const standing = await this.#reach(path);
    if (standing !== null && isDirectory(standing)) throw directoryAt(path);
    this.#put(path, { kind: 'set', ...object });
  }

  /** Puts an object, or a directory as another path has it, in place of whatever stands at a path. */
  async replace(path: ByteString, standing: Standing): Promise<void> {
    refuseForbiddenNames(path, standing.kind === 'set' ? standing.mode : undefined);
    await this.#reach(path);
    this.#put(path, standing);
  }

  /** Empties a path, and the root of all that it holds; parents that are files are a `NotADirectoryError`. */
  async clear(path: ByteString): Promise<void> {
    await this.#reach(path);
    this.#put(path, path === rootPath ? emptyDirectory() : { kind: 'delete' });
  }

  /** Removes a file. Nothing there is a `FileNotFoundError`, a directory an `IsADirectoryError`. */
  async remove(path: ByteString): Promise<void> {
    if (isDirectory(await this.require(path))) throw directoryAt(path);
    await this.clear(path);
  }

  /** What stands at a path; a `FileNotFoundError` for nothing. */
  async require(path: ByteString): Promise<Standing> {
    const standing = await this.find(path);
    if (standing !== null) return standing;
    throw nothingAt(path);
  }

  /** What stands at a path; a directory that was emptied is nothing. `onFile` says what a file among its parents means. */
  async #reach(
    path: ByteString,
    onFile: (file: ByteString) => null = refuseFile,
  ): Promise<Standing | null> {
    let standing: Standing | null = this.#root;
    let reached = rootPath;
    for (const name of splitPath(path)) {
      if (standing.kind === 'set' && !isTreeMode(standing.mode)) return onFile(reached);
      standing = await this.#child(standing, name);
      if (standing === null) return null;
      reached = joinPath(reached, name);
    }
    const isGone = path !== rootPath && isEdit(standing) && (await this.#isEmpty(standing));
    return isGone ? null : standing;
  }

  #put(path: ByteString, change: TreeChange): void {
    if (path !== rootPath) {
      putChange(this.#root, path, change);
      return;
    }
    this.#isReplaced = true;
    if (change.kind === 'delete') throw new RangeError('the root directory cannot be deleted');
    this.#root =
      change.kind === 'set'
        ? { kind: 'edit', base: change.oid, children: new Map() }
        : { kind: 'edit', base: change.base ?? null, children: change.children };
  }

  async #child(standing: Standing, name: ByteString): Promise<Standing | null> {
    if (standing.kind === 'set') {
      return isTreeMode(standing.mode) ? this.#stored(standing.oid, name) : null;
    }
    const change = standing.children.get(name);
    if (change?.kind === 'set') return change;
    if (change?.kind === 'delete') return null;
    const stored = await this.#stored(standing.base, name);
    if (change === undefined) return stored;
    const base = stored !== null && isTreeMode(stored.mode) ? stored.oid : null;
    return { ...change, base: change.base === undefined ? base : change.base };
  }

  async #stored(tree: Oid | null, name: ByteString): Promise<TreeSet | null> {
    const entry = tree === null ? undefined : (await treeOf(this.#odb, tree)).get(name);
    return entry === undefined ? null : { kind: 'set', mode: entry.mode, oid: entry.oid };
  }

  /** Tells whether nothing is left in a directory: such a one is not stored. */
  async #isEmpty(edit: StandingEdit): Promise<boolean> {
    for (const name of edit.children.keys()) {
      const child = await this.#child(edit, name);
      if (child !== null && !(isEdit(child) && (await this.#isEmpty(child)))) return false;
    }
    if (edit.base === null) return true;
    for (const { name } of await treeOf(this.#odb, edit.base)) {
      if (!edit.children.has(name)) return false;
    }
    return true;
  }
}

/** Tells whether a directory stands there; a submodule counts as one. */
export function isDirectory(standing: Standing): boolean {
  return isEdit(standing) || isTreeMode(standing.mode) || isGitlinkMode(standing.mode);
}

function isEdit(standing: Standing): standing is StandingEdit {
  return standing.kind === 'edit';
}

function refuseFile(file: ByteString): never {
  throw fileAt(file);
}

function emptyDirectory(): StandingEdit {
  return { kind: 'edit', base: null, children: new Map() };
}
