import type { ByteString } from '../git/byte-string.ts';
import { isTreeMode, modeTree } from '../git/mode.ts';
import type { FileMode } from '../git/mode.ts';
import { Tree, emptyTreeOid } from '../git/object.ts';
import type { TreeEntry } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import type { Oid } from '../git/oid.ts';
import { splitPath } from './path.ts';
import { treeOf } from './tree.ts';

/** An object takes a place in a tree: a file, a link, or a whole directory by its id. */
export interface TreeSet {
  readonly kind: 'set';
  readonly mode: FileMode;
  readonly oid: Oid;
}

/** A place in a tree becomes empty, whatever stood there. */
export interface TreeDelete {
  readonly kind: 'delete';
}

/**
 * Changes inside a directory. Without `base` they apply to the directory that stands at this place
 * (none counts as an empty one, and so does a file, which makes room); with `base` to that tree
 * instead, `null` being the empty one: so a directory that was moved and then changed is told.
 */
export interface TreeEdit {
  readonly kind: 'edit';
  readonly base?: Oid | null;
  readonly children: Map<ByteString, TreeChange>;
}

/** What becomes of one place in a tree, and of everything below it. */
export type TreeChange = TreeSet | TreeDelete | TreeEdit;

/** What a place holds. */
export type PlacedObject = Pick<TreeEntry, 'mode' | 'oid'>;

/** How changes are made in a tree. */
export interface EditTreeOptions {
  /** Whether directories that the changes empty go away, as in git's index; else they stay as empty trees. */
  readonly pruneEmpty: boolean;
}

/**
 * The tree that an edit led to, the trees that were staged for it (some may be stored already), and those
 * that they take the place of.
 */
export interface EditedTree {
  readonly oid: Oid;
  readonly written: readonly Oid[];
  readonly replaced: readonly Oid[];
}

/** The changes that put these objects at these paths; `null` empties a path. A later path wins over an earlier one. */
export function changesFromPaths(paths: Iterable<[ByteString, PlacedObject | null]>): TreeEdit {
  const root: TreeEdit = { kind: 'edit', children: new Map() };
  for (const [path, object] of paths) {
    putChange(root, path, object === null ? { kind: 'delete' } : { kind: 'set', ...object });
  }
  return root;
}

/** Records a change for a path (not the root) among others. What was recorded for it, or below it, is replaced. */
export function putChange(root: TreeEdit, path: ByteString, change: TreeChange): void {
  const names = splitPath(path);
  const last = names.pop();
  if (last === undefined) throw new RangeError('the root of a tree has no place to change');
  let edit = root;
  for (const name of names) {
    const child = editOf(edit.children.get(name));
    edit.children.set(name, child);
    edit = child;
  }
  edit.children.set(last, change);
}

/** The edit of a directory where another change was recorded before. */
function editOf(change: TreeChange | undefined): TreeEdit {
  if (change?.kind === 'edit') return change;
  if (change === undefined) return { kind: 'edit', children: new Map() };
  // What was deleted or replaced stays away: the directory starts empty, or from the tree that was set.
  const base = change.kind === 'set' && isTreeMode(change.mode) ? change.oid : null;
  return { kind: 'edit', base, children: new Map() };
}

/**
 * A new root tree from an old one (`null` for none) and changes. Only the directories that the
 * changes touch are read and written; contents are never looked at. The result may be `root` again.
 */
export async function editTree(
  odb: ObjectDatabase,
  staging: StagingArea,
  root: Oid | null,
  change: TreeChange,
  options: EditTreeOptions,
): Promise<EditedTree> {
  const editor = new TreeEditor(odb, staging, options.pruneEmpty);
  const result = await editor.apply(root, change);
  if (result !== null && isTreeMode(result.mode)) {
    return { oid: result.oid, written: editor.written, replaced: editor.replaced };
  }
  const oid = await editor.write(editor.empty);
  return { oid, written: editor.written, replaced: editor.replaced };
}

class TreeEditor {
  readonly written: Oid[] = [];
  readonly replaced: Oid[] = [];
  readonly empty: Tree;
  readonly #odb: ObjectDatabase;
  readonly #staging: StagingArea;
  readonly #pruneEmpty: boolean;
  readonly #emptyTree: Oid;

  constructor(odb: ObjectDatabase, staging: StagingArea, pruneEmpty: boolean) {
    this.#odb = odb;
    this.#staging = staging;
    this.#pruneEmpty = pruneEmpty;
    this.#emptyTree = emptyTreeOid(odb.algorithm);
    this.empty = Tree.parse(Buffer.alloc(0), odb.algorithm);
  }

  /** What a change makes of a place where the directory `standing` (or none) was. */
  apply(
    standing: Oid | null,
    change: TreeChange,
  ): PlacedObject | null | Promise<PlacedObject | null> {
    switch (change.kind) {
      case 'delete':
        return null;
      case 'set':
        return this.#isPruned(change) ? null : { mode: change.mode, oid: change.oid };
      case 'edit':
        return this.#edit(standing, change);
    }
  }

  async #edit(standing: Oid | null, change: TreeEdit): Promise<PlacedObject | null> {
    const base = change.base === undefined ? standing : change.base;
    // Waits even where there is nothing to read: new directories may be nested deeper than calls can be.
    const tree = await (base === null ? null : treeOf(this.#odb, base));
    const places = await this.#applyChildren(tree, change.children);
    // A directory that nothing was changed in is left alone, even an empty one.
    if (base !== null && places.size === 0) return { mode: modeTree, oid: base };
    const after = (tree ?? this.empty).edited(places, this.#odb.algorithm);
    if (this.#pruneEmpty && after.size === 0) return null;
    const oid = await this.write(after);
    if (standing !== null && oid !== standing) this.replaced.push(standing);
    return { mode: modeTree, oid };
  }

  #isPruned({ mode, oid }: PlacedObject): boolean {
    return this.#pruneEmpty && isTreeMode(mode) && oid === this.#emptyTree;
  }

  /** The places of a directory that are other than before. */
  async #applyChildren(
    tree: Tree | null,
    children: ReadonlyMap<ByteString, TreeChange>,
  ): Promise<Map<ByteString, PlacedObject | null>> {
    const places = new Map<ByteString, PlacedObject | null>();
    for (const [name, child] of children) {
      const before = tree?.get(name) ?? null;
      const standing = before !== null && isTreeMode(before.mode) ? before.oid : null;
      const applied = this.apply(standing, child);
      const after = applied instanceof Promise ? await applied : applied;
      if (before?.oid !== after?.oid || before?.mode !== after?.mode) places.set(name, after);
    }
    return places;
  }

  async write(tree: Tree): Promise<Oid> {
    const oid = await this.#staging.writeTree(tree.raw);
    this.#odb.noteTree(oid, tree);
    this.written.push(oid);
    return oid;
  }
}
