import { closeSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { channelDescriptor, resilientWord, startTimeoutMs } from './daemonize.ts';
import type { DaemonReport } from './daemonize.ts';
import { exitCode } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { readLine } from './line-channel.ts';
import { mountInvocation } from './mount-invocation.ts';
import type { MountInvocation } from './mount-invocation.ts';
import { describeFailure, exitCodeOf } from './run-command.ts';
import { serve } from './serve.ts';
import { widenThreadPool } from './thread-pool.ts';

// The program of the background process. Either daemonize.ts starts it, tells it what to mount and waits
// for its report; or vost-mount.sh does, with nothing to tell but two paths.

/** Behind the paths, when they are all there is to know. */
const reportsWord = '--reports';

widenThreadPool();
// Loaded while whoever started this still reads its command line; a guardian does without it.
if (!process.argv.includes(resilientWord)) void import('../mount/mount.ts');
const [, , repository = '', mountpoint = '', word] = process.argv;
void (word === reportsWord ? mountAtOnce(repository, mountpoint) : main());

async function main(): Promise<void> {
  const channel = new Socket({ fd: channelDescriptor });
  const line = await readLine(channel, 10_000);
  if (line === undefined) process.exit(exitCode.failure);

  const report = (outcome: DaemonReport): void => {
    channel.end(`${JSON.stringify(outcome)}\n`);
  };
  // Whoever started this may be interrupted before the mount is there: then nobody wants it.
  const givenUp = new AbortController();
  channel.once('close', () => givenUp.abort());

  try {
    const invocation = JSON.parse(line) as MountInvocation;
    const run = invocation.resilient ? (await import('./guardian.ts')).guard : serve;
    await run(invocation, () => report({ ready: true }), { givenUp: givenUp.signal });
  } catch (error) {
    const message = describeFailure(error);
    process.exitCode = exitCodeOf(error);
    process.stderr.write(`vost-mount: ${message}\n`);
    if (!channel.writableEnded) report({ ready: false, message, exitCode: exitCodeOf(error) });
  }
}

/** Mounts, and reports to a shell: the exit code and a message, before the end of the channel. */
async function mountAtOnce(repository: string, mountpoint: string): Promise<void> {
  const givenUp = new AbortController();
  let hasReported = false;
  const report = (code: ExitCode, message = ''): void => {
    if (hasReported) return;
    hasReported = true;
    clearTimeout(timer);
    try {
      writeSync(channelDescriptor, `${code} ${message}\n`);
    } catch {
      // Nobody waits for the mount any more.
      givenUp.abort();
    }
    closeSync(channelDescriptor);
  };
  const timer = setTimeout(() => {
    report(exitCode.failure, 'the daemon did not get ready in time');
    process.kill(process.pid, 'SIGKILL');
  }, startTimeoutMs);
  try {
    const invocation = mountInvocation({ repository, mountpoint });
    process.chdir('/');
    await serve(invocation, () => report(exitCode.success), { stop: givenUp.signal });
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    report(exitCodeOf(error), describeFailure(error));
  }
}
