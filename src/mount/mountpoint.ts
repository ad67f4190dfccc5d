import { execFile } from 'node:child_process';
import type { ExecFileException } from 'node:child_process';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { GitStoreError } from '../errors.ts';
import { diskAt, farDisk } from '../git/disk.ts';
import type { Disk } from '../git/disk.ts';
import { mountAt, mountOwner, vostMountType } from './mount-table.ts';
import type { UserAndGroup } from './mount-table.ts';

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
 * Root asks as the user who mounted, for the kernel lets nobody else in.
 *
 * @param path free of symbolic links; what is no mountpoint of ours is asked as it is
 */
export async function probeMount(path: string): Promise<MountLiveness> {
  const args = ['-f', '-c', '%s', '--', path];
  const { code, stdout, stderr, timedOut } = await run(
    'stat',
    args,
    probeTimeoutMs,
    await userFor(path),
  );
  if (timedOut) return 'hanging';
  // Whoever may not look is told of blocks of 0 bytes, by the kernel and whatever the daemon does.
  if (code === 0) return stdout.trim() === '0' ? 'unreachable' : 'live';
  if (/Transport endpoint is not connected|Software caused connection abort/.test(stderr)) {
    return 'dead';
  }
  if (stderr.includes('Permission denied')) return 'unreachable';
  // The answer of a daemon whose repository is gone.
  if (stderr.includes('Input/output error')) return 'live';
  throw new MountpointError(`cannot look at ${path}: ${stderr.trim()}`, path);
}

/** Whom root has to be to look at a mount. */
async function userFor(mountpoint: string): Promise<UserAndGroup | undefined> {
  if (process.geteuid?.() !== 0) return undefined;
  const entry = await mountAt(mountpoint);
  const owner = entry?.type === vostMountType ? mountOwner(entry) : undefined;
  return owner?.uid === 0 ? undefined : owner;
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
  const { mountpoint, disk } = await canonicalMountpoint(resolve(path));
  const [repository = '', spoolDirectory = repository] = await Promise.all(
    Array.from(new Set([needed.repository, needed.spoolDirectory]), (neededPath) =>
      canonicalAsFarAsThere(resolve(neededPath)),
    ),
  );
  for (const [neededPath, canonical] of [
    [needed.repository, repository],
    [needed.spoolDirectory, spoolDirectory],
  ] as const) {
    if (!isInside(canonical, mountpoint)) continue;
    throw new MountpointError(
      `${mountpoint} holds ${neededPath}, which the mount itself needs; mount somewhere else`,
      mountpoint,
    );
  }
  if (isInside(mountpoint, repository)) {
    throw new MountpointError(
      `${mountpoint} is inside the repository; mount somewhere else`,
      mountpoint,
    );
  }
  const isEmpty = (): Promise<boolean> => disk.isEmptyDirectory(mountpoint);
  if (!options.nonEmpty && !(await onDisk(mountpoint, isEmpty))) {
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
async function canonicalMountpoint(
  path: string,
): Promise<{ readonly mountpoint: string; readonly disk: Disk }> {
  const [parentDisk, parent] = await onDisk(path, async () => {
    const disk = await diskAt(dirname(path));
    return [disk, await disk.realpath(dirname(path))];
  });
  const candidate = join(parent, basename(path));
  const isCovered = await clearOldMounts(candidate);
  // Behind another mount, or a link, may be another disk.
  const found = await onDisk(path, async () => {
    const isLink = (await parentDisk.lstat(candidate))?.isSymbolicLink() === true;
    const disk = isCovered || isLink ? farDisk : parentDisk;
    const mountpoint = await disk.realpath(candidate);
    if ((await disk.stat(candidate))?.isDirectory() === false) {
      throw new MountpointError(`${path} is not a directory; mount on an empty one`, path);
    }
    return { mountpoint, disk };
  });
  if (found.mountpoint !== candidate) await clearOldMounts(found.mountpoint);
  return found;
}

/** Tells whether the mount of somebody else is left. */
async function clearOldMounts(mountpoint: string): Promise<boolean> {
  for (;;) {
    const mounted = await mountAt(mountpoint);
    if (mounted === undefined) return false;
    const isOurs = mounted.type === vostMountType;
    const liveness = await probeMount(mountpoint);
    if (liveness === 'live' && !isOurs) return true;
    if (liveness === 'dead' && isOurs) {
      await detachMount(mountpoint);
      continue;
    }
    throw new MountpointError(
      liveness === 'live'
        ? `${mountpoint} already has ${mounted.source} mounted; stop it with: vost-mount unmount ${mountpoint}`
        : liveness === 'unreachable'
          ? `${mountpoint} already has ${mounted.source} mounted, by another user; mount somewhere else`
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
    if (code === 'EACCES') {
      throw new MountpointError(
        `cannot mount on ${path}: this user may not look there; choose another directory`,
        path,
        error,
      );
    }
    throw new MountpointError(`cannot mount on ${path}: ${(error as Error).message}`, path, error);
  }
}

function isInside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === '' || !(way === '..' || way.startsWith('../'));
}

interface ProgramResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

function run(
  program: string,
  args: readonly string[],
  timeoutMs: number,
  user?: UserAndGroup,
): Promise<ProgramResult> {
  return new Promise((done, fail) => {
    const env = { ...process.env, LC_ALL: 'C' };
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', env, ...user } as const;
    execFile(program, args, options, (error, stdout, stderr) => {
      const said = { stdout, stderr };
      if (error === null) done({ ...said, code: 0, timedOut: false });
      else if (error.killed === true) done({ ...said, code: 1, timedOut: true });
      else if (typeof error.code === 'number') done({ ...said, code: error.code, timedOut: false });
      else fail(unusable(program, args.at(-1) ?? '', error));
    });
  });
}

function unusable(program: string, path: string, cause: ExecFileException): MountpointError {
  const advice =
    cause.code === 'ENOENT' ? `it is needed for ${path}, and is not on the path` : cause.message;
  return new MountpointError(`cannot run ${program}: ${advice}`, path, cause);
}
