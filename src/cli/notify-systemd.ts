import { execFile } from 'node:child_process';

const notifyTimeoutMs = 10_000;

/**
 * Tells systemd that the service is ready (sd_notify(3)). Node has no datagram sockets of the unix
 * kind, so systemd's own program sends it; the unit needs `NotifyAccess=all`.
 */
export function notifySystemd(mountpoint: string): void {
  const args = ['--ready', `--status=serving ${mountpoint}`, `--pid=${process.pid}`];
  execFile('systemd-notify', args, { timeout: notifyTimeoutMs }, (error) => {
    if (error === null) return;
    process.stderr.write(
      `vost-mount: systemd was not told that the mount is ready: ${error.message.trim()}\n`,
    );
  });
}
