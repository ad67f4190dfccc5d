import type { ByteString } from '../../git/byte-string.ts';
import { repositoryName } from '../../git/forbidden-name.ts';
import { isRegularMode, isTreeMode } from '../../git/mode.ts';
import type { Tree, TreeEntry } from '../../git/object.ts';
import type { Oid } from '../../git/oid.ts';
import type { PlacedObject } from '../../snapshot/tree-edit.ts';
import type { Timespec } from '../vfs/operations.ts';
import { BranchDirectory } from './branch-directory.ts';
import { BranchFile } from './branch-file.ts';
import type { BranchNode } from './branch-node.ts';
import { differingNames } from './differing-names.ts';
import { Inode } from './inode.ts';
import { reconsider, ruleFileName } from './left-out.ts';
import { LoadedTrees } from './loaded-trees.ts';
import { putInPlace } from './put-in-place.ts';

/**
 * Moves a working tree on to a tree that others have committed, whatever its relation to the one
 * before. What the mount did not change shows the new tree, and the kernel is told of each name and
 * file that it may have cached. What the mount changed stays as it is, path by path, and where both
 * changed the same path the branch is told of the conflict.
 *
 * Trees are read first; then all is done in one step, so nobody sees a half of it. What the mount
 * does while trees are read is seen by that step.
 */
export async function followOutside(
  root: BranchDirectory,
  newTree: Oid,
  time: Timespec,
): Promise<void> {
  const trees = new LoadedTrees(root.inode.context.odb);
  await trees.walk(() => {
    const { origin } = root.names;
    new Follower(trees, time, false).directory(root, origin, newTree);
    if (trees.hasAll) new Follower(trees, time, true).directory(root, origin, newTree);
  });
}

/**
 * The last writer of a file has closed it, and a commit from outside that came meanwhile shows now,
 * unless the mount has changed the path too.
 */
export function adoptOutside(directory: BranchDirectory, name: ByteString, file: BranchFile): void {
  const outside = file.outside.take(directory, name);
  if (outside === undefined || directory.names.pending.has(name)) return;
  replaceNode(directory, name, file, outside.object, outside.time);
  for (let at = directory; isLeftover(at);) {
    const [link] = at.inode.links;
    if (link === undefined) return;
    detach(link.parent, link.name, at);
    link.parent.names.moveOn(link.parent.names.origin);
    at = link.parent;
  }
}

/** A directory that the mount has removed, where others have put something that the mount never saw. */
interface Rest {
  readonly tree: Oid;
  /** What the mount removed, and those of it that others have changed. */
  readonly removed: ByteString[];
  readonly overruled: ByteString[];
  readonly directories: Map<ByteString, Rest>;
  hasNews: boolean;
  /** Some of what the mount removed there, or below, others have changed. */
  overrules: boolean;
}

/** Walks the places where two trees differ, and the nodes that stand there. */
class Follower {
  readonly #trees: LoadedTrees;
  readonly #time: Timespec;
  /** False while it is only found out which trees are needed. */
  readonly #applies: boolean;

  constructor(trees: LoadedTrees, time: Timespec, applies: boolean) {
    this.#trees = trees;
    this.#time = time;
    this.#applies = applies;
  }

  /** A directory whose origin is `from`, and shall be `to`. */
  directory(directory: BranchDirectory, from: Oid | null, to: Oid | null): void {
    if (from === to) return;
    const before = this.#trees.get(from);
    const after = this.#trees.get(to);
    if (before === undefined || after === undefined) return;
    for (const name of differingNames(before, after)) {
      this.#name(directory, before, name, after.get(name));
    }
    if (!this.#applies) return;
    directory.names.moveOn(to);
    directory.seenTime = this.#time;
    directory.inode.replaced(this.#time);
    directory.inode.context.notifier.invalidateInode(directory.ino);
  }

  /** A name that another tree than that of the directory gives another meaning. */
  #name(
    directory: BranchDirectory,
    tree: Tree,
    name: ByteString,
    after: TreeEntry | undefined,
  ): void {
    // What a tree has there is never shown, least of all inside the repository that a user made there.
    if (name === repositoryName) return;
    if (name === ruleFileName && this.#applies) reconsider(directory);
    const before = tree.get(name);
    const { children, pending, removed } = directory.names;
    const clean = this.#applies ? directory.names.changedOutside(name, tree) : undefined;
    const node = children.get(name) ?? clean;
    if (node === undefined) {
      if (removed.has(name)) this.#removed(directory, name, before, after);
      else if (before === undefined) this.#tellName(directory, name);
    } else if (node instanceof BranchDirectory) {
      this.#subdirectory(directory, name, node, before, after);
    } else if (pending.has(name) && !hasNothingNew(node, before)) {
      this.#keepOurs(directory, name, node, before, after);
    } else if (this.#applies) {
      pending.delete(name);
      this.#followNode(directory, name, node, before, after);
    }
  }

  /** The mount has taken the name away. */
  #removed(
    directory: BranchDirectory,
    name: ByteString,
    before: TreeEntry | undefined,
    after: TreeEntry | undefined,
  ): void {
    const { names } = directory;
    const rest = this.#restOf(before, after);
    if (!this.#applies) return;
    if (isNew(before, after)) {
      // What the mount removed is gone on both sides.
      names.removed.delete(name);
      names.pending.delete(name);
      this.#tellName(directory, name);
    } else if (rest?.hasNews === true) {
      names.removed.delete(name);
      this.#putRest(directory, name, rest);
      directory.markPending(name);
      this.#tellName(directory, name);
    } else if (rest === undefined || rest.overrules) {
      directory.recordConflict(name);
    }
  }

  /** The mount has a file or link where it changed something, and that stays. */
  #keepOurs(
    directory: BranchDirectory,
    name: ByteString,
    node: Exclude<BranchNode, BranchDirectory>,
    before: TreeEntry | undefined,
    after: TreeEntry | undefined,
  ): void {
    const rest = this.#restOf(before, after);
    if (!this.#applies) return;
    const isSameChange =
      after === undefined
        ? node.placed === null || treeOid(before) !== null
        : isSame(node.placed, after);
    const isOverruled = rest === undefined || rest.hasNews || rest.overrules;
    if (!isSameChange && isOverruled) directory.recordConflict(name);
  }

  #subdirectory(
    directory: BranchDirectory,
    name: ByteString,
    node: BranchDirectory,
    before: TreeEntry | undefined,
    after: TreeEntry | undefined,
  ): void {
    const from = treeOid(before);
    const to = treeOid(after);
    if (from === null && to === null) {
      if (this.#applies && after !== undefined) directory.recordConflict(name);
      return;
    }
    if (!putInPlace(this.#trees, node, from)) return;
    this.directory(node, from, to);
    if (!this.#applies) return;
    node.isInPlace = to !== null;
    if (to !== null) return;
    if (!holdsChanges(node)) directory.names.pending.delete(name);
    if (isLeftover(node)) detach(directory, name, node);
    else if (after !== undefined) directory.recordConflict(name);
  }

  /** A node that the mount did not change, or one that no commit takes. */
  #followNode(
    directory: BranchDirectory,
    name: ByteString,
    node: Exclude<BranchNode, BranchDirectory>,
    before: TreeEntry | undefined,
    after: TreeEntry | undefined,
  ): void {
    const object = after !== undefined && isRegularMode(after.mode) ? after : null;
    const isShown = hasNothingNew(node, before);
    if (node instanceof BranchFile && node.isBeingWritten && !directory.isScratch(name)) {
      node.outside.note(directory, name, { object, time: this.#time });
    } else if (isShown) {
      replaceNode(directory, name, node, object, this.#time);
    }
  }

  /** `#rest` for what both had as a directory; `undefined` for anything else, too. */
  #restOf(before: TreeEntry | undefined, after: TreeEntry | undefined): Rest | undefined {
    const from = treeOid(before);
    const to = treeOid(after);
    return from === null || to === null ? undefined : this.#rest(from, to);
  }

  /** What others put below a directory that the mount has removed; `undefined` while trees are missing. */
  #rest(from: Oid, to: Oid): Rest | undefined {
    const before = this.#trees.get(from);
    const after = this.#trees.get(to);
    if (before === undefined || after === undefined) return undefined;
    const rest: Rest = {
      tree: to,
      removed: [],
      overruled: [],
      directories: new Map(),
      hasNews: false,
      overrules: false,
    };
    for (const entry of after) this.#addToRest(rest, entry, before.get(entry.name));
    return rest;
  }

  #addToRest(rest: Rest, entry: TreeEntry, before: TreeEntry | undefined): void {
    const { name } = entry;
    if (isNew(before, entry)) {
      rest.hasNews = true;
      return;
    }
    const isUnchanged = isSame(before, entry);
    const inner = isUnchanged ? undefined : this.#restOf(before, entry);
    if (inner?.hasNews === true) {
      rest.directories.set(name, inner);
      rest.hasNews = true;
      return;
    }
    rest.removed.push(name);
    if (isUnchanged || inner?.overrules === false) return;
    rest.overruled.push(name);
    rest.overrules = true;
  }

  #putRest(parent: BranchDirectory, name: ByteString, rest: Rest): void {
    const { context } = parent.inode;
    const inode = new Inode(context, context.inos.next(), this.#time);
    const directory = new BranchDirectory(inode, rest.tree, this.#time, true);
    inode.addLink(parent, name);
    parent.names.children.set(name, directory);
    for (const removed of rest.removed) {
      directory.names.removed.add(removed);
      directory.names.pending.add(removed);
    }
    for (const [inner, innerRest] of rest.directories) {
      this.#putRest(directory, inner, innerRest);
      directory.names.pending.add(inner);
    }
    for (const overruled of rest.overruled) directory.recordConflict(overruled);
  }

  /** The kernel may remember that there was no such name. */
  #tellName(directory: BranchDirectory, name: ByteString): void {
    if (this.#applies) directory.inode.context.notifier.invalidateEntry(directory.ino, name);
  }
}

/**
 * What a commit would take of a node is what the tree had: written and written back, say. So the mount has
 * changed nothing there that others could be overruled with.
 */
function hasNothingNew(
  node: Exclude<BranchNode, BranchDirectory>,
  before: TreeEntry | undefined,
): boolean {
  return before !== undefined && isSame(node.placed, before);
}

/** Nothing of what others have there now is a change of what was there before: none, or another kind of thing. */
function isNew(before: TreeEntry | undefined, after: TreeEntry | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  return isTreeMode(before.mode) !== isTreeMode(after.mode);
}

/** Shows what others have put in the place of a node; whoever has it open keeps what he opened. */
function replaceNode(
  directory: BranchDirectory,
  name: ByteString,
  node: BranchNode,
  object: PlacedObject | null,
  time: Timespec,
): void {
  const isAlone = node instanceof BranchFile && !node.isOpen && node.inode.links.length === 1;
  if (object !== null && isAlone) {
    node.replace({ mode: object.mode, oid: object.oid }, time);
    node.inode.context.notifier.invalidateInode(node.ino);
    return;
  }
  detach(directory, name, node);
  if (object === null || !(node instanceof BranchFile) || node.inode.isPristine) return;
  const successor = node.successor({ mode: object.mode, oid: object.oid }, time);
  successor.inode.addLink(directory, name);
  directory.names.children.set(name, successor);
}

/** Takes a node away from a name that leads to what the tree has, or nowhere, from now on. */
function detach(directory: BranchDirectory, name: ByteString, node: BranchNode): void {
  const { notifier } = node.inode.context;
  directory.names.detach(name);
  node.inode.removeLink(directory, name);
  if (node.inode.links.length > 0) notifier.invalidateInode(node.ino);
  else if (node.references === 0) node.lost();
  else if (node instanceof BranchFile) node.isTakenAway = true;
  notifier.invalidateEntry(directory.ino, name);
}

/** Whether a directory that others have removed has something in it that a commit may take. */
function holdsChanges({ names }: BranchDirectory): boolean {
  for (const name of names.pending) if (names.children.has(name)) return true;
  return false;
}

/** A directory that others have removed, which the mount needs no more: nothing in it was left open. */
function isLeftover(directory: BranchDirectory): boolean {
  const { inode, names, isInPlace } = directory;
  const [link] = inode.links;
  if (link === undefined || isInPlace || names.origin !== null) return false;
  return names.children.size === 0 && !link.parent.names.pending.has(link.name);
}

function isSame(object: PlacedObject | null | undefined, entry: TreeEntry | undefined): boolean {
  return entry !== undefined && object?.oid === entry.oid && object.mode === entry.mode;
}

/** The tree of an entry that is a directory. */
function treeOid(entry: TreeEntry | undefined): Oid | null {
  return entry !== undefined && isTreeMode(entry.mode) ? entry.oid : null;
}
