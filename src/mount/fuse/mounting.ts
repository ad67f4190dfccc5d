import { spawn } from 'node:child_process';
import { close, open } from 'node:fs';
import { promisify } from 'node:util';
import { GitStoreError, InvalidArgumentError } from '../../errors.ts';
import { mountAt, vostMountType } from '../mount-table.ts';
import { mayOverrideModes } from './capabilities.ts';
import { transferLimitBytes } from './handshake.ts';
import { callMount, mountCall } from './mount-call.ts';

/** The kernel cannot be asked to mount or unmount, or refused; the message says why (`MOUNT_FAILED`). */
export class MountFailedError extends GitStoreError {
  constructor(message: string, path: string, cause?: unknown) {
    super('MOUNT_FAILED', message, { path, cause });
  }
}

/** What to mount, and where. */
export interface MountRequest {
  /** A directory: absolute, without symbolic links. */
  readonly mountpoint: string;
  /** What the mount table shows as the source: the path of the repository. */
  readonly source: string;
  readonly readOnly?: boolean;
  /** Let other users in. */
  readonly allowOther?: boolean;
  /**
   * Modes need not be checked where all files are root's, if nobody else gets in either: then they keep
   * nobody from anything. The daemon is asked then what access(2) asks for, and has to refuse whoever
   * asks by the rights of another user (setfsuid(2)).
   */
  readonly leavesModes?: boolean;
  /** Further options of mount(8), each `name` or `name=value`, such as `noatime`. */
  readonly extraOptions?: readonly string[];
}

/** How the program is started that unmounts. */
export interface UnmountOptions {
  /**
   * It begins when it is told to, once this process can be told of its end. While a process forks, its main
   * thread takes no signals, and on a busy machine a program can have ended before that is over: then another
   * thread has to take the signal.
   */
  readonly isHeldBack?: boolean;
}

/** How an unmount went. */
export interface UnmountResult {
  /**
   * Why the mount was only taken out of the tree (files on it are in use): it lives on without a
   * name until they are closed, and the daemon with it. `undefined` when it is gone.
   */
  readonly lazyReason: string | undefined;
}

/**
 * A way to mount: with the rights of this process, or by the help of a program that has them. The
 * device that it gives belongs to the mount; reading may begin when the promise is fulfilled.
 */
export interface Mounter {
  /** @throws {MountFailedError} @throws {InvalidArgumentError} for options that cannot be passed on */
  mount(request: MountRequest): Promise<{ readonly fd: number }>;
  /** @throws {MountFailedError} */
  unmount(mountpoint: string, options?: UnmountOptions): Promise<UnmountResult>;
}

/** The mount option by which the kernel checks modes. */
export const modeChecking = 'default_permissions';

const devicePath = '/dev/fuse';
/** The descriptor under which mount(8) finds the device. */
const inheritedFd = 3;
const programTimeoutMs = 30_000;
/** Runs a program, by its arguments, when there is a line to read. */
const whenTold = 'read -r _ && exec "$0" "$@"';
const openFile = promisify(open);
const closeFile = promisify(close);

/**
 * Mounts as root: opens the device, and tells the kernel of it by a call, or else by mount(8). The call
 * is made in another thread, and the programs run beside this process; neither is waited for
 * synchronously: while they work, the kernel may ask it for something.
 */
export const rootMounter: Mounter = {
  async mount(request) {
    const args = mountArguments(request);
    const fd = await openDevice(request.mountpoint);
    try {
      const call = mountCall(request, fuseOptions(request, fd));
      const isMounted = call !== undefined && (await callMount(request, call));
      if (!isMounted) await runProgram('mount', args, request.mountpoint, { fd });
    } catch (error) {
      await closeFile(fd);
      throw withAdvice(error, request.mountpoint);
    }
    return { fd };
  },

  async unmount(mountpoint, options) {
    // -i: there is no helper program for this type. -c: the path is canonical, leave it alone.
    try {
      await runProgram('umount', ['-i', '-c', '--', mountpoint], mountpoint, options);
    } catch (error) {
      if (!(error instanceof MountFailedError)) throw error;
      if ((await mountAt(mountpoint))?.type !== vostMountType) return { lazyReason: undefined };
      await runProgram('umount', ['-i', '-c', '-l', '--', mountpoint], mountpoint, options);
      return { lazyReason: error.message };
    }
    return { lazyReason: undefined };
  },
};

/** The mounter for this process; what only users without root need is loaded for them alone. */
export async function chooseMounter(): Promise<Mounter> {
  if (process.geteuid?.() === 0) return rootMounter;
  return (await import('./fusermount.ts')).fusermountMounter;
}

/** The options that FUSE itself understands. */
function fuseOptions(request: MountRequest, fd: number): string[] {
  const options = [
    `fd=${fd}`,
    'rootmode=40000',
    `user_id=${process.getuid?.() ?? 0}`,
    `group_id=${process.getgid?.() ?? 0}`,
    ...(needsNoModes(request) ? [] : [modeChecking]),
    `max_read=${transferLimitBytes}`,
  ];
  if (request.allowOther === true) options.push('allow_other');
  return options;
}

/**
 * The kernel checks modes by what it knows of a directory, and asks for that again after each change in it:
 * one request for every file that is made or removed.
 */
function needsNoModes(request: MountRequest): boolean {
  const isRootAlone = request.allowOther !== true && process.getuid?.() === 0;
  return request.leavesModes === true && isRootAlone && mayOverrideModes();
}

/** The arguments of mount(8); values with a comma would be options of their own, and are refused. */
export function mountArguments(request: MountRequest): string[] {
  const options = [
    ...fuseOptions(request, inheritedFd),
    'nosuid',
    'nodev',
    request.readOnly === true ? 'ro' : 'rw',
    ...checkedExtraOptions(request),
  ];
  return [
    '-i',
    '-t',
    vostMountType,
    '-o',
    options.join(','),
    '--',
    request.source,
    request.mountpoint,
  ];
}

/**
 * The further options of a request, none of which can hold more than one.
 * @throws {InvalidArgumentError}
 */
export function checkedExtraOptions({ extraOptions = [] }: MountRequest): readonly string[] {
  for (const option of extraOptions) {
    if (!/^[a-z_]+(=[\w.:/-]+)?$/.test(option)) {
      throw new InvalidArgumentError(`${JSON.stringify(option)} is no mount option`);
    }
  }
  return extraOptions;
}

/** What mount(8) says where a container keeps root from mounting. */
const refused = /permission denied|cannot mount .* read-only/;

function withAdvice(error: unknown, mountpoint: string): unknown {
  if (!(error instanceof MountFailedError && refused.test(error.message))) return error;
  return new MountFailedError(
    `cannot mount on ${mountpoint}: root lacks the right to, CAP_SYS_ADMIN; in a container, add --cap-add SYS_ADMIN`,
    mountpoint,
    error,
  );
}

async function openDevice(mountpoint: string): Promise<number> {
  try {
    return await openFile(devicePath, 'r+');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO'
        ? `there is no ${devicePath}; load the kernel module with: modprobe fuse (in a container, pass the device in)`
        : code === 'EPERM' || code === 'EACCES'
          ? `${devicePath} may not be opened; a container needs the device and the right to mount`
          : `cannot open ${devicePath}: ${message}`;
    throw new MountFailedError(reason, mountpoint, error);
  }
}

/** What a program gets from us: a descriptor, as its own number 3, and variables. */
interface ProgramOptions extends UnmountOptions {
  readonly fd?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Runs a program of the system, and gives up on it after a while.
 * @throws {MountFailedError} with what it said
 */
export function runProgram(
  program: string,
  args: readonly string[],
  mountpoint: string,
  { fd, env, isHeldBack = false }: ProgramOptions = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const [file, argv] = isHeldBack ? ['sh', ['-c', whenTold, program, ...args]] : [program, args];
    const child = spawn(file, argv, {
      // Its messages are read below and shown; a timeout that kills it cannot be waited for when
      // the kernel holds on to it, so nothing of it is kept.
      env: { ...process.env, LC_ALL: 'C', ...env },
      stdio: [isHeldBack ? 'pipe' : 'ignore', 'ignore', 'pipe', fd ?? 'ignore'],
    });
    // Whoever does not listen any more has ended, and is told of by that.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end('\n');
    let messages = '';
    child.stderr?.on('data', (chunk: Buffer) => (messages += chunk.toString()));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stderr?.destroy();
      child.unref();
      fail(`does not return after ${programTimeoutMs / 1000} s`);
    }, programTimeoutMs);
    const fail = (reason: string, cause?: unknown): void => {
      clearTimeout(timer);
      reject(new MountFailedError(`${program} ${mountpoint}: ${reason}`, mountpoint, cause));
    };
    child.on('error', (error) => fail(error.message, error));
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer);
      if (exitCode === 0) resolve();
      else fail(messages.trim() || `ended with ${String(exitCode ?? signal)}`);
    });
  });
}
