import { spawn } from 'node:child_process';
import { Readable, pipeline } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { InvalidArchiveError, ProgramNotFoundError } from '../errors.ts';
import { systemErrorCode } from '../git/system-error.ts';
import type { TarCompression } from './archive-format.ts';

/** Bytes that come in pieces. */
export type ByteStream = AsyncIterable<Buffer>;

const longestMessage = 2000;

/** Compresses bytes as they come. A `ProgramNotFoundError` when that needs a program that is not there. */
export function compress(input: ByteStream, compression: TarCompression): ByteStream {
  return compression === 'gzip'
    ? throughStream(input, createGzip())
    : throughProgram(compression, ['-c'], input);
}

/** Decompresses bytes as they come; what is damaged or ends too early is an `InvalidArchiveError`. */
export function decompress(input: ByteStream, compression: TarCompression): ByteStream {
  return compression === 'gzip'
    ? throughStream(input, createGunzip())
    : throughProgram(compression, ['-dc'], input);
}

async function* throughStream(
  input: ByteStream,
  transform: ReturnType<typeof createGzip | typeof createGunzip>,
): AsyncGenerator<Buffer, void, undefined> {
  // What fails before the transform destroys that with the same error, and so ends the loop with it.
  const output = pipeline(Readable.from(input), transform, () => undefined);
  try {
    for await (const chunk of output) yield chunk as Buffer;
  } catch (error) {
    if (!systemErrorCode(error).startsWith('Z_')) throw error;
    throw new InvalidArchiveError('the archive is truncated or damaged', { cause: error });
  }
}

/**
 * Runs a program that reads its standard input and writes its standard output. There is no encoder
 * for bzip2 and xz in Node, and none on npm that is kept up and needs no compiler; these programs
 * are nearly everywhere.
 */
async function* throughProgram(
  program: 'bzip2' | 'xz',
  args: readonly string[],
  input: ByteStream,
): AsyncGenerator<Buffer, void, undefined> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true });
  let told = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    told = (told + text).slice(0, longestMessage);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  ended.catch(() => undefined);
  let inputError: Error | undefined;
  pipeline(Readable.from(input), child.stdin, (error) => {
    // A program that stops reading has its reasons, which its exit code tells.
    const isItsFault = ['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'];
    if (error && !isItsFault.includes(systemErrorCode(error))) {
      inputError = error;
      child.kill();
    }
  });
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    const exitCode = await ended;
    if (inputError !== undefined) throw inputError;
    if (exitCode === 0) return;
    throw new InvalidArchiveError(`${program} failed: ${told.trim() || 'it was ended'}`);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT' || child.pid !== undefined) throw error;
    throw new ProgramNotFoundError(`this archive needs the program ${program}`, { cause: error });
  } finally {
    child.stdin.destroy();
    if (child.exitCode === null) child.kill();
  }
}
