import type { ByteString } from '../../git/byte-string.ts';
import { isGitlinkMode, isTreeMode, modeTree } from '../../git/mode.ts';
import { emptyTreeOid } from '../../git/object.ts';
import type { ObjectDatabase } from '../../git/odb/object-database.ts';
import type { Oid } from '../../git/oid.ts';
import type { PlacedObject, TreeChange, TreeEdit } from '../../snapshot/tree-edit.ts';
import { treeOf } from '../../snapshot/tree.ts';
import { BranchDirectory } from './branch-directory.ts';
import type { BranchNode } from './branch-node.ts';

/** A directory that a commit changes, and what the commit has under its pending names. */
interface PlannedDirectory {
  readonly directory: BranchDirectory;
  /** What its changes were told against. */
  readonly origin: Oid | null;
  readonly entries: Map<ByteString, PlacedObject | PlannedDirectory | null>;
}

/** A directory whose pending names are being collected, and where the result goes. */
interface Collecting {
  readonly planned: PlannedDirectory;
  readonly children: Map<ByteString, TreeChange>;
  readonly names: Iterator<ByteString>;
  readonly outer: { readonly collecting: Collecting; readonly name: ByteString } | undefined;
}

/** A question about what a name in a directory leads to. */
export type NameTest = (directory: BranchDirectory, name: ByteString, node: BranchNode) => boolean;

/**
 * What a commit takes of a working tree: everything that was pending in one moment. Collected
 * without waiting for anything, so that a rename is in it as a whole or not at all.
 */
export class CommitPlan {
  /** What changes in the tree that the working tree is based on. */
  readonly change: TreeEdit;
  /** The contents that it needs. */
  readonly oids: Oid[] = [];
  readonly #root: PlannedDirectory;
  readonly #directories: PlannedDirectory[] = [];
  readonly #isIgnored: NameTest;

  /** `isIgnored` tells of names that the commit leaves out, beside scratch names. */
  constructor(root: BranchDirectory, isIgnored: NameTest = () => false) {
    this.#isIgnored = isIgnored;
    const collecting = collectingOf(root);
    this.#collect(collecting);
    this.change = editOf(collecting);
    this.#root = collecting.planned;
  }

  get isEmpty(): boolean {
    return this.change.children.size === 0;
  }

  /**
   * After the commit: makes its trees the ones that the working tree is based on. Gives their ids.
   * What changed since the plan was made stays pending; what did not is clean. Trees are read first;
   * then all is done in one step, so nobody sees directories that do not belong together.
   */
  async settle(odb: ObjectDatabase, rootTree: Oid): Promise<Oid[]> {
    const trees = new Map<PlannedDirectory, Oid>();
    await findTrees(odb, this.#root, rootTree, trees);
    // Inner directories come first: whether one is clean depends on those in it.
    for (const planned of this.#directories) settleDirectory(planned, trees);
    return [...trees.values()];
  }

  /** Goes through directories one by one: a tree may be deeper than calls can be nested. */
  #collect(root: Collecting): void {
    for (let at: Collecting | undefined = root; at !== undefined;) {
      const next = at.names.next();
      if (next.done === true) {
        this.#collected(at);
        at = at.outer?.collecting;
        continue;
      }
      const name = next.value;
      const { directory } = at.planned;
      const node = directory.names.children.get(name);
      if (node instanceof BranchDirectory && !this.#isLeftOut(directory, name, node)) {
        at = collectingOf(node, { collecting: at, name });
        continue;
      }
      const change = this.#collectName(at.planned, name, node);
      if (change === undefined) directory.names.pending.delete(name);
      else at.children.set(name, change);
    }
  }

  #collected(collecting: Collecting): void {
    const { planned, children, outer } = collecting;
    this.#directories.push(planned);
    if (outer === undefined) return;
    const { directory, origin } = planned;
    const { isInPlace } = directory;
    const isMovedOnly = !isInPlace && origin !== null && children.size === 0;
    const change: TreeChange = isMovedOnly
      ? { kind: 'set', mode: modeTree, oid: origin }
      : editOf(collecting);
    outer.collecting.planned.entries.set(outer.name, planned);
    outer.collecting.children.set(outer.name, change);
  }

  #isLeftOut(directory: BranchDirectory, name: ByteString, node: BranchNode): boolean {
    return directory.isScratch(name) || this.#isIgnored(directory, name, node);
  }

  /** `undefined` when the commit leaves alone what it finds under the name. */
  #collectName(
    { directory, entries }: PlannedDirectory,
    name: ByteString,
    node: BranchNode | undefined,
  ): TreeChange | undefined {
    const { names } = directory;
    if (node === undefined) {
      // A name that was given and taken away again before any commit saw it.
      if (!names.removed.has(name)) return undefined;
      entries.set(name, null);
      return { kind: 'delete' };
    }
    if (node instanceof BranchDirectory || this.#isLeftOut(directory, name, node)) return undefined;
    if (node.placed === undefined) return undefined;
    entries.set(name, node.placed);
    if (node.placed === null) return { kind: 'delete' };
    if (!isGitlinkMode(node.placed.mode)) this.oids.push(node.placed.oid);
    return { kind: 'set', ...node.placed };
  }
}

function collectingOf(directory: BranchDirectory, outer?: Collecting['outer']): Collecting {
  const { origin, pending } = directory.names;
  const planned = { directory, origin, entries: new Map() };
  return { planned, children: new Map(), names: pending[Symbol.iterator](), outer };
}

function editOf({ planned: { directory, origin }, children }: Collecting): TreeEdit {
  return directory.isInPlace
    ? { kind: 'edit', children }
    : { kind: 'edit', base: origin, children };
}

/** Finds the tree that each planned directory has become. */
async function findTrees(
  odb: ObjectDatabase,
  planned: PlannedDirectory,
  oid: Oid,
  trees: Map<PlannedDirectory, Oid>,
): Promise<void> {
  trees.set(planned, oid);
  for (const [name, entry] of planned.entries) {
    if (entry === null || !isPlanned(entry)) continue;
    const found = (await treeOf(odb, oid)).get(name);
    if (found === undefined || !isTreeMode(found.mode)) {
      throw new Error(`a commit lacks the directory ${JSON.stringify(name)}`);
    }
    await findTrees(odb, entry, found.oid, trees);
  }
}

function settleDirectory(planned: PlannedDirectory, trees: Map<PlannedDirectory, Oid>): void {
  const { directory, entries } = planned;
  const { names } = directory;
  // Moved to another branch meanwhile, whose commit has ended before this one, or which others have
  // moved on: what differs from the tree that it has there is pending, and must stay that.
  if (names.origin !== planned.origin) return;
  names.origin = trees.get(planned) ?? names.origin;
  for (const [name, entry] of entries) {
    const committed = entry !== null && isPlanned(entry) ? treeEntry(trees.get(entry)) : entry;
    const node = names.children.get(name);
    if (node === undefined) {
      settleRemoved(directory, name, committed);
      continue;
    }
    if (node instanceof BranchDirectory) node.isInPlace = hasTree(node, committed);
    if (!isCommitted(node, committed, directory.isScratch(name))) {
      // Committed elsewhere with what it leads to now, it was clean until this commit.
      if (!names.pending.has(name)) directory.markPending(name);
      continue;
    }
    names.pending.delete(name);
    directory.dropIfDisposable(name, node);
  }
}

/** The name leads nowhere now. It may have been taken away while the commit that has it was made. */
function settleRemoved(
  directory: BranchDirectory,
  name: ByteString,
  committed: PlacedObject | null,
): void {
  const { names } = directory;
  if (committed === null) {
    names.removed.delete(name);
    names.pending.delete(name);
  } else {
    names.removed.add(name);
    // The branch was not told when the name went, for the tree did not have it then.
    directory.markPending(name);
  }
}

/** Tells whether a commit has what a name leads to, or will never have it. */
function isCommitted(
  node: BranchNode,
  committed: PlacedObject | null,
  isScratch: boolean,
): boolean {
  if (isScratch) return true;
  if (node instanceof BranchDirectory) {
    return hasTree(node, committed) && node.names.pending.size === 0;
  }
  const { placed } = node;
  if (placed === undefined) return true;
  return placed?.oid === committed?.oid && placed?.mode === committed?.mode;
}

function hasTree({ names, inode }: BranchDirectory, committed: PlacedObject | null): boolean {
  const oid = names.origin ?? emptyTreeOid(inode.context.odb.algorithm);
  return committed !== null && isTreeMode(committed.mode) && committed.oid === oid;
}

function treeEntry(oid: Oid | undefined): PlacedObject | null {
  return oid === undefined ? null : { mode: modeTree, oid };
}

function isPlanned(entry: PlacedObject | PlannedDirectory): entry is PlannedDirectory {
  return 'directory' in entry;
}
