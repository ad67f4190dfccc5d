import { Socket } from 'node:net';
import { channelDescriptor, resilientWord } from './daemonize.ts';
import type { DaemonReport } from './daemonize.ts';
import { exitCode } from './exit-codes.ts';
import { readLine } from './line-channel.ts';
import type { MountInvocation } from './mount-invocation.ts';
import { describeFailure, exitCodeOf } from './run-command.ts';
import { serve } from './serve.ts';

// The program of the background process; daemonize.ts starts it and waits for its report.

// Loaded while whoever started this still reads its command line; a guardian does without it.
if (!process.argv.includes(resilientWord)) void import('../mount/mount.ts');
void main();

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
