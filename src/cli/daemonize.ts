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

const startTimeoutMs = 60_000;

/** What is started, and for how long it is waited for. */
export interface DaemonStart {
  readonly program: string;
  readonly timeoutMs: number;
}

/**
 * Starts the daemon for a mount as a process of its own (own session, own directory, no terminal)
 * and returns when it serves. Options go to it over the channel, and its report comes back the
 * same way; a daemon that ends without one is reported too.
 *
 * @throws {CommandError} with the daemon's own words and exit code
 */
export async function startDaemon(
  invocation: MountInvocation,
  { program, timeoutMs }: DaemonStart = { program: daemonProgram(), timeoutMs: startTimeoutMs },
): Promise<void> {
  const log = invocation.logFile === undefined ? undefined : openLog(invocation.logFile);
  const output = log ?? 'ignore';
  const daemon = spawn(
    process.execPath,
    [
      ...process.execArgv,
      // The paths are there for people who look at the list of processes.
      ...[program, invocation.repository, invocation.mountpoint],
    ],
    { detached: true, cwd: '/', stdio: ['ignore', output, output, 'pipe'] },
  );
  if (log !== undefined) closeSync(log);
  await once(daemon, 'spawn');
  const channel = daemon.stdio[channelDescriptor] as Duplex;
  channel.write(`${JSON.stringify(invocation)}\n`);
  const report = await awaitReport(daemon, channel, timeoutMs);
  if (!report.ready) throw new CommandError(report.message, report.exitCode);
  channel.destroy();
  daemon.unref();
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
