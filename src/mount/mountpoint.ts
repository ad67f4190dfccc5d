import { execFile } from 'node:child_process';
import { opendir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { GitStoreError } from '../errors.ts';
import { mountAt, vostMountType } from './mount-table.ts';

/** The directory to mount on cannot be used; the message says what to do (`MOUNTPOINT`). */
export class MountpointError extends GitStoreError {
  constructor(message: string, path: string, cause?: unknown) {
    super('MOUNTPOINT', message, { path, cause });
  }
}

/**
 * Whether a mount answers: `dead` has lost its daemon, `hanging` has one that does not answer,
 * `unreachable` is where this user may not look.
 */
export type MountLiveness = 'live' | 'dead' | 'hanging' | 'unreachable';

const probeTimeoutMs = 3000;

/**
 * Asks a mount for its statfs, from another process: a daemon that hangs takes whoever asks with it.
 */
export async function probeMount(path: string): Promise<MountLiveness> {
  const { code, stderr, timedOut } = await run('stat', ['-f', '--', path], probeTimeoutMs);
  if (timedOut) return 'hanging';
  if (code === 0) return 'live';
  if (/Transport endpoint is not connected|Software caused connection abort/.test(stderr)) {
    return 'dead';
  }
  if (stderr.includes('Permission denied')) return 'unreachable';
  throw new MountpointError(`cannot look at ${path}: ${stderr.trim()}`, path);
}

/**
 * Takes a mount out of the tree at once, also while files on it are open, and without asking it.
 * @throws {MountpointError} when the system refuses
 */
export async function detachMount(path: string): Promise<void> {
  // -i: no helper program, there is none for this type. -c: the path is looked up by the kernel
  // alone, which asks no daemon that hangs.
  const asRoot = process.geteuid?.() === 0;
  const [program, args] = asRoot
    ? ['umount', ['-i', '-c', '-l', '--', path]]
    : ['fusermount3', ['-u', '-z', '--', path]];
  const { code, stderr } = await run(program, args, 10_000);
  if (code !== 0) {
    throw new MountpointError(`cannot unmount ${path}: ${stderr.trim() || program}`, path);
  }
}

/** What the daemon itself reads and writes: below its own mount it would wait for itself. */
export interface NeededPaths {
  readonly repository: string;
  readonly spoolDirectory: string;
}

/**
 * Makes sure that `path` can be mounted on, and takes away what a crashed daemon left there.
 *
 * @returns the path without symbolic links
 * @throws {MountpointError}
 */
export async function prepareMountpoint(
  path: string,
  needed: NeededPaths,
  options: { readonly nonEmpty: boolean },
): Promise<string> {
  const mountpoint = await canonicalMountpoint(resolve(path));
  for (const neededPath of [needed.repository, needed.spoolDirectory]) {
    if (!isInside(await canonicalAsFarAsThere(resolve(neededPath)), mountpoint)) continue;
    throw new MountpointError(
      `${mountpoint} holds ${neededPath}, which the mount itself needs; mount somewhere else`,
      mountpoint,
    );
  }
  if (isInside(mountpoint, await canonicalAsFarAsThere(resolve(needed.repository)))) {
    throw new MountpointError(
      `${mountpoint} is inside the repository; mount somewhere else`,
      mountpoint,
    );
  }
  if (!options.nonEmpty && !(await isEmpty(mountpoint))) {
    throw new MountpointError(
      `${mountpoint} is not empty; mount on an empty directory, or add -o nonempty to cover what is there`,
      mountpoint,
    );
  }
  return mountpoint;
}

/** Symbolic links are followed up to where the path ends to exist. */
async function canonicalAsFarAsThere(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if ((code !== 'ENOENT' && code !== 'ENOTDIR') || path === dirname(path)) return path;
    return join(await canonicalAsFarAsThere(dirname(path)), basename(path));
  }
}

/**
 * Follows symbolic links without ever touching a mount that might not answer: a path is looked up
 * in the mount table first, and only then on the disk.
 */
async function canonicalMountpoint(path: string): Promise<string> {
  const parent = await onDisk(path, () => realpath(dirname(path)));
  const candidate = join(parent, basename(path));
  await clearOldMounts(candidate);
  const canonical = await onDisk(path, async () => {
    if (!(await stat(candidate)).isDirectory()) {
      throw new MountpointError(`${path} is not a directory; mount on an empty one`, path);
    }
    return realpath(candidate);
  });
  if (canonical !== candidate) await clearOldMounts(canonical);
  return canonical;
}

async function clearOldMounts(mountpoint: string): Promise<void> {
  for (;;) {
    const mounted = await mountAt(mountpoint);
    if (mounted === undefined) return;
    const isOurs = mounted.type === vostMountType;
    const liveness = await probeMount(mountpoint);
    if (liveness === 'live' && !isOurs) return;
    if (liveness === 'dead' && isOurs) {
      await detachMount(mountpoint);
      continue;
    }
    throw new MountpointError(
      liveness === 'live'
        ? `${mountpoint} already has ${mounted.source} mounted; stop it with: vost-mount unmount ${mountpoint}`
        : `${mountpoint} has a ${mounted.type} mount that does not answer; take it away with: umount -l ${mountpoint}`,
      mountpoint,
    );
  }
}

async function onDisk<T>(path: string, look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof MountpointError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new MountpointError(
        `${path} does not exist; make it with: mkdir -p ${path}`,
        path,
        error,
      );
    }
    if (code === 'ENOTDIR') {
      throw new MountpointError(`${path} is not a directory; mount on an empty one`, path, error);
    }
    throw new MountpointError(`cannot mount on ${path}: ${code ?? String(error)}`, path, error);
  }
}

async function isEmpty(directory: string): Promise<boolean> {
  const handle = await onDisk(directory, () => opendir(directory));
  try {
    return (await handle.read()) === null;
  } finally {
    await handle.close();
  }
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === '' || !(way === '..' || way.startsWith('../'));
}

interface ProgramResult {
  readonly code: number;
  readonly stderr: string;
  readonly timedOut: boolean;
}

function run(program: string, args: readonly string[], timeoutMs: number): Promise<ProgramResult> {
  return new Promise((done, fail) => {
    const env = { ...process.env, LC_ALL: 'C' };
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', env } as const;
    execFile(program, args, options, (error, _stdout, stderr) => {
      if (error === null) done({ code: 0, stderr, timedOut: false });
      else if (error.killed === true) done({ code: 1, stderr, timedOut: true });
      else if (typeof error.code === 'number') done({ code: error.code, stderr, timedOut: false });
      else fail(new Error(`cannot run ${program}: ${error.message}`, { cause: error }));
    });
  });
}
