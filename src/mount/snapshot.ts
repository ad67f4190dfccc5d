import type { ByteString } from '../git/byte-string.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { ErrnoError } from './vfs/errno.ts';
import type { NodeContext } from './vfs/node-context.ts';
import { forever } from './vfs/operations.ts';
import type { Timespec } from './vfs/operations.ts';
import type { CacheRule } from './vfs/vnode.ts';

/** The part of the object database that snapshots are read from. */
export type SnapshotObjects = Pick<
  ObjectDatabase,
  | 'header'
  | 'headerIfCached'
  | 'read'
  | 'readIfCached'
  | 'readRange'
  | 'spooledFile'
  | 'tree'
  | 'treeIfCached'
>;

/** What all nodes of one snapshot share. */
export interface Snapshot {
  readonly context: NodeContext;
  readonly odb: SnapshotObjects;
  /** What every node shows as its times: when the snapshot was committed. */
  readonly time: Timespec;
  /** The commit; none for a tag of a tree. */
  readonly commit?: Oid;
  /** The tag by which the snapshot was found. */
  readonly ref?: RefName | undefined;
}

/** What is under a hash stays so: the kernel may keep everything, and for ever. */
export const snapshotCache: CacheRule = {
  entriesValidSec: forever,
  attrValidSec: forever,
  keepListing: true,
};

const oidName = 'user.vost.oid' as ByteString;
const commitName = 'user.vost.commit' as ByteString;
const refName = 'user.vost.ref' as ByteString;

/** The extended attributes that the nodes of a snapshot have. */
export function snapshotXattrNames({ commit, ref }: Snapshot): ByteString[] {
  const names = [oidName];
  if (commit !== undefined) names.push(commitName);
  if (ref !== undefined) names.push(refName);
  return names;
}

/** The value of an extended attribute of a node whose object is `oid`; ENODATA when it has none of that name. */
export function snapshotXattr({ commit, ref }: Snapshot, oid: Oid, name: ByteString): Uint8Array {
  const values = new Map<ByteString, string | undefined>([
    [oidName, oid],
    [commitName, commit],
    [refName, ref],
  ]);
  const value = values.get(name);
  if (value === undefined) throw new ErrnoError('ENODATA');
  return Buffer.from(value, 'latin1');
}
