import { close, fstat, open, read, readSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { promisify } from 'node:util';

// The callback forms: a FileHandle for each loose object costs more than reading it.
const openAsync = promisify(open);
const closeAsync = promisify(close);
const fstatAsync = promisify(fstat);

/** Opens a file for reading; system errors come as they are. */
export function openForReading(path: string): Promise<number> {
  return openAsync(path, 'r');
}

/** Closes a descriptor that `openForReading` gave. */
export function closeDescriptor(descriptor: number): Promise<void> {
  return closeAsync(descriptor);
}

/** The size and identity of an open file. */
export function statDescriptor(descriptor: number): Promise<Stats> {
  return fstatAsync(descriptor);
}

/** Fills `buffer` from `offset` of the file on; gives the number of bytes, fewer only at the file's end. */
export async function readAt(descriptor: number, buffer: Buffer, offset: number): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const count = await readOnce(descriptor, buffer, filled, offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

/** As `readAt`, in this thread. */
export function readAtSync(descriptor: number, buffer: Buffer, offset: number): number {
  let filled = 0;
  while (filled < buffer.length) {
    const count = readSync(descriptor, buffer, filled, buffer.length - filled, offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

/** One read into `buffer` from `start` on; gives the number of bytes, which may be fewer than there are. */
export function readOnce(
  descriptor: number,
  buffer: Buffer,
  start: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    read(descriptor, buffer, start, buffer.length - start, position, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
