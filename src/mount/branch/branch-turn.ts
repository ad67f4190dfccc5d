import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { mkdir, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bufferFromByteString } from '../../git/byte-string.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { Repository } from '../../git/repository.ts';
import { isNothingThere } from '../../git/system-error.ts';

/** How long to make way for others before each commit. */
const longestWaitMs = 1000;
const lookAgainMs = 5;
/** Whoever has asked for longer was killed, or will not get anywhere. */
const longestTurnMs = 30_000;

/**
 * Makes room on a branch for the mount that is slower than the others on it. Who makes a commit begins
 * again when somebody else has moved the branch meanwhile, so two mounts of which one takes longer
 * for a commit than the other has between two could go on without one of them ever getting anywhere.
 * So who has been too late some times in a row says so by a file, `vost/turns/<hash of the ref>`, and the
 * other mounts wait until it is gone, for a second at most. All of this is advice: nothing depends
 * on it but who comes first.
 */
export class BranchTurn {
  readonly #repository: Repository;
  readonly #path: string;
  #isAsking = false;

  constructor(repository: Repository, ref: RefName) {
    this.#repository = repository;
    const name = createHash('sha1').update(bufferFromByteString(ref)).digest('hex');
    this.#path = join(repository.commonDir, 'vost/turns', name);
  }

  /** Waits while another mount asks for its turn. */
  async makeWay(): Promise<void> {
    const deadlineMs = performance.now() + longestWaitMs;
    while (!this.#isAsking && performance.now() < deadlineMs && (await this.#isWanted())) {
      await sleep(lookAgainMs);
    }
  }

  /** Asks the other mounts to make way until `end`. Two that ask come as it happens. */
  async ask(): Promise<void> {
    this.#isAsking = true;
    await mkdir(dirname(this.#path), { recursive: true });
    await writeFile(this.#path, '');
  }

  /** Does nothing when nothing was asked. */
  async end(): Promise<void> {
    if (!this.#isAsking) return;
    this.#isAsking = false;
    try {
      await unlink(this.#path);
    } catch (error) {
      // Another one that asked has ended first.
      if (!isNothingThere(error)) throw error;
    }
  }

  async #isWanted(): Promise<boolean> {
    const found = await this.#look();
    return found !== undefined && Date.now() - found.mtimeMs < longestTurnMs;
  }

  async #look(): Promise<{ readonly mtimeMs: number } | undefined> {
    const path = this.#path;
    if (this.#repository.recent.look(path)) return statSync(path, { throwIfNoEntry: false });
    try {
      return await stat(path);
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw error;
    }
  }
}
