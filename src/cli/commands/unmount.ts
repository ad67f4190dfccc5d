import { setTimeout as sleep } from 'node:timers/promises';
import { readMountTable } from '../../mount/mount-table.ts';
import type { MountTableEntry } from '../../mount/mount-table.ts';
import { detachMount, probeMount } from '../../mount/mountpoint.ts';
import { askDaemon, findMount } from '../control-client.ts';
import { CommandError, exitCode } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';

const unmountTimeoutMs = 120_000;
const goneTimeoutMs = 10_000;

/**
 * `vost-mount unmount MNT`: returns when everything closed is committed and the mount is gone. A
 * mount whose daemon has crashed is only taken away, and so is one whose daemon hangs: when it goes
 * on, it finds the mount gone, commits what is closed and ends.
 *
 * @param timeoutMs how long the mount may take to go, once it is said to be gone
 */
export async function unmountCommand(
  options: { readonly mountpoint: string },
  timeoutMs: number = goneTimeoutMs,
): Promise<ExitCode> {
  const entry = await findMount(options.mountpoint);
  const liveness = await probeMount(entry.mountpoint);
  if (liveness === 'dead' || liveness === 'hanging') {
    await detachMount(entry.mountpoint);
    if (liveness === 'hanging') {
      process.stderr.write(
        `vost-mount: ${entry.mountpoint} is unmounted, but its daemon hangs; what is closed is committed when it goes on\n`,
      );
    }
  } else {
    await askDaemon(entry, { verb: 'unmount' }, unmountTimeoutMs);
  }
  await waitUntilGone(entry, timeoutMs);
  return exitCode.success;
}

async function waitUntilGone(
  { device, mountpoint }: MountTableEntry,
  timeoutMs: number,
): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs;
  while ((await readMountTable()).some((entry) => entry.device === device)) {
    if (Date.now() > deadlineMs) throw new CommandError(`${mountpoint} is still mounted`);
    await sleep(20);
  }
}
