import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '../../errors.ts';

/** Where content waits that is too big for memory. Made when first needed, for this user alone. */
export class SpoolDirectory {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes sure that files can be made there, or throws an `InvalidArgumentError` that says why not. */
  async prepare(): Promise<void> {
    try {
      await (await this.create()).close();
    } catch (cause) {
      const path = this.#path;
      const message = `content cannot wait in ${path}: ${String(cause)}; name another directory for it`;
      throw new InvalidArgumentError(message, { path, cause });
    }
  }

  /** A fresh empty file, which has no name: it is gone when it is closed, or when the daemon ends in any way. */
  async create(): Promise<SpoolFile> {
    await mkdir(this.#path, { recursive: true, mode: 0o700 });
    const path = join(this.#path, `vost-spool-${process.pid}-${randomBytes(8).toString('hex')}`);
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      await unlink(path);
    } catch (error) {
      await file.close();
      throw error;
    }
    return new SpoolFile(file);
  }
}

/** Bytes of a big file on disk, each at its offset in the file; what was never written takes no room. */
export class SpoolFile {
  readonly #file: FileHandle;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    for (let done = 0; done < data.length;) {
      const { bytesWritten } = await this.#file.write(
        data,
        done,
        data.length - done,
        offset + done,
      );
      done += bytesWritten;
    }
  }

  /** Fills the target; what the file does not hold is zero. */
  async readInto(target: Buffer, offset: number): Promise<void> {
    for (let done = 0; done < target.length;) {
      const { bytesRead } = await this.#file.read(
        target,
        done,
        target.length - done,
        offset + done,
      );
      if (bytesRead === 0) {
        target.fill(0, done);
        return;
      }
      done += bytesRead;
    }
  }

  async truncate(size: number): Promise<void> {
    const { size: sizeBytes } = await this.#file.stat();
    if (size < sizeBytes) await this.#file.truncate(size);
  }

  /** Waits for what is being read and written, then lets go of the disk space. */
  async close(): Promise<void> {
    await this.#file.close();
  }
}
