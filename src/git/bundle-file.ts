import { open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import { FileNotFoundError, InvalidBundleError, IsADirectoryError } from '../errors.ts';
import { byteStringFromBuffer } from './byte-string.ts';
import type { ByteString } from './byte-string.ts';
import { syncPath } from './odb/durable.ts';
import { isOid, oidSizeBytes } from './oid.ts';
import type { HashAlgorithm, Oid } from './oid.ts';
import { readFully, writeFully } from './read-write-fully.ts';
import { isRefName } from './refs/ref-name.ts';
import type { RefName } from './refs/ref-name.ts';
import { isNothingThere } from './system-error.ts';

/** What a bundle says before its pack. */
export interface BundleHeader {
  readonly algorithm: HashAlgorithm;
  /** The commits that whoever reads it must have already. */
  readonly prerequisites: readonly Oid[];
  /** `HEAD` may be among them. */
  readonly refs: ReadonlyMap<RefName, Oid>;
}

const largestHeaderBytes = 64 * 1024 * 1024;
const chunkBytes = 256 * 1024;

/** A git bundle that is read (gitformat-bundle, versions 2 and 3). It has to be closed. */
export class BundleFile {
  readonly header: BundleHeader;
  readonly #handle: FileHandle;
  readonly #packOffset: number;

  private constructor(handle: FileHandle, header: BundleHeader, packOffset: number) {
    this.#handle = handle;
    this.header = header;
    this.#packOffset = packOffset;
  }

  /** Opens a bundle; a `FileNotFoundError` when there is none, an `InvalidBundleError` for what is no bundle. */
  static async open(path: string): Promise<BundleFile> {
    const handle = await open(path, 'r').catch((error: unknown) => {
      if (!isNothingThere(error)) throw error;
      throw new FileNotFoundError(`there is no bundle ${path}`, { path, cause: error });
    });
    try {
      if ((await handle.stat()).isDirectory()) {
        throw new IsADirectoryError(`${path} is a directory, not a bundle`, { path });
      }
      const text = await readHeaderText(handle, path);
      return new BundleFile(handle, parseHeader(text, path), text.length);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The pack, to the end of the file. */
  async *pack(): AsyncGenerator<Buffer, void, undefined> {
    for (let position = this.#packOffset; ;) {
      const chunk = await readFully(this.#handle, position, chunkBytes);
      if (chunk.length > 0) yield chunk;
      if (chunk.length < chunkBytes) return;
      position += chunk.length;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Everything up to the empty line that ends the header, that one included. */
async function readHeaderText(handle: FileHandle, path: string): Promise<ByteString> {
  let text: Buffer = Buffer.alloc(0);
  for (;;) {
    const chunk = await readFully(handle, text.length, chunkBytes);
    text = Buffer.concat([text, chunk]);
    if (!text.toString('latin1', 0, 3).startsWith('# v'))
      throw noBundle(path, 'it begins otherwise');
    const end = text.indexOf('\n\n');
    if (end >= 0) return byteStringFromBuffer(text, 0, end + 2);
    if (chunk.length < chunkBytes || text.length > largestHeaderBytes) throw noBundle(path);
  }
}

function noBundle(path: string, why = 'its header has no end'): InvalidBundleError {
  return new InvalidBundleError(`${path} is no git bundle that can be read: ${why}`, { path });
}

function parseHeader(text: ByteString, path: string): BundleHeader {
  const [signature, ...lines] = text.slice(0, -2).split('\n');
  const version = /^# v([23]) git bundle$/.exec(signature ?? '')?.[1];
  if (version === undefined) throw noBundle(path, 'it does not begin as one of version 2 or 3');
  let algorithm: HashAlgorithm = 'sha1';
  const prerequisites: Oid[] = [];
  const refs = new Map<RefName, Oid>();
  for (const line of lines) {
    if (version === '3' && line.startsWith('@')) {
      if (line === '@object-format=sha256') algorithm = 'sha256';
      else if (line !== '@object-format=sha1') {
        throw noBundle(path, `it needs the unknown capability ${JSON.stringify(line.slice(1))}`);
      }
      continue;
    }
    const isPrerequisite = line.startsWith('-');
    const [oid = '', ...rest] = line.slice(isPrerequisite ? 1 : 0).split(' ');
    if (!isOid(oid) || oid.length !== 2 * oidSizeBytes[algorithm]) {
      throw noBundle(path, `its header holds ${JSON.stringify(line.slice(0, 100))}`);
    }
    const name = rest.join(' ');
    if (isPrerequisite) prerequisites.push(oid);
    else if (isRefName(name)) refs.set(name, oid);
    else if (name === '' || name.startsWith('refs/')) {
      throw noBundle(path, `${JSON.stringify(name.slice(0, 100))} is no name of a ref`);
    }
    // What else is named belongs to one worktree of the repository that it was made in, such as
    // `worktrees/<id>/HEAD`, which `git bundle create --all` lists.
  }
  return { algorithm, prerequisites, refs };
}

function headerText({ algorithm, prerequisites, refs }: BundleHeader): string {
  const start =
    algorithm === 'sha1' ? '# v2 git bundle\n' : '# v3 git bundle\n@object-format=sha256\n';
  const required = prerequisites.map((oid) => `-${oid} \n`);
  const named = Array.from(refs, ([name, oid]) => `${oid} ${name}\n`);
  return `${start}${required.join('')}${named.join('')}\n`;
}

/**
 * Writes a bundle of version 2, or 3 for SHA-256. It replaces what is at the path when it is complete
 * and on disk, and not before.
 */
export async function writeBundle(
  path: string,
  header: BundleHeader,
  pack: AsyncIterable<Buffer>,
): Promise<void> {
  if ((await statIfThere(path))?.isDirectory() === true) {
    throw new IsADirectoryError(`${path} is a directory, not a bundle`, { path });
  }
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const handle = await open(temporary, 'wx').catch((error: unknown) => {
      if (!isNothingThere(error)) throw error;
      const directory = dirname(path);
      const message = `there is no directory ${directory} for a bundle`;
      throw new FileNotFoundError(message, { path: directory, cause: error });
    });
    try {
      const start = Buffer.from(headerText(header), 'latin1');
      await writeFully(handle, start, 0);
      let position = start.length;
      for await (const chunk of pack) {
        await writeFully(handle, chunk, position);
        position += chunk.length;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncPath(dirname(path));
}

async function statIfThere(path: string): Promise<Awaited<ReturnType<typeof stat>> | null> {
  try {
    return await stat(path);
  } catch (error) {
    if (isNothingThere(error)) return null;
    throw error;
  }
}
