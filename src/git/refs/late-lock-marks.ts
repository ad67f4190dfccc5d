import type { ByteString } from '../byte-string.ts';
import type { Disk } from '../disk.ts';
import { createUnmarked, LockMarks, makeMarksDirectory } from './lock-marks.ts';
import type { LockMaker, MarkedFile } from './lock-marks.ts';

/**
 * `LockMarks` that are opened with the first lock, or when there is time: nothing is locked by who only
 * looks, and a mount answers sooner.
 */
export class LateLockMarks implements LockMaker {
  readonly #commonDir: string;
  readonly #disk: Disk;
  #opening: Promise<LockMarks | undefined> | undefined;

  private constructor(commonDir: string, disk: Disk) {
    this.#commonDir = commonDir;
    this.#disk = disk;
  }

  /** Fails as the system does where locks could not be marked, for the repository cannot be written. */
  static async prepare(commonDir: string, disk: Disk): Promise<LateLockMarks> {
    await makeMarksDirectory(commonDir, disk);
    return new LateLockMarks(commonDir, disk);
  }

  /** See `LockMarks.open`; what failed is tried again the next time. */
  open(): Promise<LockMarks | undefined> {
    this.#opening ??= LockMarks.open(this.#commonDir, this.#disk).catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  async create(path: ByteString): Promise<MarkedFile> {
    const marks = await this.open();
    return marks?.create(path) ?? createUnmarked(path, this.#disk);
  }

  /** No lock is held any more, and none will be marked. Without a lock, too, those of the killed are gone then. */
  async close(): Promise<void> {
    const opening = this.open();
    this.#opening = Promise.resolve(undefined);
    const marks = await opening.catch(() => undefined);
    await marks?.close();
  }
}
