import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { endianness } from 'node:os';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { oidFromBytes, oidSizeBytes, oidToBytes } from '../git/oid.ts';
import type { HashAlgorithm, Oid } from '../git/oid.ts';

/** Stands for a size that is not known; no size in the file is as large. */
export const unknownSize = 0xffff_ffff;

const signature = Buffer.from('VOSTSIZ1');
const countSizeBytes = 4;
const checksumSizeBytes = 4;
/** A file that has grown beyond this is begun anew; it holds the trees of four million files. */
const largestFileBytes = 16 * 1024 * 1024;
/** What is not larger is read in a millisecond. */
const quickFileBytes = 256 * 1024;
/** Whoever wants fewer sizes gets them sooner without the file. */
const fewQuestions = 1000;

/** How the file is opened. */
export interface SizesFileOptions {
  readonly path: string;
  readonly algorithm: HashAlgorithm;
  /** Whether what is noted is written, or forgotten. */
  readonly writable: boolean;
  /** Told once why it cannot be written; that costs time and nothing else. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * The sizes of the files of trees, kept from one mount to the next. A signature, then records, of which
 * each has the raw id of a tree, the number of its entries, a size in bytes for each entry (`unknownSize`
 * for what has none), and the CRC-32 of all that; numbers are little endian with 32 bits.
 *
 * Records are only ever appended, each time in one piece, so that several mounts can share the file.
 * What is behind a record that is damaged is not read, and goes when something is written.
 */
export class SizesFile {
  readonly #options: SizesFileOptions;
  #content: SizesContent | undefined;
  #reading: Promise<SizesContent> | undefined;
  #isInUse = false;
  #questions = 0;
  #noted = new Map<Oid, Buffer>();
  #writing: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(options: SizesFileOptions) {
    this.#options = options;
  }

  /** Reads the file, unless that takes long. */
  async open(): Promise<void> {
    const { size } = await stat(this.#options.path).catch(() => ({ size: 0 }));
    if (size <= quickFileBytes) await this.#read();
  }

  /** Whether its content is there; when not, it is read as soon as this was asked often enough. */
  isReady(): boolean {
    this.#isInUse = true;
    if (this.#content === undefined && ++this.#questions >= fewQuestions) void this.#read();
    return this.#content !== undefined;
  }

  /** The sizes of the entries of a tree, when they were noted, and the file is ready. */
  sizesOf(tree: Oid): Uint32Array | undefined {
    return this.#content?.sizesOf(tree);
  }

  /** Takes note of the sizes of all entries of a tree, for the next `keepUp`. */
  note(tree: Oid, sizes: Uint32Array): void {
    if (this.#isWritable && !this.#noted.has(tree)) this.#noted.set(tree, recordOf(tree, sizes));
  }

  /** Writes what was noted, and lets go of what nobody has asked for since the last time. */
  keepUp(): Promise<void> {
    if (!this.#isInUse) this.#forget();
    this.#isInUse = false;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  get #isWritable(): boolean {
    return this.#options.writable && !this.#hasFailed;
  }

  #forget(): void {
    this.#content = this.#reading = undefined;
    this.#questions = 0;
  }

  #read(): Promise<SizesContent> {
    this.#reading ??= this.#readFile().then((bytes) => {
      return (this.#content = new SizesContent(bytes, this.#options.algorithm));
    });
    return this.#reading;
  }

  async #readFile(): Promise<Buffer> {
    try {
      return await readFile(this.#options.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#fail(error);
      return Buffer.alloc(0);
    }
  }

  async #write(): Promise<void> {
    const records = [...this.#noted.values()];
    if (records.length === 0) return;
    this.#noted.clear();
    const { path } = this.#options;
    try {
      await mkdir(dirname(path), { recursive: true });
      const { bytes, endOffset } = await this.#read();
      // What cannot be read is somebody else's, and stays.
      if (!this.#isWritable) return;
      const sizeBytes = records.reduce((sum, { length }) => sum + length, endOffset);
      const isWhole = endOffset === bytes.length && endOffset > 0;
      if (isWhole && sizeBytes <= largestFileBytes) await append(path, Buffer.concat(records));
      else {
        const kept =
          sizeBytes <= largestFileBytes ? bytes.subarray(signature.length, endOffset) : [];
        await replace(path, Buffer.concat([signature, Buffer.from(kept), ...records]));
      }
      // A tree that comes again is not to be noted again.
      this.#forget();
      await this.open();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#noted.clear();
    this.#options.onFailure(error);
  }
}

/** What a file held when it was read. */
class SizesContent {
  readonly bytes: Buffer;
  /** Where the last record ends that is whole. */
  readonly endOffset: number;
  readonly #oidSizeBytes: number;
  /** Where the record of a tree begins, by the first six bytes of its id. */
  readonly #offsets = new Map<number, number>();

  constructor(bytes: Buffer, algorithm: HashAlgorithm) {
    this.bytes = bytes;
    this.#oidSizeBytes = oidSizeBytes[algorithm];
    this.endOffset = this.#scan();
  }

  sizesOf(tree: Oid): Uint32Array | undefined {
    const raw = oidToBytes(tree);
    const start = this.#offsets.get(keyOf(raw, 0));
    if (start === undefined) return undefined;
    const oidEnd = start + this.#oidSizeBytes;
    if (oidFromBytes(this.bytes, start, this.#oidSizeBytes) !== tree) return undefined;
    const sizes = new Uint32Array(this.bytes.readUInt32LE(oidEnd));
    const copy = Buffer.from(sizes.buffer);
    this.bytes.copy(copy, 0, oidEnd + countSizeBytes);
    if (endianness() === 'BE') copy.swap32();
    return sizes;
  }

  #scan(): number {
    const { bytes } = this;
    if (!bytes.subarray(0, signature.length).equals(signature)) return 0;
    let start = signature.length;
    for (;;) {
      const first = start + this.#oidSizeBytes + countSizeBytes;
      if (first > bytes.length) return start;
      const end = first + 4 * bytes.readUInt32LE(first - countSizeBytes);
      if (end + checksumSizeBytes > bytes.length) return start;
      if (crc32(bytes.subarray(start, end)) !== bytes.readUInt32LE(end)) return start;
      this.#offsets.set(keyOf(bytes, start), start);
      start = end + checksumSizeBytes;
    }
  }
}

function keyOf(bytes: Buffer, start: number): number {
  return bytes.readUIntBE(start, 6);
}

function recordOf(tree: Oid, sizes: Uint32Array): Buffer {
  const raw = oidToBytes(tree);
  const end = raw.length + countSizeBytes + 4 * sizes.length;
  const record = Buffer.alloc(end + checksumSizeBytes);
  raw.copy(record);
  record.writeUInt32LE(sizes.length, raw.length);
  for (const [index, size] of sizes.entries()) {
    record.writeUInt32LE(size, raw.length + countSizeBytes + 4 * index);
  }
  record.writeUInt32LE(crc32(record.subarray(0, end)), end);
  return record;
}

async function append(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'a');
  try {
    await file.write(bytes);
  } finally {
    await file.close();
  }
}

async function replace(path: string, bytes: Buffer): Promise<void> {
  const temporary = `${path}.${process.pid}`;
  try {
    await writeFile(temporary, bytes, { flag: 'wx' });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
