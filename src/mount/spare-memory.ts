import { loadKoffi } from './fuse/koffi.ts';
import type { Log } from './observe/log.ts';

/** Less of the processor than this between two looks, in microseconds, is no work. */
const idleCpuUs = 100_000;

/**
 * Gives back to the system what was freed: glibc keeps what lies between pieces that are in use, and
 * after a busy hour that can be as much as everything in use. Done when a daemon has come to rest, and
 * in another thread, for it takes about a millisecond for each mebibyte. Without koffi, and with a C library that has no malloc_trim(3), nothing
 * is given back.
 */
export class SpareMemory {
  readonly #log: Log;
  #cpu = process.cpuUsage();
  #hasWorked = false;
  #state: 'unloaded' | 'loading' | 'failed' | (() => void) = 'unloaded';

  constructor(log: Log) {
    this.#log = log;
  }

  /** To be called every few seconds. */
  look(): void {
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#cpu = process.cpuUsage();
    if (user + system > idleCpuUs) {
      this.#hasWorked = true;
    } else if (this.#hasWorked) {
      this.#hasWorked = false;
      this.#giveBack();
    }
  }

  #giveBack(): void {
    if (typeof this.#state === 'function') this.#state();
    else if (this.#state === 'unloaded') void this.#load();
  }

  async #load(): Promise<void> {
    this.#state = 'loading';
    try {
      const koffi = await loadKoffi();
      const trim = koffi.load(null).func('malloc_trim', 'int', ['size_t']);
      this.#state = () => trim.async(0, () => undefined);
      this.#giveBack();
    } catch (error) {
      this.#state = 'failed';
      this.#log.debug('memory-is-kept', { message: String(error) });
    }
  }
}
