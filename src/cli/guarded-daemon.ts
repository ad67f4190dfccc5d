import { Socket } from 'node:net';
import type { GuardedMount } from '../mount/mount.ts';
import { channelDescriptor } from './daemonize.ts';
import type { DaemonReport } from './daemonize.ts';
import { onLines } from './line-channel.ts';
import type { MountInvocation } from './mount-invocation.ts';
import { describeFailure, exitCodeOf } from './run-command.ts';
import { serve } from './serve.ts';
import { widenThreadPool } from './thread-pool.ts';

// The program of a daemon that a guardian starts: guardian.ts says what comes over the channel.

/** What a daemon is told first. */
export interface GuardedStart {
  readonly invocation: MountInvocation;
  readonly guarded: GuardedMount;
}

/** What keeps the process alive after all this gets so long. */
const lingerMs = 2000;

widenThreadPool();
const channel = new Socket({ fd: channelDescriptor });
const stop = new AbortController();
const force = new AbortController();
const givenUp = new AbortController();
const report = (outcome: DaemonReport): void => {
  channel.write(`${JSON.stringify(outcome)}\n`);
};
// A guardian that is gone is no reason to end: the mount goes on as one without a guardian.
channel.once('close', () => givenUp.abort());

onLines(channel, (line) => {
  if (line === 'stop') stop.abort();
  else if (line === 'force') force.abort();
  else void run(JSON.parse(line) as GuardedStart);
});

async function run({ invocation, guarded }: GuardedStart): Promise<void> {
  try {
    await serve(invocation, () => report({ ready: true }), {
      ...{ givenUp: givenUp.signal, stop: stop.signal, force: force.signal, guarded },
    });
  } catch (error) {
    process.exitCode = exitCodeOf(error);
    const message = describeFailure(error);
    if (givenUp.signal.aborted) process.stderr.write(`vost-mount: ${message}\n`);
    report({ ready: false, message, exitCode: exitCodeOf(error) });
  } finally {
    channel.destroySoon();
    setTimeout(() => process.exit(), lingerMs).unref();
  }
}
