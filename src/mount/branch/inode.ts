import type { ByteString } from '../../git/byte-string.ts';
import type { Attr, AttrChange, Caller, Ino, Timespec } from '../vfs/operations.ts';
import type { BranchContext } from './branch-context.ts';
import type { BranchDirectory } from './branch-directory.ts';

/** A name of a node: where it stands in the tree. */
export interface Link {
  readonly parent: BranchDirectory;
  readonly name: ByteString;
}

/** What git cannot store, and what was changed since the mount: kept for the session. */
interface SessionAttr {
  permissions?: number;
  uid?: number;
  gid?: number;
  atime?: Timespec;
  mtime?: Timespec;
  ctime?: Timespec;
}

/** The part of the attributes that a node knows by its kind and content. */
export interface NodeShape {
  /** The file type, and the permissions as long as nobody changed them. */
  readonly mode: number;
  readonly nlink: number;
  readonly sizeBytes: number;
  readonly blocks: number;
  readonly rdev?: number;
}

const permissionMask = 0o7777;
const typeMask = 0o170000;
const setGroupId = 0o2000;
const ownerExecutes = 0o100;
const everybodyReads = 0o444;
const everybodyExecutes = 0o111;

/**
 * What makes a node the same node wherever it is moved: its number, its names, its times, its owner.
 * A node that was never changed through the mount shows the time of the snapshot in which it was
 * first seen, and holds nothing else (`isPristine`): it can be made again from the tree.
 */
export class Inode {
  readonly context: BranchContext;
  readonly ino: Ino;
  /** One name, or several (hard links), or none once it is unlinked and only open. */
  links: readonly Link[] = [];
  #firstSeen: Timespec;
  #session: SessionAttr | undefined;

  constructor(context: BranchContext, ino: Ino, firstSeen: Timespec) {
    this.context = context;
    this.ino = ino;
    this.#firstSeen = firstSeen;
  }

  /** A node that is being made now, by somebody, in a directory. */
  static fresh(
    context: BranchContext,
    mode: number,
    caller: Caller,
    directory: Inode,
    isDirectory: boolean,
  ): Inode {
    const now = context.clock.now();
    const inode = new Inode(context, context.inos.next(), now);
    const { mountingUser } = context;
    const inheritsGroup = (directory.#session?.permissions ?? 0) & setGroupId;
    const gid = inheritsGroup ? directory.#session?.gid : ownId(caller.gid, mountingUser.gid);
    const uid = ownId(caller.uid, mountingUser.uid);
    inode.#session = {
      permissions: (mode & permissionMask) | (isDirectory ? inheritsGroup : 0),
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
      mtime: now,
      ctime: now,
    };
    return inode;
  }

  get isPristine(): boolean {
    return this.#session === undefined;
  }

  /** The permissions that were set in this session, if any were. */
  get permissions(): number | undefined {
    return this.#session?.permissions;
  }

  /** The content was changed. */
  modified(): void {
    const now = this.context.clock.now();
    const session = this.#sessionAttr();
    session.mtime = now;
    session.ctime = now;
  }

  /** A name or an attribute was changed. */
  changed(): void {
    this.#sessionAttr().ctime = this.context.clock.now();
  }

  /** What it holds was changed by others, in a commit of this time. */
  replaced(time: Timespec): void {
    this.#firstSeen = time;
    if (this.#session === undefined) return;
    this.#session.mtime = time;
    this.#session.ctime = time;
  }

  /** Others have set or cleared the one bit that git has of a file's permissions: the rest stays. */
  setExecutable(isExecutable: boolean): void {
    const permissions = this.permissions;
    if (permissions === undefined || ((permissions & ownerExecutes) !== 0) === isExecutable) return;
    // As `chmod a+X` does: who may read it may execute it.
    const added = ownerExecutes | ((permissions & everybodyReads) >> 2);
    this.#sessionAttr().permissions = isExecutable
      ? permissions | added
      : permissions & ~everybodyExecutes;
  }

  /** The inode of what others have put in the place of this one in a commit of this time: as accessible as this. */
  successor(time: Timespec): Inode {
    const inode = new Inode(this.context, this.context.inos.next(), time);
    const { permissions, uid, gid } = this.#session ?? {};
    inode.#session = {
      ...(permissions !== undefined && { permissions }),
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
    };
    return inode;
  }

  /** Takes over what of a change is about attributes; the size is the node's own affair. */
  setAttr({ mode, uid, gid, atime, mtime }: AttrChange): void {
    const now = this.context.clock.now();
    const session = this.#sessionAttr();
    if (mode !== undefined) session.permissions = mode & permissionMask;
    if (uid !== undefined) session.uid = uid;
    if (gid !== undefined) session.gid = gid;
    if (atime !== undefined) session.atime = atime === 'now' ? now : atime;
    if (mtime !== undefined) session.mtime = mtime === 'now' ? now : mtime;
    session.ctime = now;
  }

  attr({ mode, nlink, sizeBytes, blocks, rdev }: NodeShape): Attr {
    const { owner } = this.context;
    const session = this.#session;
    const mtime = session?.mtime ?? this.#firstSeen;
    return {
      ino: this.ino,
      mode: session?.permissions === undefined ? mode : (mode & typeMask) | session.permissions,
      nlink,
      uid: session?.uid ?? owner.uid,
      gid: session?.gid ?? owner.gid,
      rdev: rdev ?? 0,
      size: sizeBytes,
      blocks,
      atime: session?.atime ?? mtime,
      mtime,
      ctime: session?.ctime ?? mtime,
    };
  }

  addLink(parent: BranchDirectory, name: ByteString): void {
    this.links = [...this.links, { parent, name }];
  }

  removeLink(parent: BranchDirectory, name: ByteString): void {
    this.links = this.links.filter((link) => link.parent !== parent || link.name !== name);
  }

  #sessionAttr(): SessionAttr {
    return (this.#session ??= {});
  }
}

/** The id that a file keeps as its owner's; that of the mounting user shows as everything else does. */
function ownId(callerId: number, mountingId: number): number | undefined {
  return callerId === mountingId ? undefined : callerId;
}
