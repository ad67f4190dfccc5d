import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { recordHeaderBytes, recordKinds } from '../fixtures/recording-filesystem.ts';
import { afterEachFile } from './after-file.ts';
import { mountMemory } from './memory-mount.ts';
import { program, programResult } from './program.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** A filesystem on a disk that can be had as a power cut would have left it at any moment of its life. */
export interface RecordedDisk {
  /** Where it is mounted. */
  readonly directory: string;
  /** Open for appending: what is written here stands in the record between what happened to the disk. */
  readonly sayHere: number;
  /** All that was written there so far. */
  said(): string;
  /** What happened so far, when nothing happens any more. */
  record(): DiskRecord;
  unmount(): Promise<void>;
  /** Mounts, at the same place, a copy of the disk in another state. */
  mountCopy(content: Buffer): Promise<void>;
  /** Lets go of the disk itself. */
  end(): Promise<void>;
}

interface Write {
  readonly offset: number;
  readonly data: Buffer;
}

type Step = { readonly written: Write } | { readonly said: string } | 'flushed';

/** What a disk may lose of what it was given since it was last told to flush its cache. */
export type Loss = 'nothing' | 'everything' | 'some';

/** A disk tears no sector, and nothing of what is written here is smaller. */
const sectorBytes = 4096;

/** What a disk was told to do and what was acknowledged meanwhile, in this order. */
export class DiskRecord {
  readonly #steps: readonly Step[];
  readonly #sizeBytes: number;

  constructor(steps: readonly Step[], sizeBytes: number) {
    this.#steps = steps;
    this.#sizeBytes = sizeBytes;
  }

  /** The number of steps. */
  get length(): number {
    return this.#steps.length;
  }

  /** What had been said before a step. */
  said(end = this.length): string {
    const texts = this.#steps
      .slice(0, end)
      .map((step) => (typeof step === 'object' && 'said' in step ? step.said : ''));
    return texts.join('');
  }

  /** What is on the disk when its power is cut before a step. */
  contentAt(end: number, loss: Loss, random: () => number): Buffer {
    const content = Buffer.alloc(this.#sizeBytes);
    const flushed = this.#steps.lastIndexOf('flushed', end - 1);
    for (const [index, step] of this.#steps.slice(0, end).entries()) {
      if (typeof step !== 'object' || !('written' in step)) continue;
      const { offset, data } = step.written;
      for (let at = 0; at < data.length; at += sectorBytes) {
        const isLost = loss === 'everything' || (loss === 'some' && random() < 0.5);
        if (index < flushed || !isLost) data.copy(content, offset + at, at, at + sectorBytes);
      }
    }
    return content;
  }
}

const mounted = new Set<string>();
afterEachFile(async () => {
  for (const directory of mounted) await programResult('umount', ['-l', directory]);
  mounted.clear();
});

/**
 * Makes a disk out of a file in memory, and mounts a fresh filesystem on it.
 *
 * @param format the command that makes one, but for the name of the file
 */
export async function recordedDisk(
  sizeBytes: number,
  format: readonly string[],
): Promise<RecordedDisk> {
  const scratch = await temporaryDirectory();
  const log = join(scratch, 'log');
  const directory = join(scratch, 'disk');
  const copy = join(scratch, 'copy');
  mkdirSync(directory);
  const memory = await mountMemory({ record: log });
  const image = join(memory.mountpoint, 'image');
  const said = join(memory.mountpoint, 'said');
  writeFileSync(image, '');
  truncateSync(image, sizeBytes);
  const [name = '', ...args] = format;
  await program(name, [...args, image]);
  const sayHere = openSync(said, 'a');
  const [imageIno, saidIno] = [image, said].map((path) => statSync(path).ino);
  const mount = async (file: string): Promise<void> => {
    await program('mount', ['-o', 'loop,noatime', file, directory]);
    mounted.add(directory);
  };
  await mount(image);
  return {
    directory,
    sayHere,
    said: () => readFileSync(said, 'utf8'),
    record: () => {
      const steps: Step[] = [];
      for (const { kind, ino, ...written } of recordsIn(readFileSync(log))) {
        if (ino === saidIno) steps.push({ said: written.data.toString() });
        else if (ino === imageIno) steps.push(kind === recordKinds.sync ? 'flushed' : { written });
      }
      return new DiskRecord(steps, sizeBytes);
    },
    unmount: async () => {
      await program('umount', [directory]);
      mounted.delete(directory);
    },
    mountCopy: (content) => {
      writeFileSync(copy, content);
      return mount(copy);
    },
    end: async () => {
      closeSync(sayHere);
      await memory.unmount();
    },
  };
}

function* recordsIn(log: Buffer): Generator<Write & { kind: number; ino: number }> {
  for (let at = 0; at < log.length;) {
    const start = at + recordHeaderBytes;
    const kind = log.readUInt32LE(at);
    const end = start + log.readUInt32LE(at + 4);
    const ino = Number(log.readBigUInt64LE(at + 8));
    yield {
      kind,
      ino,
      offset: Number(log.readBigUInt64LE(at + 16)),
      data: log.subarray(start, end),
    };
    at = end;
  }
}
