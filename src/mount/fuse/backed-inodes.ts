import type { Log } from '../observe/log.ts';
import type { Ino } from '../vfs/operations.ts';
import type { BackingDevice } from './backing-device.ts';

/** An inode that is open. */
interface OpenInode {
  handles: number;
  /** The kernel's number of the file that it reads from; `undefined` when it asks us. */
  readonly backingId: number | undefined;
}

/**
 * Which inodes the kernel reads by itself. All handles that an inode has at a time must be of one
 * kind, or the open fails with EIO (fs/fuse/iomode.c); so the first one decides, until the last one
 * is released. Where it does not work, which the first attempt tells, the kernel asks us as ever.
 */
export class BackedInodes {
  readonly #load: () => Promise<BackingDevice>;
  readonly #log: Log;
  readonly #open = new Map<Ino, OpenInode>();
  #device: BackingDevice | undefined;
  #state: 'unloaded' | 'loading' | 'ready' | 'failed' = 'unloaded';

  /** `load` is called when a file is opened that could be handed over at some time. */
  constructor(load: () => Promise<BackingDevice>, log: Log) {
    this.#load = load;
    this.#log = log;
  }

  /**
   * Counts a handle, and gives the number of the file that the kernel reads it from; `undefined`
   * when there is none. `backing` gives the descriptor of a file with the content, if there is one.
   */
  opened(ino: Ino, backing: () => number | undefined): number | undefined {
    const known = this.#open.get(ino);
    if (known !== undefined) {
      known.handles += 1;
      return known.backingId;
    }
    const backingId = this.#handOver(backing);
    this.#open.set(ino, { handles: 1, backingId });
    return backingId;
  }

  /** A handle was released; does nothing for inodes that were not told of. */
  released(ino: Ino): void {
    const known = this.#open.get(ino);
    if (known === undefined) return;
    known.handles -= 1;
    if (known.handles > 0) return;
    this.#open.delete(ino);
    const { backingId } = known;
    if (backingId !== undefined) this.#attempt((device) => device.close(backingId));
  }

  #handOver(backing: () => number | undefined): number | undefined {
    if (this.#state === 'unloaded') void this.#begin();
    const descriptor = this.#state === 'ready' ? backing() : undefined;
    if (descriptor === undefined) return undefined;
    return this.#attempt((device) => device.open(descriptor));
  }

  async #begin(): Promise<void> {
    this.#state = 'loading';
    try {
      this.#device = await this.#load();
      this.#state = 'ready';
    } catch (error) {
      this.#fail(error);
    }
  }

  #attempt<T>(action: (device: BackingDevice) => T): T | undefined {
    try {
      return this.#device && action(this.#device);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    this.#state = 'failed';
    this.#log.debug('no-passthrough', { reason: String(error) });
  }
}
