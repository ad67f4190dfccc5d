import type { FileSizes } from '../file-sizes.ts';
import type { InoAllocator } from './ino-allocator.ts';
import type { InodeTable } from './inode-table.ts';

/** Who owns everything on the mount, unless a node says otherwise. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What all nodes of one mount share. */
export interface NodeContext {
  readonly inos: InoAllocator;
  readonly inodes: InodeTable;
  readonly owner: Owner;
  /** Without it, sizes are asked of the object database. */
  readonly sizes?: FileSizes | undefined;
}
