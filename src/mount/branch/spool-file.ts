import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '../../errors.ts';
import { readFully, writeFully } from '../../git/read-write-fully.ts';
import type { BufferPool } from '../vfs/buffer-pool.ts';
import type { MemoryBudget } from './memory-budget.ts';

/** Where bytes are kept that are on their way to the disk. */
export interface SpoolMemory {
  readonly memory: MemoryBudget;
  readonly copies: BufferPool;
}

/** Where content waits that is too big for memory. Made when first needed, for this user alone. */
export class SpoolDirectory {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes sure that files can be made there, or throws an `InvalidArgumentError` that says why not. */
  async prepare(): Promise<void> {
    try {
      await (await this.#createUnnamed()).close();
    } catch (cause) {
      const path = this.#path;
      const message = `content cannot wait in ${path}: ${String(cause)}; name another directory for it`;
      throw new InvalidArgumentError(message, { path, cause });
    }
  }

  /** A fresh empty file, which has no name: it is gone when it is closed, or when the daemon ends in any way. */
  async create(memory: SpoolMemory): Promise<SpoolFile> {
    return new SpoolFile(await this.#createUnnamed(), memory);
  }

  async #createUnnamed(): Promise<FileHandle> {
    await mkdir(this.#path, { recursive: true, mode: 0o700 });
    const path = join(this.#path, `vost-spool-${process.pid}-${randomBytes(8).toString('hex')}`);
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      await unlink(path);
    } catch (error) {
      await file.close();
      throw error;
    }
    return file;
  }
}

/** A part of a file that is on its way to the disk. */
interface PartUnderWay {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** How much of a file may be on its way to the disk when a write is answered. */
const mostUnderWayBytes = 4 * 1024 * 1024;

/**
 * Bytes of a big file on disk, each at its offset in the file; what was never written takes no room.
 * Some of them may be on their way still, as with a file of any disk: they go in the order in which they
 * came, and are read from here until then. What the disk does not take stays here, and is tried again with
 * the next change, which fails when that is in vain.
 */
export class SpoolFile {
  readonly #file: FileHandle;
  readonly #memory: SpoolMemory;
  readonly #underWay: PartUnderWay[] = [];
  #underWayBytes = 0;
  /** How many parts the disk has taken. */
  #arrived = 0;
  #writing: Promise<void> | undefined;
  #hasFailed = false;

  constructor(file: FileHandle, memory: SpoolMemory) {
    this.#file = file;
    this.#memory = memory;
  }

  /**
   * Takes bytes in several parts, which are only lent, and lets the disk have them soon; `false` where it
   * has to catch up first.
   */
  accept(offset: number, parts: readonly Uint8Array[]): boolean {
    const { memory, copies } = this.#memory;
    const sizeBytes = parts.reduce((sum, { length }) => sum + length, 0);
    if (this.#hasFailed || this.#underWayBytes + sizeBytes > mostUnderWayBytes) return false;
    if (!memory.take(sizeBytes)) return false;
    const bytes = copies.take(sizeBytes);
    let filled = 0;
    for (const part of parts) {
      bytes.set(part, filled);
      filled += part.length;
    }
    this.#underWay.push({ offset, bytes });
    this.#underWayBytes += sizeBytes;
    // Who comes next finds out: what has failed is tried again.
    this.#caughtUp().catch(() => undefined);
    return true;
  }

  /** Returns when the disk has the bytes. */
  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#caughtUp();
    await writeFully(this.#file, data, offset);
  }

  /** Fills the target; what the file does not hold is zero. */
  async readInto(target: Buffer, offset: number): Promise<void> {
    const end = offset + target.length;
    const partsHere = (): PartUnderWay[] =>
      this.#underWay.filter(
        (part) => part.offset < end && part.offset + part.bytes.length > offset,
      );
    let mayHaveMissed = true;
    while (mayHaveMissed) {
      const isHere = partsHere().length > 0;
      const arrived = this.#arrived;
      const { length } = await readFully(this.#file, offset, target.length, target);
      target.fill(0, length);
      mayHaveMissed = isHere && arrived !== this.#arrived;
    }
    // A later one may stand over an earlier one.
    for (const { offset: start, bytes } of partsHere()) {
      const cut = Math.max(0, offset - start);
      bytes.copy(target, start + cut - offset, cut, Math.min(bytes.length, end - start));
    }
  }

  async truncate(size: number): Promise<void> {
    await this.#caughtUp();
    const { size: sizeBytes } = await this.#file.stat();
    if (size < sizeBytes) await this.#file.truncate(size);
  }

  /** Waits for what is being read and written, then lets go of the disk space. */
  async close(): Promise<void> {
    await this.#caughtUp().catch(() => undefined);
    for (const part of this.#underWay.splice(0)) this.#giveBack(part);
    await this.#file.close();
  }

  /** Waits until the disk has all. */
  async #caughtUp(): Promise<void> {
    // More may come meanwhile.
    while (this.#underWay.length > 0) {
      this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
      await this.#writing;
    }
  }

  async #writeAll(): Promise<void> {
    for (let part = this.#underWay[0]; part !== undefined; part = this.#underWay[0]) {
      try {
        await writeFully(this.#file, part.bytes, part.offset);
      } catch (error) {
        this.#hasFailed = true;
        throw error;
      }
      this.#hasFailed = false;
      this.#underWay.shift();
      this.#arrived += 1;
      this.#giveBack(part);
    }
  }

  #giveBack({ bytes }: PartUnderWay): void {
    const { memory, copies } = this.#memory;
    this.#underWayBytes -= bytes.length;
    memory.give(bytes.length);
    copies.give(bytes);
  }
}
