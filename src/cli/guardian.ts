import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync } from 'node:fs';
import { readdir, rm, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { isProcessAlive } from '../git/gc-lock.ts';
import { chooseMounter } from '../mount/fuse/mounting.ts';
import { mountRequest } from '../mount/mount-request.ts';
import type { GuardedMount } from '../mount/mount.ts';
import { isInTree, isOnTop, mountAt } from '../mount/mount-table.ts';
import { detachMount, prepareMountpoint } from '../mount/mountpoint.ts';
import { Log } from '../mount/observe/log.ts';
import { controlSocketPath } from './control-protocol.ts';
import { makePrivateDirectory } from './control-server.ts';
import { channelDescriptor } from './daemonize.ts';
import type { DaemonReport } from './daemonize.ts';
import { CommandError } from './exit-codes.ts';
import type { GuardedStart } from './guarded-daemon.ts';
import { onLines } from './line-channel.ts';
import type { MountInvocation } from './mount-invocation.ts';
import { openLog } from './serve.ts';
import type { ServeOptions } from './serve.ts';

/** So many deaths in this time, and the daemon is not started again: it would only die of the same. */
const mostDeaths = 5;
const deathsWithinMs = 30_000;

/** What nobody touches for days is taken from /tmp, and a mount at rest adds nothing to its journal. */
const touchMs = 6 * 3_600_000;

/** Where a daemon finds the device. */
const inheritedFd = channelDescriptor + 1;

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * Mounts, has a daemon serve the mount, and holds the device open: when the daemon dies, the kernel
 * keeps the mount and whoever asks it for something waits, until another daemon goes on. Does
 * nothing else, so that there is little that could end it. Its channel to the daemon carries lines:
 * the start as JSON, then `stop` and `force`; back come reports, as from any daemon.
 *
 * @param onReady called when the mount answers for the first time
 * @throws when the mount cannot be made, when something could not be committed at its end, or when
 * the daemon keeps dying
 */
export async function guard(
  invocation: MountInvocation,
  onReady: () => void,
  { givenUp }: Pick<ServeOptions, 'givenUp'> = {},
): Promise<void> {
  const logFile = await openLog(invocation);
  const { repository, options } = invocation;
  const { spoolDirectory = repository, nonEmpty = false } = options;
  const needed = { repository, spoolDirectory };
  const mountpoint = await prepareMountpoint(invocation.mountpoint, needed, { nonEmpty });
  const mounter = await chooseMounter();
  const { fd } = await mounter.mount(mountRequest(repository, mountpoint, options));
  const entry = await mountAt(mountpoint);
  if (entry === undefined) {
    closeSync(fd);
    throw new CommandError(`${mountpoint} was unmounted at once`);
  }
  const socketPath = controlSocketPath(entry);
  const journalPath = journalOf(socketPath, process.pid);
  const log = new Log(logFile, options.logLevel);
  const touching = setInterval(() => void touch(journalPath, log), touchMs);
  let endedInOrder = false;
  try {
    makePrivateDirectory(dirname(socketPath));
    await removeLeftJournals(socketPath);
    const guarded = { mountpoint, fd: inheritedFd, journalPath };
    const guardian = new Guardian(invocation, guarded, { fd, device: entry.device }, log);
    givenUp?.addEventListener('abort', () => guardian.giveUp());
    endedInOrder = await guardian.run(onReady);
  } finally {
    clearInterval(touching);
    // Numbers of devices come around: what has ours by now may be the next mount, at the same place.
    if (!endedInOrder && (await isOnTop(mountpoint, entry.device))) await detachMount(mountpoint);
    closeSync(fd);
    await rm(journalPath, { force: true });
    if (!(await isInTree({ device: entry.device }))) await rm(socketPath, { force: true });
    await logFile.close();
  }
}

/** Each guardian has its own, for two may have one number of a device, one after the other. */
function journalOf(socketPath: string, guardianPid: number): string {
  return socketPath.replace(/sock$/, `${guardianPid}.journal`);
}

/** Journals of guardians that were killed, and of mounts that had this number of a device. */
async function removeLeftJournals(socketPath: string): Promise<void> {
  const directory = dirname(socketPath);
  const stem = basename(socketPath, 'sock');
  for (const name of await readdir(directory)) {
    const [pid, ...end] = name.startsWith(stem) ? name.slice(stem.length).split('.') : [];
    const isJournal = end[0] === 'journal' && !isProcessAlive(Number(pid));
    if (isJournal) await rm(join(directory, name), { force: true });
  }
}

async function touch(path: string, log: Log): Promise<void> {
  try {
    const now = new Date();
    await utimes(path, now, now);
  } catch (error) {
    log.error('journal-lost', { reason: String(error) });
  }
}

/** How a daemon ended, and the last that it said. */
interface DaemonEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly report: DaemonReport | undefined;
}

class Guardian {
  readonly #invocation: MountInvocation;
  readonly #guarded: GuardedMount;
  readonly #fd: number;
  readonly #device: string;
  readonly #log: Log;
  #channel: Duplex | undefined;
  #isReady = false;
  #isStopping = false;

  constructor(
    invocation: MountInvocation,
    guarded: GuardedMount,
    { fd, device }: { readonly fd: number; readonly device: string },
    log: Log,
  ) {
    this.#invocation = invocation;
    this.#guarded = guarded;
    this.#fd = fd;
    this.#device = device;
    this.#log = log;
    for (const signal of stopSignals) process.on(signal, () => this.#stop());
  }

  /** Nobody waits for the mount any more, unless it is there. */
  giveUp(): void {
    if (!this.#isReady) this.#stop();
  }

  /** Until the mount is over. Tells whether a daemon has ended it, or has seen it end. */
  async run(onReady: () => void): Promise<boolean> {
    const deathsMs: number[] = [];
    for (;;) {
      const end = await this.#serve(onReady);
      const isOver = !this.#isReady || !(await isInTree({ device: this.#device }));
      if (isOver || end.code === 0) {
        throwFailure(end);
        return this.#isReady;
      }
      const { code, signal } = end;
      deathsMs.push(performance.now());
      this.#log.error('daemon-died', { code: code ?? undefined, signal: signal ?? undefined });
      if (this.#isStopping) return false;
      if (!existsSync(this.#guarded.journalPath)) {
        throw new CommandError(
          `the daemon died, and its journal ${this.#guarded.journalPath} is gone; ${this.#guarded.mountpoint} is unmounted`,
        );
      }
      const first = deathsMs.at(-mostDeaths) ?? -Infinity;
      if (performance.now() - first < deathsWithinMs) {
        throw new CommandError(
          `the daemon died ${mostDeaths} times within ${deathsWithinMs / 1000} s; ${this.#guarded.mountpoint} is unmounted`,
        );
      }
    }
  }

  /** One life of a daemon. */
  async #serve(onReady: () => void): Promise<DaemonEnd> {
    const daemon = this.#start();
    const ended = once(daemon, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    const channel = daemon.stdio[channelDescriptor] as Duplex;
    const start: GuardedStart = { invocation: this.#invocation, guarded: this.#guarded };
    channel.write(`${JSON.stringify(start)}\n`);
    this.#channel = channel;
    if (this.#isStopping) channel.write('stop\n');
    let report: DaemonReport | undefined;
    onLines(channel, (line) => {
      report = JSON.parse(line) as DaemonReport;
      if (!report.ready) return;
      this.#log.info('daemon-serves', { pid: daemon.pid });
      if (!this.#isReady) onReady();
      this.#isReady = true;
    });
    const [code, signal] = await ended;
    this.#channel = undefined;
    return { code, signal, report };
  }

  #start(): ChildProcess {
    const { repository, mountpoint } = this.#invocation;
    const program = fileURLToPath(new URL('./guarded-daemon.js', import.meta.url));
    // The paths are there for people who look at the list of processes.
    return spawn(process.execPath, [...process.execArgv, program, repository, mountpoint], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe', this.#fd],
    });
  }

  #stop(): void {
    this.#channel?.write(this.#isStopping ? 'force\n' : 'stop\n');
    this.#isStopping = true;
  }
}

function throwFailure({ code, signal, report }: DaemonEnd): void {
  if (report?.ready === false) throw new CommandError(report.message, report.exitCode);
  if (code === 0) return;
  const how = signal === null ? `with exit code ${code ?? '?'}` : `by ${signal}`;
  throw new CommandError(`the daemon ended ${how}; -f or --log-file shows why`);
}
