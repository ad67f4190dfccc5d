import { HandleTable } from './handles.ts';
import type { InodeTable } from './inode-table.ts';
import type { Fh, MaybePromise, OpenReply } from './operations.ts';
import type { FileHandle, Vnode } from './vnode.ts';

interface OpenFile {
  readonly node: Vnode;
  readonly handle: FileHandle;
}

/** The open files of a mount. Each holds its inode until it is released. */
export class OpenFiles {
  readonly #inodes: InodeTable;
  readonly #open = new HandleTable<OpenFile>();

  constructor(inodes: InodeTable) {
    this.#inodes = inodes;
  }

  get size(): number {
    return this.#open.size;
  }

  open(node: Vnode, handle: FileHandle): OpenReply {
    const fh = this.#open.add({ node: this.#inodes.open(node), handle });
    const { keepCache, noFlush, directIo = false, firstContent, backing } = handle;
    return {
      ...{ fh, keepCache, noFlush, directIo },
      ...(firstContent && { firstContent }),
      ...(backing && { backing }),
    };
  }

  /** EBADF when nothing is open under this number. */
  get(fh: Fh | undefined): FileHandle {
    return this.#open.get(fh).handle;
  }

  release(fh: Fh): MaybePromise<void> {
    return this.#release(this.#open.remove(fh));
  }

  /** Releases everything; gives the errors of those that failed. */
  async releaseAll(): Promise<unknown[]> {
    const releases = this.#open.removeAll().map(async (file) => this.#release(file));
    const failed: unknown[] = [];
    for (const release of await Promise.allSettled(releases)) {
      if (release.status === 'rejected') failed.push(release.reason);
    }
    return failed;
  }

  #release({ node, handle }: OpenFile): MaybePromise<void> {
    const drop = (): void => {
      this.#inodes.close(node);
    };
    let released: MaybePromise<void>;
    try {
      released = handle.release();
    } catch (error) {
      drop();
      throw error;
    }
    if (released instanceof Promise) return released.finally(drop);
    drop();
  }
}
