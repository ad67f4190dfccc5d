import { probeMount } from '../../mount/mountpoint.ts';
import { BackgroundDaemon } from '../daemonize.ts';
import { CommandError, exitCode } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';
import type { MountInvocation } from '../mount-invocation.ts';

/**
 * `vost-mount <repository> <mountpoint>`: returns when the mount answers, or, with `-f`, when it is over.
 * With `ahead` the daemon for it has been started already.
 */
export async function mountCommand(
  invocation: MountInvocation,
  ahead?: BackgroundDaemon,
): Promise<ExitCode> {
  if (invocation.foreground) {
    const run = invocation.resilient
      ? (await import('../guardian.ts')).guard
      : (await import('../serve.ts')).serve;
    const { notifySystemd } =
      process.env['NOTIFY_SOCKET'] === undefined ? {} : await import('../notify-systemd.ts');
    await run(invocation, () => notifySystemd?.(invocation.mountpoint));
    return exitCode.success;
  }
  if (invocation.options.logLevel !== undefined && invocation.logFile === undefined) {
    process.stderr.write(
      'vost-mount: in the background the log goes nowhere; add -f, or --log-file with a path\n',
    );
  }
  const { repository, mountpoint } = invocation;
  const daemon = ahead ?? BackgroundDaemon.start(repository, mountpoint, invocation);
  await daemon.mount(invocation);
  const liveness = await probeMount(mountpoint);
  if (liveness !== 'live') {
    throw new CommandError(`${mountpoint} is mounted, but it does not answer`);
  }
  return exitCode.success;
}
