import type { Tree } from '../../git/object.ts';
import type { Oid } from '../../git/oid.ts';
import type { InoAllocator } from './ino-allocator.ts';
import type { InodeTable } from './inode-table.ts';
import type { MaybePromise } from './operations.ts';

/** Who owns everything on the mount, unless a node says otherwise. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The sizes of files and links, by their place in the tree of an id. */
export interface SizesByTree {
  at(treeOid: Oid, tree: Tree, index: number): MaybePromise<number>;
  /** `at` as far as it needs no disk; `undefined` too where that would fail. */
  atOnce(treeOid: Oid, tree: Tree, index: number): number | undefined;
}

/** What all nodes of one mount share. */
export interface NodeContext {
  readonly inos: InoAllocator;
  readonly inodes: InodeTable;
  readonly owner: Owner;
  /** Without it, sizes are asked of the object database. */
  readonly sizes?: SizesByTree;
}
