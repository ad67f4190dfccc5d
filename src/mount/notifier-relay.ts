import type { ByteString } from '../git/byte-string.ts';
import type { Ino, KernelNotifier } from './vfs/operations.ts';

/**
 * Stands for the kernel's notifier until there is one: the filesystem is made before its mount. To be
 * connected before the first request is read: what comes earlier needs no notice, since the kernel has
 * nothing in its caches yet, and what comes later and is lost leaves it with an old answer for ever.
 */
export class NotifierRelay implements KernelNotifier {
  #target: KernelNotifier | undefined;

  connect(target: KernelNotifier): void {
    this.#target = target;
  }

  invalidateInode(ino: Ino): void {
    this.#target?.invalidateInode(ino);
  }

  invalidateEntry(parent: Ino, name: ByteString): void {
    this.#target?.invalidateEntry(parent, name);
  }
}
