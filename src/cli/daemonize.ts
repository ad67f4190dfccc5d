import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { CommandError, unwritableLog } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { readLine } from './line-channel.ts';
import type { MountInvocation } from './mount-invocation.ts';

/** What the daemon answers on its channel, as one line of JSON, when it knows how its start went. */
export type DaemonReport =
  | { readonly ready: true }
  | { readonly ready: false; readonly message: string; readonly exitCode: ExitCode };

/** The descriptor on which the daemon finds the channel to the process that started it. */
export const channelDescriptor = 3;

/** Behind the paths, for a daemon that is to be a guardian. */
export const resilientWord = '--resilient';

/** How long a mount may take to be made. */
export const startTimeoutMs = 60_000;

/** How a daemon is started; a test has programs of its own. */
export interface DaemonStart {
  readonly program?: string;
  readonly logFile?: string | undefined;
  readonly resilient?: boolean;
}

/**
 * A daemon in the background: a process of its own (own session, own directory, no terminal), which
 * waits on its channel for what it is to mount, and loads meanwhile what it needs for that.
 */
export class BackgroundDaemon {
  readonly repository: string;
  readonly mountpoint: string;
  readonly #process: ChildProcess;
  readonly #channel: Duplex;
  readonly #spawned: Promise<unknown>;

  private constructor(repository: string, mountpoint: string, daemon: ChildProcess) {
    this.repository = repository;
    this.mountpoint = mountpoint;
    this.#process = daemon;
    this.#channel = daemon.stdio[channelDescriptor] as Duplex;
    this.#spawned = once(daemon, 'spawn');
    // Told by `mount`, for whoever calls it.
    this.#spawned.catch(() => undefined);
  }

  /** Starts one for a mount. @throws {CommandError} when its log cannot be written */
  static start(
    repository: string,
    mountpoint: string,
    { program = daemonProgram(), logFile, resilient = false }: DaemonStart = {},
  ): BackgroundDaemon {
    const log = logFile === undefined ? undefined : openLog(logFile);
    const output = log ?? 'ignore';
    // The paths are there for people who look at the list of processes.
    const args = [...process.execArgv, program, repository, mountpoint];
    if (resilient) args.push(resilientWord);
    const daemon = spawn(process.execPath, args, {
      detached: true,
      cwd: '/',
      stdio: ['ignore', output, output, 'pipe'],
    });
    if (log !== undefined) closeSync(log);
    return new BackgroundDaemon(repository, mountpoint, daemon);
  }

  /**
   * Tells it what to mount, and returns when it serves. A daemon that ends without a report is
   * reported too.
   *
   * @throws {CommandError} with the daemon's own words and exit code
   */
  async mount(invocation: MountInvocation, timeoutMs: number = startTimeoutMs): Promise<void> {
    await this.#spawned;
    this.#channel.write(`${JSON.stringify(invocation)}\n`);
    const report = await awaitReport(this.#process, this.#channel, timeoutMs);
    if (!report.ready) throw new CommandError(report.message, report.exitCode);
    this.#channel.destroy();
    this.#process.unref();
  }

  /** Ends it; nothing was mounted yet. */
  abandon(): void {
    this.#channel.destroy();
    this.#process.kill('SIGKILL');
    this.#process.unref();
  }
}

async function awaitReport(
  daemon: ChildProcess,
  channel: Duplex,
  timeoutMs: number,
): Promise<DaemonReport> {
  const ended = once(daemon, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  let line: string | undefined;
  try {
    line = await readLine(channel, timeoutMs);
  } catch (error) {
    // Its session is its own: whatever it started goes with it.
    if (daemon.pid !== undefined && daemon.exitCode === null) process.kill(-daemon.pid, 'SIGKILL');
    throw new CommandError('the daemon did not get ready in time', undefined, { cause: error });
  }
  if (line !== undefined) return JSON.parse(line) as DaemonReport;
  const [code, signal] = await ended;
  const how = signal === null ? `with exit code ${code ?? '?'}` : `by ${signal}`;
  throw new CommandError(
    `the daemon ended ${how} before the mount was ready; -f or --log-file shows why`,
  );
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch (error) {
    throw unwritableLog(error);
  }
}

function daemonProgram(): string {
  return fileURLToPath(new URL('./daemon.js', import.meta.url));
}
