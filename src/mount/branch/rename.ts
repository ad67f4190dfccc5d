import { ErrnoError } from '../vfs/errno.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import { renameExchange, renameNoReplace } from '../vfs/operations.ts';
import type { MaybePromise } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { BranchDirectory } from './branch-directory.ts';
import { BranchFile } from './branch-file.ts';
import type { BranchNode } from './branch-node.ts';
import { requireDepthBelow } from './directory-depth.ts';
import type { Link } from './inode.ts';

/**
 * rename(2) between two directories, of one branch or of two: the node moves with all that is below
 * it and open in it, and no byte and no tree is looked at. Renaming to another name of the same file
 * does nothing, as POSIX has it.
 */
export function renameNode(from: Link, to: Link, flags: number): MaybePromise<void> {
  from.parent.requireWritable();
  to.parent.requireWritable();
  const withTarget = (): MaybePromise<void> =>
    whenReady(to.parent.names.get(to.name), () => renameLoaded(from, to, flags));
  return whenReady(from.parent.names.get(from.name), (node) =>
    node instanceof BranchFile ? node.whileKept(withTarget) : withTarget(),
  );
}

/**
 * Both names are loaded now, so what `children` says of them is the truth of this moment. Others may have
 * deleted a branch meanwhile, or removed a directory, where a node would be lost.
 */
function renameLoaded(from: Link, to: Link, flags: number): MaybePromise<void> {
  from.parent.requireWritable();
  to.parent.requireWritable();
  const node = from.parent.requireChild(from.name);
  const other = to.parent.names.children.get(to.name);
  to.parent.requireGoodName(to.name, node.type);
  refuseInto(node, to.parent);
  if (node instanceof DirectoryVnode) requireDepthBelow(to.parent);
  if (flags === renameExchange) {
    if (other === undefined) throw new ErrnoError('ENOENT');
    from.parent.requireGoodName(from.name, other.type);
    refuseInto(other, from.parent);
    if (other instanceof DirectoryVnode) requireDepthBelow(from.parent);
    if (node !== other) exchange(from, node, to, other);
    return;
  }
  if (other === undefined) {
    move(from, node, to);
    return;
  }
  if (flags === renameNoReplace) throw new ErrnoError('EEXIST');
  if (node === other) return;
  return whenReady(refuseToReplace(node, other), () => {
    from.parent.requireWritable();
    to.parent.requireWritable();
    if (from.parent.names.children.get(from.name) !== node) throw new ErrnoError('ENOENT');
    if (to.parent.names.children.get(to.name) !== other) return renameLoaded(from, to, flags);
    to.parent.discard(to.name, other);
    move(from, node, to);
  });
}

function move(from: Link, node: BranchNode, to: Link): void {
  from.parent.take(from.name, node);
  to.parent.put(to.name, node);
}

function exchange(from: Link, node: BranchNode, to: Link, other: BranchNode): void {
  from.parent.take(from.name, node);
  to.parent.take(to.name, other);
  to.parent.put(to.name, node);
  from.parent.put(from.name, other);
}

/** A directory cannot become a part of itself. */
function refuseInto(node: BranchNode, parent: BranchDirectory): void {
  for (let at: BranchDirectory | undefined = parent; at; at = at.inode.links[0]?.parent) {
    if (at === node) throw new ErrnoError('EINVAL');
  }
}

function refuseToReplace(node: BranchNode, other: BranchNode): MaybePromise<void> {
  if (!(other instanceof DirectoryVnode)) {
    if (node instanceof DirectoryVnode) throw new ErrnoError('ENOTDIR');
    return;
  }
  if (!(node instanceof DirectoryVnode)) throw new ErrnoError('EISDIR');
  return whenReady(other.isEmpty(), (isEmpty) => {
    if (!isEmpty) throw new ErrnoError('ENOTEMPTY');
  });
}
