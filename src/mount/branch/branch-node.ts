import type { ByteString } from '../../git/byte-string.ts';
import type { Oid } from '../../git/oid.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { forever } from '../vfs/operations.ts';
import type { CacheRule } from '../vfs/vnode.ts';
import type { BranchDirectory } from './branch-directory.ts';
import type { BranchFile } from './branch-file.ts';
import type { BranchSpecial } from './branch-special.ts';
import type { BranchSubmodule } from './branch-submodule.ts';
import type { BranchSymlink } from './branch-symlink.ts';
import type { Inode } from './inode.ts';

/** Whatever a name in a branch can lead to. */
export type BranchNode =
  BranchDirectory | BranchFile | BranchSymlink | BranchSpecial | BranchSubmodule;

/** What the nodes of a branch tell it, and ask of it. */
export interface Branch {
  readonly ref: RefName;
  /** The commit that the working tree is based on. */
  readonly tip: Oid;
  /** Others have deleted the branch, or it was removed through the mount. */
  readonly isGone: boolean;
  /** ESTALE when it is gone. */
  requireWritable(): void;
  /** Something changed that a commit has to take. */
  changed(): void;
  /** Resolved when everything that was stored by now is on stable storage, in a commit as a rule. */
  durable(): Promise<void>;
  /** The same, and when the branch is done with that: its status tells of it. */
  sync(): Promise<void>;
  /** Throws what a commit has met since this was asked last. */
  throwCommitError(): void;
  /** Throws why a closed file could not be stored, if there is one. */
  throwUnstored(): void;
  /** A closed file could not be stored: it keeps its content in its buffer, to be tried again. */
  storeLater(file: BranchFile, error: unknown): void;
  /** A path was changed here and outside; the mount's content stays. */
  recordConflict(path: ByteString): void;
}

/** The kernel may keep what it was told: it makes the changes itself, or is notified of them. */
export const branchCache: CacheRule = {
  entriesValidSec: forever,
  attrValidSec: forever,
  keepListing: true,
};

const commitName = 'user.vost.commit' as ByteString;
const oidName = 'user.vost.oid' as ByteString;
const refName = 'user.vost.ref' as ByteString;
const stateName = 'user.vost.state' as ByteString;

/** The extended attributes of every node of a branch. */
export const branchXattrNames: readonly ByteString[] = [commitName, oidName, refName, stateName];

/** What the extended attributes tell about a node. */
export interface XattrSource {
  /** `undefined` for a node without a name. */
  readonly branch: Branch | undefined;
  /** What git has or will have for it; `undefined` when that is not known before the commit. */
  readonly oid: Oid | undefined;
  /** `dirty`: written to, and not closed since. */
  readonly state: 'committed' | 'staged' | 'dirty';
}

/** The value of an extended attribute; ENODATA when there is none of this name. */
export function branchXattr(name: ByteString, { branch, oid, state }: XattrSource): Uint8Array {
  const values = new Map<ByteString, string | undefined>([
    [commitName, branch?.tip],
    [oidName, oid],
    [refName, branch?.ref],
    [stateName, state],
  ]);
  const value = values.get(name);
  if (value === undefined) throw new ErrnoError('ENODATA');
  return Buffer.from(value, 'latin1');
}

/** What a file or link is the name of, and whether that name waits for a commit. */
export function xattrSource({ links }: Inode, oid: Oid | undefined): XattrSource {
  const [link] = links;
  const isStaged = link === undefined || link.parent.names.pending.has(link.name);
  return { branch: link?.parent.branch, oid, state: isStaged ? 'staged' : 'committed' };
}
