import { HandleTable } from './handles.ts';
import type { InodeTable } from './inode-table.ts';
import { isListingBegin } from './listing.ts';
import type { Fh, MaybePromise, OpenReply } from './operations.ts';
import type { DirectoryStream, DirectoryVnode } from './vnode.ts';

interface OpenDirectory {
  readonly node: DirectoryVnode;
  stream: MaybePromise<DirectoryStream> | undefined;
}

/** The open directories of a mount. Each holds its inode until it is released. */
export class OpenDirectories {
  readonly #inodes: InodeTable;
  readonly #open = new HandleTable<OpenDirectory>();

  constructor(inodes: InodeTable) {
    this.#inodes = inodes;
  }

  get size(): number {
    return this.#open.size;
  }

  open(node: DirectoryVnode): OpenReply {
    this.#inodes.open(node);
    const fh = this.#open.add({ node, stream: undefined });
    const keep = node.cache.keepListing === true;
    return { fh, keepCache: keep, cacheDirectory: keep };
  }

  /**
   * The names that a handle goes through: begun by its first readdir, and anew by each that starts
   * at offset 0, as after rewinddir(3). EBADF when nothing is open under this number.
   */
  stream(fh: Fh | undefined, offset: number): MaybePromise<DirectoryStream> {
    const open = this.#open.get(fh);
    if (open.node.hasLastingPositions) return open.node.entries(isListingBegin(offset));
    if (offset === 0 || open.stream === undefined) return begin(open);
    return open.stream;
  }

  release(fh: Fh): void {
    this.#inodes.close(this.#open.remove(fh).node);
  }

  releaseAll(): void {
    for (const { node } of this.#open.removeAll()) this.#inodes.close(node);
  }
}

function begin(open: OpenDirectory): MaybePromise<DirectoryStream> {
  const stream = open.node.entries(true);
  open.stream = stream;
  if (!(stream instanceof Promise)) return stream;
  // Once begun, later calls go on without waiting; after an error, the next one tries again.
  const settle = (value: DirectoryStream | undefined): void => {
    if (open.stream === stream) open.stream = value;
  };
  return stream.then(
    (value) => {
      settle(value);
      return value;
    },
    (error: unknown) => {
      settle(undefined);
      throw error;
    },
  );
}
