import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';

// A program: writes files into DIRECTORY until it is ended or the file STOP is there, in the way that
// SEED says, and prints a line of JSON for each thing that an fsync has acknowledged.

/** What must be found after a crash. */
export interface Acknowledgement {
  readonly kind: 'file' | 'record' | 'rewrite' | 'leaving' | 'gone';
  readonly path: string;
  /**
   * Of a file: the SHA-1 of its content. Of records and rewrites: the highest number written. What is
   * leaving may be there or not.
   */
  readonly value?: string | number;
}

/** Of what a step has made, so many steps are kept, so that it does not matter how long this lasts. */
const keptSteps = 20;
/** So many steps are recorded in one file. */
const recordedSteps = 1000;

export function contentOf(seed: number, sizeBytes: number): Buffer {
  const content = Buffer.alloc(sizeBytes);
  let state = seed | 1;
  for (let at = 0; at < sizeBytes; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    content.writeInt32LE(state, Math.min(at, Math.max(0, sizeBytes - 4)));
  }
  return content;
}

function acknowledge(acknowledgement: Acknowledgement): void {
  fs.writeSync(1, `${JSON.stringify(acknowledgement)}\n`);
}

function syncDirectory(path: string): void {
  const fd = fs.openSync(path, 'r');
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

/**
 * Node's own `recursive` looks at the path once more after an error, which the kernel answers with what it
 * knew before the crash, and throws ENOENT.
 */
function makeDirectory(path: string): void {
  try {
    fs.mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Takes away what a step has made; it is gone for good when this returns. */
function remove(path: string): void {
  acknowledge({ kind: 'leaving', path });
  fs.unlinkSync(path);
  syncDirectory(dirname(path));
  acknowledge({ kind: 'gone', path });
}

function run(directory: string, seed: number, stop: string): void {
  fs.mkdirSync(directory, { recursive: true });
  const subdirectoryFile = (step: number): string =>
    join(directory, `sub-${step % 5}`, `file-${step}`);
  const renamedFile = (step: number): string => join(directory, `renamed-${step}`);
  const recordsFile = (step: number): string =>
    join(directory, `records-${Math.floor(step / recordedSteps)}`);
  let records: { readonly path: string; readonly fd: number } | undefined;
  for (let step = 1; !fs.existsSync(stop); step++) {
    while (fs.existsSync(`${stop}-rest`)) pause(10);
    const content = contentOf(seed * 100_000 + step, 8 + ((step * 7919 * seed) % 60_000));
    const digest = createHash('sha1').update(content).digest('hex');
    switch (step % 4) {
      case 0: {
        const path = subdirectoryFile(step);
        makeDirectory(dirname(path));
        const fd = fs.openSync(path, 'w');
        fs.writeSync(fd, content);
        fs.fsyncSync(fd);
        fs.closeSync(fd);
        acknowledge({ kind: 'file', path, value: digest });
        if (step > keptSteps) remove(subdirectoryFile(step - keptSteps));
        break;
      }
      case 1: {
        const path = renamedFile(step);
        fs.writeFileSync(`${path}.part`, content);
        fs.renameSync(`${path}.part`, path);
        syncDirectory(directory);
        acknowledge({ kind: 'file', path, value: digest });
        if (step > keptSteps) remove(renamedFile(step - keptSteps));
        break;
      }
      case 2: {
        const path = recordsFile(step);
        if (path !== records?.path) {
          const full = records;
          records = { path, fd: fs.openSync(path, 'a') };
          if (full !== undefined) {
            fs.closeSync(full.fd);
            remove(full.path);
          }
        }
        fs.writeSync(records.fd, `record ${step}\n`);
        fs.fdatasyncSync(records.fd);
        acknowledge({ kind: 'record', path, value: step });
        break;
      }
      default: {
        const path = join(directory, 'rewritten');
        const fd = fs.openSync(path, 'w');
        fs.writeSync(fd, `${step}\n`.repeat(1 + (step % 3000)));
        fs.fsyncSync(fd);
        fs.closeSync(fd);
        acknowledge({ kind: 'rewrite', path, value: step });
        // Not acknowledged: written and never synced.
        fs.writeFileSync(join(directory, `unsynced-${step % 10}`), content);
      }
    }
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const [directory, seed, stop] = process.argv.slice(2);
if (directory !== undefined && seed !== undefined && stop !== undefined) {
  run(directory, Number(seed), stop);
}
