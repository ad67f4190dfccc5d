import { promisify } from 'node:util';
import { loadKoffi } from './fuse/koffi.ts';
import type { CFunction } from './fuse/koffi.ts';
import type { Log } from './observe/log.ts';

/** By how much the process must have grown for it to be worth looking for what could be given back. */
const growthBytes = 32 * 2 ** 20;
/** Who takes less of a processor than this is at rest. */
const shareAtRest = 0.02;

/**
 * Gives the system back what malloc keeps of memory that was freed. Pieces in use lie between what is
 * free, so glibc by itself gives back the end of its heap alone. It holds the locks of its heap
 * meanwhile, for some 25 ms a 100 MB, which must not come in between when there is something to do.
 */
export class FreedMemory {
  readonly #log: Log;
  /** The least that the process had since it was looked through last. */
  #residentBytes = process.memoryUsage.rss();
  #usage = process.cpuUsage();
  #usageAtMs = performance.now();
  #mallocTrim: CFunction | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Gives memory back when the process has grown much and was at rest since the call before; to be
   * called every few seconds.
   */
  async giveBack(): Promise<void> {
    try {
      const before = process.memoryUsage.rss();
      this.#residentBytes = Math.min(this.#residentBytes, before);
      if (!this.#wasAtRest() || before < this.#residentBytes + growthBytes) return;
      // Until it is done: nobody needs to begin a second time.
      this.#residentBytes = before;
      await this.#trim();
      this.#residentBytes = process.memoryUsage.rss();
      this.#log.debug('memory-given-back', { before, after: this.#residentBytes });
    } catch (error) {
      // Neither koffi nor glibc has to be there, nor a descriptor to ask the system with.
      this.#log.debug('memory-kept', { reason: String(error) });
    }
  }

  /** Calls `malloc_trim(3)` in a thread, so that only who needs memory waits. */
  async #trim(): Promise<void> {
    this.#mallocTrim ??= (await loadKoffi()).load(null).func('malloc_trim', 'int', ['size_t']);
    const call = promisify(this.#mallocTrim.async) as (padBytes: number) => Promise<number>;
    await call(0);
  }

  #wasAtRest(): boolean {
    const { user, system } = process.cpuUsage(this.#usage);
    const nowMs = performance.now();
    const elapsedUs = 1000 * (nowMs - this.#usageAtMs);
    this.#usage = process.cpuUsage();
    this.#usageAtMs = nowMs;
    return user + system < shareAtRest * elapsedUs;
  }
}
