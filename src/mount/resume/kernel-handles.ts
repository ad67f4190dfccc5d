import { ErrnoError } from '../vfs/errno.ts';
import type { Fh } from '../vfs/operations.ts';
import { firstNumber } from './resume-journal.ts';

/**
 * Numbers of open files and directories as the kernel has them: those that this daemon gave lie
 * behind those of the daemons before it, files and directories in turns, and those of a dead daemon
 * stand for what was opened again, if it could be.
 */
export class KernelHandles {
  readonly #first: number;
  readonly #resumed = new Map<Fh, Fh>();

  constructor(life: number) {
    this.#first = firstNumber(life);
  }

  kernelsOfFile(fh: Fh): Fh {
    return (this.#first + 2 * fh) as Fh;
  }

  kernelsOfDirectory(fh: Fh): Fh {
    return (this.#first + 2 * fh + 1) as Fh;
  }

  /** What was open under this number of a dead daemon is open here. */
  resumed(number: Fh, fh: Fh): void {
    this.#resumed.set(number, fh);
  }

  /** EIO when what was open died with its daemon. */
  ours(number: Fh): Fh {
    const fh = this.#find(number);
    if (fh === undefined) throw new ErrnoError('EIO', 'what was written here is lost');
    return fh;
  }

  oursIfAny(number: Fh | undefined): Fh | undefined {
    return number === undefined ? undefined : this.ours(number);
  }

  /** For its release; `undefined` when there is nothing to release. */
  take(number: Fh): Fh | undefined {
    const fh = this.#find(number);
    this.#resumed.delete(number);
    return fh;
  }

  #find(number: Fh): Fh | undefined {
    const own = number - this.#first;
    return own < 0 ? this.#resumed.get(number) : (Math.floor(own / 2) as Fh);
  }
}
