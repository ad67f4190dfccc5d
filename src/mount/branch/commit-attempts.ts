import type { StagingArea } from '../../git/odb/staging-area.ts';
import type { Oid } from '../../git/oid.ts';
import type { Log } from '../observe/log.ts';

/** With so much that waits to be forgotten, no attempt begins until it is. */
const mostAbandoned = 1000;

/**
 * The attempts of all branches at commits, and the trees and commits that those have staged which came
 * to nothing because others had moved the branch. The staging area has to forget these, or a mount beside
 * busy writers would fill the disk. It cannot while another attempt is under way: that may have found the
 * same tree staged, and counts on it.
 */
export class CommitAttempts {
  readonly #staging: StagingArea;
  readonly #log: Log;
  readonly #abandoned = new Set<Oid>();
  #underWay = 0;
  /** Set while no attempt may begin. */
  #pause: { readonly ended: Promise<void>; readonly end: () => void } | undefined;

  constructor(staging: StagingArea, log: Log) {
    this.#staging = staging;
    this.#log = log;
  }

  /** Runs an attempt, which tells what it has staged in vain. */
  async run<T>(attempt: (abandon: (oids: Iterable<Oid>) => void) => Promise<T>): Promise<T> {
    while (this.#pause !== undefined) await this.#pause.ended;
    this.#underWay += 1;
    try {
      return await attempt((oids) => {
        for (const oid of oids) this.#abandoned.add(oid);
        if (this.#abandoned.size > mostAbandoned) this.#beginPause();
      });
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0 && this.#abandoned.size > 0) await this.#forget();
    }
  }

  async #forget(): Promise<void> {
    this.#beginPause();
    const oids = [...this.#abandoned];
    this.#abandoned.clear();
    try {
      await this.#staging.release(oids);
    } catch (error) {
      this.#log.warn('release-failed', { message: String(error) });
    } finally {
      const pause = this.#pause;
      this.#pause = undefined;
      pause?.end();
    }
  }

  #beginPause(): void {
    if (this.#pause !== undefined) return;
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    this.#pause = { ended, end };
  }
}
