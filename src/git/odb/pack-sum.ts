import { Worker } from 'node:worker_threads';
import type { HashAlgorithm } from '../oid.ts';

/** What a pack and its only entry are checked by. */
export interface PackSums {
  /** The checksum over all of the pack (gitformat-pack). */
  readonly checksum: Buffer;
  /** The CRC-32 of what stands behind the header, for the index. */
  readonly crc32: number;
}

/** What the thread is to sum up. */
interface Task {
  readonly fd: number;
  readonly algorithm: HashAlgorithm;
  readonly header: Uint8Array;
}

interface Answer {
  readonly checksum: Uint8Array;
  readonly crc32: number;
}

// What is told at a time, for that takes longer than to read a little.
const stepBytes = 4 * 1024 * 1024;

/**
 * The sums of a pack with one entry, taken by a thread of its own that reads the file behind whoever
 * writes it. Until `finish` or `stop` the file must stay open.
 */
export class PackSum {
  readonly #thread: Worker | undefined;
  readonly #answer: Promise<Answer | undefined>;
  #toldBytes = 0;

  /** For a file in which the header, of the size of this one, is still to be written. */
  constructor(task: Task) {
    const thread = startThread(task);
    this.#thread = thread;
    this.#answer = new Promise((resolve) => {
      if (thread === undefined) {
        resolve(undefined);
        return;
      }
      thread.once('message', resolve);
      // Who comes to the file next finds out what is wrong with it.
      thread.once('error', () => resolve(undefined));
      thread.once('exit', () => resolve(undefined));
    });
  }

  /** Says up to where the file is written. */
  wroteUpTo(end: number): void {
    if (end - this.#toldBytes < stepBytes) return;
    this.#toldBytes = end;
    this.#thread?.postMessage(end);
  }

  /** The sums of the file up to here; `undefined` where it cannot be read, or there is no thread to be had. */
  async finish(end: number): Promise<PackSums | undefined> {
    this.#thread?.postMessage(end);
    this.#thread?.postMessage('finish');
    const answer = await this.#answer;
    await this.stop();
    return answer && { checksum: Buffer.from(answer.checksum), crc32: answer.crc32 };
  }

  /** Leaves the file alone from now on. */
  async stop(): Promise<void> {
    await this.#thread?.terminate();
  }
}

/** Not a file of its own, for nothing else here has to be found by its path: the function as it was compiled. */
function startThread(task: Task): Worker | undefined {
  try {
    return new Worker(`(${sumUp.toString()})()`, { eval: true, execArgv: [], workerData: task });
  } catch {
    // Too many of them, or none are allowed: whoever asks for sums does without.
    return undefined;
  }
}

/** What the thread does. It gets nothing of what stands around it here. */
function sumUp(): void {
  const threads = process.getBuiltinModule('node:worker_threads');
  const { readSync } = process.getBuiltinModule('node:fs');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const zlib = process.getBuiltinModule('node:zlib');
  const { fd, algorithm, header } = threads.workerData as Task;
  const hash = createHash(algorithm).update(header);
  // What was read is still near the processor when it is summed up.
  const buffer = Buffer.allocUnsafeSlow(256 * 1024);
  let position = header.length;
  let crc32 = 0;
  const readUpTo = (end: number): void => {
    while (position < end) {
      const length = Math.min(buffer.length, end - position);
      const bytesRead = readSync(fd, buffer, 0, length, position);
      if (bytesRead === 0) throw new Error('the file has been cut off');
      const part = buffer.subarray(0, bytesRead);
      hash.update(part);
      crc32 = zlib.crc32(part, crc32);
      position += bytesRead;
    }
  };
  threads.parentPort?.on('message', (said: number | 'finish') => {
    if (said === 'finish') threads.parentPort?.postMessage({ checksum: hash.digest(), crc32 });
    else readUpTo(said);
  });
}
