import { LRUCache } from 'lru-cache';
import type { Ino, VfsOperations } from '../vfs/operations.ts';

/**
 * libfuse asks by path, so each operation looks its path up and nobody ever says "forget". An inode
 * that was forgotten at once would come back under another number, and `rm -r`, `find` and `tar`
 * compare numbers; so the last ones stay held.
 */
export class HeldInodes {
  readonly #vfs: VfsOperations;
  readonly #held: LRUCache<Ino, true>;

  constructor(vfs: VfsOperations, limit: number) {
    this.#vfs = vfs;
    this.#held = new LRUCache({
      max: limit,
      dispose: (_held, ino, reason) => {
        if (reason === 'evict') this.#vfs.forget(ino, 1);
      },
    });
  }

  /** Takes over one lookup of an inode. */
  hold(ino: Ino): void {
    if (this.#held.get(ino) === undefined) this.#held.set(ino, true);
    else this.#vfs.forget(ino, 1);
  }
}
