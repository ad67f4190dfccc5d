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
  /** Those under way. */
  readonly #releases = new Set<Promise<void>>();

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
    const { node, handle } = this.#open.remove(fh);
    const released = this.#close(node, () => handle.release());
    if (!(released instanceof Promise)) return;
    const ended = released.finally(() => this.#releases.delete(ended));
    this.#releases.add(ended);
    return ended;
  }

  /**
   * Lets go of everything that is open, for the mount has ended, and waits for the releases under way, which
   * were asked for before. Gives the errors of all that failed.
   */
  async abandonAll(): Promise<unknown[]> {
    const abandoned = this.#open
      .removeAll()
      .map(async ({ node, handle }) =>
        this.#close(node, () => (handle.abandon ? handle.abandon() : handle.release())),
      );
    const failed: unknown[] = [];
    for (const end of await Promise.allSettled([...abandoned, ...this.#releases])) {
      if (end.status === 'rejected') failed.push(end.reason);
    }
    return failed;
  }

  /** Does what ends a handle, and lets go of its inode then, even when that fails. */
  #close(node: Vnode, end: () => MaybePromise<void>): MaybePromise<void> {
    const drop = (): void => {
      this.#inodes.close(node);
    };
    let ended: MaybePromise<void>;
    try {
      ended = end();
    } catch (error) {
      drop();
      throw error;
    }
    if (ended instanceof Promise) return ended.finally(drop);
    drop();
  }
}
