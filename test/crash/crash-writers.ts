import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';

// A program: writes files into DIRECTORY until it is ended or the file STOP is there, in the way that
// SEED says, and prints a line of JSON for each thing that an fsync has acknowledged.

/** What must be found after a crash. */
export interface Acknowledgement {
  readonly kind: 'file' | 'record' | 'rewrite';
  readonly path: string;
  /** Of a file: the SHA-1 of its content. Of records and rewrites: the highest number written. */
  readonly value: string | number;
}

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

function run(directory: string, seed: number, stop: string): void {
  fs.mkdirSync(directory, { recursive: true });
  const records = fs.openSync(join(directory, 'records'), 'a');
  for (let step = 1; !fs.existsSync(stop); step++) {
    const content = contentOf(seed * 100_000 + step, 8 + ((step * 7919 * seed) % 60_000));
    const digest = createHash('sha1').update(content).digest('hex');
    switch (step % 4) {
      case 0: {
        const path = join(directory, `sub-${step % 5}`, `file-${step}`);
        fs.mkdirSync(join(directory, `sub-${step % 5}`), { recursive: true });
        const fd = fs.openSync(path, 'w');
        fs.writeSync(fd, content);
        fs.fsyncSync(fd);
        fs.closeSync(fd);
        acknowledge({ kind: 'file', path, value: digest });
        break;
      }
      case 1: {
        const path = join(directory, `renamed-${step}`);
        fs.writeFileSync(`${path}.part`, content);
        fs.renameSync(`${path}.part`, path);
        syncDirectory(directory);
        acknowledge({ kind: 'file', path, value: digest });
        break;
      }
      case 2:
        fs.writeSync(records, `record ${step}\n`);
        fs.fdatasyncSync(records);
        acknowledge({ kind: 'record', path: join(directory, 'records'), value: step });
        break;
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

const [directory, seed, stop] = process.argv.slice(2);
if (directory !== undefined && seed !== undefined && stop !== undefined) {
  run(directory, Number(seed), stop);
}
