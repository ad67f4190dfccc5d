import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { lstat, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import {
  bufferFromByteString,
  bytesFromText,
  byteStringFromBuffer,
  type ByteString,
} from '../byte-string.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import type { OpenFile } from '../open-file.ts';
import { requireStillThere } from '../repository-layout.ts';
import { systemErrorCode, withoutLinks } from '../system-error.ts';
import { removeFile } from './ref-directories.ts';

// A process that is killed while it holds `<ref>.lock` leaves it, and a lock of an unknown holder is
// never to be taken away. So whoever must not block a branch by dying (the daemon of a mount) marks
// its locks: each is a hard link to a file, its mark, in a directory of the process,
// `vost/locks/<machine>-<boot>-<random>/`. In there is a unix socket, too, on which the process
// listens: as long as it lives, the kernel accepts connections to it, whatever namespace of process
// ids it is in. Once it does not, the locks that are the same file as a mark of it are nobody's.

const socketName = 'alive';
/** The name of a directory whose owner was found dead by one who clears up after it; see `claimIfAbandoned`. */
const claimed = '.claimed-';
/** How the name of a directory begins that is being made. */
const unfinished = '.new-';
/** How long a directory may be in the making, or in the hands of one who clears up. */
const graceMs = 60_000;

/** A lock that was created, and its mark. */
export interface MarkedFile {
  readonly file: OpenFile;
  /** Where it is. */
  readonly disk: Disk;
  /** To be called when the lock is gone: the mark has done its service. */
  readonly unmark: () => Promise<void>;
}

/** Creates the files of locks. */
export interface LockMaker {
  /** EEXIST when it is there. */
  create(path: ByteString): Promise<MarkedFile>;
}

/** Creates the file of a lock that nobody can tell from one which is in use. EEXIST when it is there. */
export async function createUnmarked(path: ByteString, disk: Disk = farDisk): Promise<MarkedFile> {
  const file = await disk.open(bufferFromByteString(path), 'wx', 0o666);
  return { file, disk, unmark: () => Promise.resolve() };
}

/** Where all processes that mark locks in a repository have their directories. */
function marksDirectory(commonDir: string): string {
  return join(commonDir, 'vost/locks');
}

/** Makes that directory; it fails where none can be, and where the repository is not there any more. */
export async function makeMarksDirectory(commonDir: string, disk: Disk): Promise<void> {
  await requireStillThere(commonDir, disk);
  const directory = marksDirectory(commonDir);
  await disk.mkdirIfMissing(dirname(directory));
  await disk.mkdirIfMissing(directory);
}

/** The marks on the locks of this process in one repository. */
export class LockMarks implements LockMaker {
  readonly #path: string;
  readonly #disk: Disk;
  /** Open as long as the socket is, whose path goes through it. */
  readonly #directory: OpenFile;
  readonly #server: Server;
  #count = 0;

  private constructor(path: string, disk: Disk, directory: OpenFile, server: Server) {
    this.#path = path;
    this.#disk = disk;
    this.#directory = directory;
    this.#server = server;
  }

  /**
   * Takes away the locks of processes that marked theirs and have died, and gets ready to mark those
   * of this one. `undefined` when the filesystem of the repository has no sockets.
   */
  static async open(commonDir: string, disk: Disk = farDisk): Promise<LockMarks | undefined> {
    const parent = marksDirectory(commonDir);
    await makeMarksDirectory(commonDir, disk);
    await removeAbandonedLocks(commonDir);
    // Complete before it gets a name under which others look for its owner.
    const name = randomBytes(8).toString('hex');
    const path = join(parent, `${unfinished}${name}`);
    await disk.mkdir(path);
    const directory = await disk.open(path, 'r');
    try {
      const server = await listen(directory);
      const final = join(parent, `${kernelName()}-${name}`);
      await disk.rename(path, final);
      return new LockMarks(final, disk, directory, server);
    } catch (error) {
      await directory.close();
      await rm(path, { recursive: true, force: true });
      if (withoutLinks.has(systemErrorCode(error))) return undefined;
      throw error;
    }
  }

  /** What tells this process from others, living and dead, for as long as the repository exists. */
  get owner(): string {
    return basename(this.#path);
  }

  /** Creates the file of a lock, marked if possible. EEXIST when it is there. */
  async create(path: ByteString): Promise<MarkedFile> {
    this.#count += 1;
    const mark = join(this.#path, String(this.#count));
    const disk = this.#disk;
    const unmark = (): Promise<void> => removeFile(bytesFromText(mark), disk);
    let file: OpenFile;
    try {
      file = await disk.open(mark, 'wx', 0o666);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      await requireStillThere(join(this.#path, '../../..'), disk);
      // Somebody has removed the directory: a lock without a mark is as good, unless this process is killed.
      return createUnmarked(path, disk);
    }
    try {
      await disk.link(mark, bufferFromByteString(path));
      return { file, disk, unmark };
    } catch (error) {
      await file.close();
      await unmark();
      if (!withoutLinks.has(systemErrorCode(error))) throw error;
    }
    return createUnmarked(path, disk);
  }

  /** No lock is held any more. */
  async close(): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
    await this.#directory.close();
    await rm(this.#path, { recursive: true, force: true });
  }
}

/** Whether the process with this `LockMarks.owner` has the repository open, for all that is known. */
export async function isOwnerAlive(commonDir: string, owner: string): Promise<boolean> {
  try {
    return await mayBeAlive(join(marksDirectory(commonDir), owner), owner);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function removeAbandonedLocks(commonDir: string): Promise<void> {
  const parent = marksDirectory(commonDir);
  for (const name of await readdir(parent)) {
    const directory = await claimIfAbandoned(parent, name);
    if (directory === undefined) continue;
    const marks = await marksIn(directory);
    if (marks.size > 0) await removeLocks(bytesFromText(commonDir), marks);
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Of several who clear up at the same time, one gets the directory: another, who comes later, must
 * not take away a lock that was created in the place of the abandoned one. A claim that was cut off
 * is claimed again after a while.
 */
async function claimIfAbandoned(parent: string, name: string): Promise<string | undefined> {
  const owner = name.split(claimed, 1).join('');
  const directory = join(parent, `${owner}${claimed}${randomBytes(8).toString('hex')}`);
  try {
    if (await mayBeAlive(join(parent, name), name)) return undefined;
    await rename(join(parent, name), directory);
    return directory;
  } catch (error) {
    // Another one has claimed it meanwhile.
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether the owner of a directory lives, for all that is known: nobody knows that of another machine. */
async function mayBeAlive(directory: string, name: string): Promise<boolean> {
  // Somebody is at work in it, unless he was killed as well.
  if (name.startsWith(unfinished) || name.includes(claimed)) {
    return Date.now() - (await stat(directory)).ctimeMs < graceMs;
  }
  await stat(directory);
  const [machine, boot] = name.split('-');
  const [ourMachine, ourBoot] = kernelName().split('-');
  if (machine !== ourMachine) return true;
  return boot === ourBoot && (await answers(directory));
}

/** The files that are marks of locks still: those that have another name beside this one. */
async function marksIn(directory: string): Promise<ReadonlySet<string>> {
  const marks = new Set<string>();
  for (const name of await readdir(directory)) {
    const { dev, ino, nlink } = await lstat(join(directory, name), { bigint: true });
    if (name !== socketName && nlink > 1n) marks.add(`${dev}:${ino}`);
  }
  return marks;
}

async function removeLocks(commonDir: ByteString, marks: ReadonlySet<string>): Promise<void> {
  const directories: ByteString[] = [commonDir];
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for (const name of await namesIn(directory)) {
      const path = `${directory}/${name}` as ByteString;
      const found = await lstatIfThere(path);
      // Of what stands at the top, locks of refs are below these alone.
      const isTop = directory === commonDir && name !== 'refs' && name !== 'worktrees';
      if (found?.isDirectory() === true && !isTop) directories.push(path);
      else if (found !== undefined && name.endsWith('.lock')) {
        if (marks.has(`${found.dev}:${found.ino}`)) await unlink(bufferFromByteString(path));
      }
    }
  }
}

async function namesIn(directory: ByteString): Promise<ByteString[]> {
  try {
    const names = await readdir(bufferFromByteString(directory), { encoding: 'buffer' });
    return names.map((name) => byteStringFromBuffer(name));
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Refs and their locks come and go meanwhile. */
async function lstatIfThere(path: ByteString): Promise<BigIntStats | undefined> {
  try {
    return await lstat(bufferFromByteString(path), { bigint: true });
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A socket in a directory, by a path that is short enough for one wherever the directory is. */
function socketIn(directory: { readonly fd: number }): string {
  return `/proc/self/fd/${directory.fd}/${socketName}`;
}

async function listen(directory: OpenFile): Promise<Server> {
  const server = createServer((connection) => connection.destroy());
  server.listen(socketIn(directory));
  await once(server, 'listening');
  server.unref();
  return server;
}

async function answers(path: string): Promise<boolean> {
  const directory = await open(path, 'r');
  const connection = createConnection(socketIn(directory));
  try {
    await once(connection, 'connect');
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'ECONNREFUSED' && systemErrorCode(error) !== 'ENOENT';
  } finally {
    connection.destroy();
    await directory.close();
  }
}

/**
 * `<machine>-<boot>`: the kernel that runs this process, and where it runs. The files are read in this
 * thread: one is the kernel's, and the other was read by whatever was started before.
 */
function kernelName(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
  return [machineName(), boot]
    .map((text) => createHash('sha256').update(text.trim()).digest('hex').slice(0, 16))
    .join('-');
}

/** machine-id(5): the file is empty, or says that it is not set, in an image that many machines start from. */
function machineName(): string {
  let id = '';
  try {
    id = readFileSync('/etc/machine-id', 'utf8').trim();
  } catch {
    // Some systems have none, and some users may not read it.
  }
  return id === '' || id === 'uninitialized' ? hostname() : id;
}
