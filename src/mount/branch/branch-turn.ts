import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { bufferFromByteString } from '../../git/byte-string.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { Repository } from '../../git/repository.ts';
import { systemErrorCode, withoutRightOrRoom } from '../../git/system-error.ts';

/** How long to make way for others before each commit. */
const longestWaitMs = 1000;
const lookAgainMs = 5;
/** Whoever has not asked again for so long was killed. */
const longestTurnMs = 10_000;

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
    await whereItCan(async () => {
      await mkdir(dirname(this.#path), { recursive: true });
      await writeFile(this.#path, '');
    });
  }

  /** Does nothing when nothing was asked. */
  async end(): Promise<void> {
    if (!this.#isAsking) return;
    this.#isAsking = false;
    await whereItCan(() => rm(this.#path, { force: true }));
  }

  async #isWanted(): Promise<boolean> {
    const found = await this.#repository.disk.stat(this.#path);
    return found !== undefined && Date.now() - Number(found.mtimeMs) < longestTurnMs;
  }
}

/** A commit must not fail because its mount may not ask here, or has no room to. */
async function whereItCan(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!withoutRightOrRoom.has(systemErrorCode(error))) throw error;
  }
}
