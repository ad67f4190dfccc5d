import { createReadStream, createWriteStream, open } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addAbortSignal } from 'node:stream';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { ArchiveLimitError, FileNotFoundError, IsADirectoryError } from '../errors.ts';
import { isNothingThere } from '../git/system-error.ts';
import { decompress } from './archive-compression.ts';
import type { ArchiveEntry } from './archive-entry.ts';
import type { ArchiveFormat } from './archive-format.ts';
import type { ArchiveBudget } from './archive-limits.ts';
import { readTar } from './archive-tar-reader.ts';
import { readZip } from './archive-zip-reader.ts';
import { localPathBytes, localPathFromText } from './local-path.ts';

const openAsync = promisify(open);
const readBytes = 256 * 1024;

/** How an archive is read. */
export interface ArchiveReadOptions {
  readonly format: ArchiveFormat;
  readonly budget: ArchiveBudget;
  readonly signal: AbortSignal | undefined;
}

/** The entries of an archive, in its order. A stream is destroyed at the end, however that comes. */
export async function* readArchive(
  source: string | Readable,
  { format, budget, signal }: ArchiveReadOptions,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  if (typeof source === 'string') await requireFile(source);
  if (typeof source === 'string' && format.container === 'zip') {
    yield* readZip(await openAsync(localPathBytes(localPathFromText(source)), 'r'));
    return;
  }
  const input =
    typeof source === 'string'
      ? createReadStream(localPathBytes(localPathFromText(source)), { highWaterMark: readBytes })
      : source;
  if (signal !== undefined) addAbortSignal(signal, input);
  try {
    if (format.container === 'zip') {
      yield* readZip(await spool(bytesOf(input), budget.maxTotalSizeBytes));
    } else {
      const { compression } = format;
      const bytes = bytesOf(input);
      yield* readTar(compression === null ? bytes : decompress(bytes, compression));
    }
  } finally {
    input.destroy();
  }
}

async function requireFile(source: string): Promise<void> {
  try {
    if (!(await stat(localPathBytes(localPathFromText(source)))).isDirectory()) return;
  } catch (error) {
    if (!isNothingThere(error)) throw error;
    throw new FileNotFoundError(`no such archive: ${source}`, { path: source, cause: error });
  }
  throw new IsADirectoryError(`a directory, not an archive: ${source}`, { path: source });
}

/** Keeps bytes in a file without a name, which is gone when the descriptor is closed. */
async function spool(input: AsyncIterable<Buffer>, mostBytes: number): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'vost-archive-'));
  try {
    const path = join(directory, 'archive.zip');
    await pipeline(bounded(input, mostBytes), createWriteStream(path, { flags: 'wx' }));
    return await openAsync(path, 'r');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function* bounded(
  input: AsyncIterable<Buffer>,
  mostBytes: number,
): AsyncGenerator<Buffer, void, undefined> {
  let left = mostBytes;
  for await (const chunk of input) {
    left -= chunk.length;
    if (left < 0) throw new ArchiveLimitError(`the archive is larger than ${mostBytes} bytes`);
    yield chunk;
  }
}

async function* bytesOf(input: Readable): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of input as AsyncIterable<Uint8Array | string>) {
    yield typeof chunk === 'string'
      ? Buffer.from(chunk)
      : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
}
