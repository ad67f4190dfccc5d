import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { askDaemon } from '../../src/cli/control-client.ts';
import { mountAt, parseMountTable, vostMountType } from '../../src/mount/mount-table.ts';
import { afterEachFile } from './after-file.ts';
import { eventually } from './eventually.ts';
import { program, programResult } from './program.ts';
import type { ProgramResult } from './program.ts';
import { cacheOf, temporaryDirectory } from './temporary-directory.ts';

/** The command as it is installed, a script; it runs the `node` that is first on its path. */
export const installedCommand: string = fileURLToPath(
  new URL('../../dist/bin/vost-mount', import.meta.url),
);

/** A path on which that is the one that runs the tests. */
export const pathOfNode = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;

/** What that script runs for all but the plain form of a mount. */
export const vostMountProgram: string = fileURLToPath(
  new URL('../../dist/bin/vost-mount.js', import.meta.url),
);

/** Nothing of the machine's git configuration reaches the daemon, and it leaves nothing in a home. */
export const daemonEnvironment: Readonly<Record<string, string>> = {
  HOME: '/nonexistent',
  XDG_CONFIG_HOME: '/nonexistent',
  XDG_CACHE_HOME: cacheOf(process.ppid),
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
};

/** `VOST_TEST_TRANSPORT=fuse-native npx vitest run test/mount` runs the tests over the other transport. */
const transport = process.env['VOST_TEST_TRANSPORT'];
const transportArgs = transport === undefined ? [] : ['--transport', transport];

export interface DaemonEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A daemon in a process of its own, and the mount that it serves. */
export interface MountedRepository {
  readonly gitDir: string;
  readonly mountpoint: string;
  readonly pid: number;
  /** All that the daemon has written to its standard error. */
  readonly daemonLog: () => string;
  /** Sends a signal, and waits for the end. */
  readonly stop: (signal: NodeJS.Signals) => Promise<DaemonEnd>;
  /** Waits for an end that somebody else brought about. */
  readonly ended: (timeoutMs?: number) => Promise<DaemonEnd>;
  /** The orderly end; throws unless the exit code is 0 and the mount is gone. */
  readonly unmount: () => Promise<void>;
}

const endTimeoutMs = 30_000;
const mountpoints = new Set<string>();

/**
 * Leaves nothing behind, whatever a test did. A mount goes before its daemon, so that nothing
 * waits for it; the daemons are those that name one of our mountpoints, or one below it, in their
 * arguments.
 */
function removeLeftovers(): void {
  const ours = (path: string): boolean =>
    [...mountpoints].some((known) => path === known || path.startsWith(`${known}/`));
  const table = parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8'));
  const left = table.map(({ mountpoint }) => mountpoint).filter(ours);
  // What covers another one was made later.
  for (const mountpoint of left.toReversed()) {
    spawnSync('umount', ['-i', '-c', '-l', '--', mountpoint], { timeout: 5000, stdio: 'ignore' });
  }
  for (const mountpoint of new Set([...mountpoints, ...left])) {
    for (const pid of processesNaming(mountpoint)) process.kill(pid, 'SIGKILL');
  }
  mountpoints.clear();
}
process.on('exit', removeLeftovers);
afterEachFile(removeLeftovers);

/** The processes that have this among their arguments. */
export function processesNaming(argument: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(argument);
      } catch {
        return false; // It ended meanwhile.
      }
    })
    .map(Number);
}

/** A mountpoint of its own: a directory in a fresh temporary directory, cleared after the tests. */
export async function freshMountpoint(): Promise<string> {
  const mountpoint = join(await temporaryDirectory(), 'mnt');
  await mkdir(mountpoint);
  mountpoints.add(mountpoint);
  return mountpoint;
}

export interface MountRepositoryOptions {
  /** Further arguments of `vost-mount`. */
  readonly args?: readonly string[];
  /** Default is a fresh one. */
  readonly mountpoint?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts `vost-mount -f` and returns when the mount answers. */
export async function mountRepository(
  gitDir: string,
  options: MountRepositoryOptions = {},
): Promise<MountedRepository> {
  const mountpoint = options.mountpoint ?? (await freshMountpoint());
  const daemon = spawn(
    process.execPath,
    [vostMountProgram, '-f', gitDir, mountpoint, ...transportArgs, ...(options.args ?? [])],
    {
      cwd: '/',
      env: { ...process.env, ...daemonEnvironment, ...options.env },
      stdio: ['ignore', 'inherit', 'pipe'],
    },
  );
  mountpoints.add(mountpoint);
  let log = '';
  daemon.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exit = new Promise<DaemonEnd>((resolve) => {
    daemon.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
  });

  // The mount of a daemon that was killed may be there still, so it is this daemon that has to answer.
  await eventually(async () => {
    if (daemon.exitCode !== null) return;
    const entry = await mountAt(mountpoint);
    if (entry?.type !== vostMountType) throw new Error(`not mounted after 10 s:\n${log}`);
    const { pid } = await askDaemon(entry, { verb: 'status' }, 5000);
    if (pid !== daemon.pid) throw new Error(`another daemon answers after 10 s:\n${log}`);
  }, 10_000);
  if (daemon.exitCode !== null) {
    throw new Error(`vost-mount ended with ${String(daemon.exitCode)}:\n${log}`);
  }
  await program('stat', ['-f', mountpoint], { timeoutMs: 10_000 });

  const ended = (timeoutMs = endTimeoutMs): Promise<DaemonEnd> =>
    within(exit, timeoutMs, () => `the daemon has not ended:\n${log}`);
  const stop = (signal: NodeJS.Signals): Promise<DaemonEnd> => {
    daemon.kill(signal);
    return ended();
  };
  return {
    gitDir,
    mountpoint,
    pid: daemon.pid!,
    daemonLog: () => log,
    stop,
    ended,
    unmount: async () => {
      const end = await stop('SIGTERM');
      if (end.exitCode !== 0)
        throw new Error(`the daemon ended with ${JSON.stringify(end)}:\n${log}`);
      if (await isMounted(mountpoint)) throw new Error(`${mountpoint} is still mounted:\n${log}`);
    },
  };
}

/** Whether a mount of this package is on top at a path. Does not touch it. */
export async function isMounted(mountpoint: string): Promise<boolean> {
  return (await mountAt(mountpoint))?.type === vostMountType;
}

/** Runs the `vost-mount` command to its end. */
export function vostMount(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<ProgramResult> {
  return programResult(installedCommand, args, {
    ...options,
    env: { ...daemonEnvironment, PATH: pathOfNode, ...options.env },
  });
}

async function within<T>(
  promise: Promise<T>,
  timeoutMs: number,
  message: () => string,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(message())), timeoutMs);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
