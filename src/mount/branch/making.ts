import { constants } from 'node:fs';
import { bufferFromByteString } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { isTreeMode, modeBlob, modeExecutable, modeSymlink } from '../../git/mode.ts';
import type { FileMode } from '../../git/mode.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { undoOnFailure, whenReady } from '../vfs/maybe-promise.ts';
import type { Caller, MaybePromise } from '../vfs/operations.ts';
import type { FileHandle, FileVnode, Vnode } from '../vfs/vnode.ts';
import type { BranchDirectory } from './branch-directory.ts';
import { BranchFile } from './branch-file.ts';
import type { BranchNode } from './branch-node.ts';
import { BranchSpecial } from './branch-special.ts';
import { BranchSymlink } from './branch-symlink.ts';
import { CleanFile, CleanSymlink } from './clean-nodes.ts';
import type { HeldContent } from './content-store.ts';
import { requireDepthBelow } from './directory-depth.ts';
import { Inode } from './inode.ts';
import type { Link } from './inode.ts';

// What gives a name in a directory of a branch to something new, or one more to what is there.

interface OpenFile {
  readonly node: FileVnode;
  readonly handle: FileHandle;
}

/** open(2) with O_CREAT. */
export function createFile(
  { parent, name }: Link,
  mode: number,
  flags: number,
  caller: Caller,
): MaybePromise<OpenFile> {
  requireRoomFor({ parent, name }, modeBlob);
  return whenReady(parent.names.get(name), () => {
    // `get` has loaded it if it exists; what is in `children` is the truth of this moment.
    const existing = parent.names.children.get(name);
    if (existing !== undefined) return openExisting(existing, flags, caller);
    const node = new BranchFile(freshInode(parent, mode, caller), null);
    parent.put(name, node);
    return { node, handle: node.openNew() };
  });
}

/** open(2) with O_TMPFILE. */
export function createNameless(
  parent: BranchDirectory,
  mode: number,
  flags: number,
  caller: Caller,
): OpenFile {
  parent.requireWritable();
  const node = new BranchFile(freshInode(parent, mode, caller), null);
  node.isLinkable = (flags & constants.O_EXCL) === 0;
  return { node, handle: node.openNew() };
}

/** mknod(2); an empty file is stored at once, for nobody opens it. */
export function makeNode(
  link: Link,
  mode: number,
  rdev: number,
  caller: Caller,
): MaybePromise<Vnode> {
  const { parent } = link;
  const type = mode & constants.S_IFMT;
  if (type === constants.S_IFREG || type === 0) {
    const fileMode = (mode & 0o100) === 0 ? modeBlob : modeExecutable;
    return makeStored(link, fileMode, Buffer.alloc(0), (held) => {
      const placed = { mode: fileMode, oid: held.oid };
      return new BranchFile(freshInode(parent, mode, caller), placed, held);
    });
  }
  return makeNamed(link, modeBlob, () => {
    return new BranchSpecial(freshInode(parent, mode, caller), type, rdev);
  });
}

/** symlink(2) */
export function makeSymlink(
  link: Link,
  target: ByteString,
  caller: Caller,
): MaybePromise<BranchSymlink> {
  return makeStored(link, modeSymlink, bufferFromByteString(target), (held) => {
    const placed = { mode: modeSymlink, oid: held.oid };
    return new BranchSymlink(freshInode(link.parent, 0o777, caller), placed, held);
  });
}

/** link(2) */
export function linkNode(node: Vnode, link: Link): MaybePromise<void> {
  if (node instanceof CleanFile || node instanceof CleanSymlink) {
    return whenReady(node.kept(), (kept) => linkNode(kept, link));
  }
  const isOurs =
    node instanceof BranchFile || node instanceof BranchSymlink || node instanceof BranchSpecial;
  if (!isOurs || node.inode.context !== link.parent.inode.context) throw new ErrnoError('EXDEV');
  if (node instanceof BranchFile && node.isLinkable) return linkNameless(node, link);
  const mode = node instanceof BranchSymlink ? modeSymlink : modeBlob;
  const make = (): MaybePromise<BranchNode> =>
    makeNamed(link, mode, () => {
      if (node.inode.links.length === 0) throw new ErrnoError('ENOENT');
      return node;
    });
  return whenReady(node instanceof BranchFile ? node.whileKept(make) : make(), () => undefined);
}

/** Gives its first name to a file that was made without one. */
async function linkNameless(file: BranchFile, link: Link): Promise<void> {
  const { parent, name } = link;
  requireRoomFor(link, modeBlob);
  if ((await parent.names.get(name)) !== null) throw new ErrnoError('EEXIST');
  // Before it has the name: whoever synced what he wrote expects it in the first commit of the name.
  await file.storeNameless();
  await makeNamed(link, modeBlob, () => {
    if (!file.isLinkable) throw new ErrnoError('ENOENT');
    file.isLinkable = false;
    return file;
  });
  await file.storeAgain();
}

/** Puts a node under a name that leads nowhere; EEXIST when it leads somewhere. */
export function makeNamed<T extends BranchNode>(
  { parent, name }: Link,
  mode: FileMode,
  make: () => T,
): MaybePromise<T> {
  requireRoomFor({ parent, name }, mode);
  return whenReady(parent.names.get(name), () => {
    if (parent.names.children.has(name)) throw new ErrnoError('EEXIST');
    const node = make();
    parent.put(name, node);
    return node;
  });
}

/** The same for a node whose content is stored first. */
async function makeStored<T extends BranchNode>(
  link: Link,
  mode: FileMode,
  content: Buffer,
  make: (held: HeldContent) => T,
): Promise<T> {
  const { parent, name } = link;
  const { contents } = parent.inode.context;
  requireRoomFor(link, mode);
  if ((await parent.names.get(name)) !== null) throw new ErrnoError('EEXIST');
  const held = await contents.store({ kind: 'bytes', bytes: content }, content.length);
  return undoOnFailure(
    () => makeNamed(link, mode, () => make(held)),
    () => {
      contents.drop(held);
    },
  );
}

/** The inode of something that is made in a directory. */
export function freshInode(
  parent: BranchDirectory,
  mode: number,
  caller: Caller,
  isDirectory = false,
): Inode {
  return Inode.fresh(parent.inode.context, mode, caller, parent.inode, isDirectory);
}

function requireRoomFor({ parent, name }: Link, mode: FileMode): void {
  parent.requireWritable();
  parent.requireGoodName(name, mode);
  if (isTreeMode(mode)) requireDepthBelow(parent);
}

/** What open(2) with O_CREAT does when somebody else was faster. */
function openExisting(node: BranchNode, flags: number, caller: Caller): MaybePromise<OpenFile> {
  if ((flags & constants.O_EXCL) !== 0) throw new ErrnoError('EEXIST');
  if (!(node instanceof BranchFile)) throw new ErrnoError('EEXIST');
  return whenReady(node.open(flags, caller), (handle) => ({ node, handle }));
}
