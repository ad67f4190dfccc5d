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
 * mount whose daemon has crashed is only taken away.
 */
export async function unmountCommand(options: { readonly mountpoint: string }): Promise<ExitCode> {
  const entry = await findMount(options.mountpoint);
  if ((await probeMount(entry.mountpoint)) === 'dead') {
    await detachMount(entry.mountpoint);
  } else {
    await askDaemon(entry, { verb: 'unmount' }, unmountTimeoutMs);
  }
  await waitUntilGone(entry);
  return exitCode.success;
}

async function waitUntilGone({ device, mountpoint }: MountTableEntry): Promise<void> {
  const deadlineMs = Date.now() + goneTimeoutMs;
  while ((await readMountTable()).some((entry) => entry.device === device)) {
    if (Date.now() > deadlineMs) throw new CommandError(`${mountpoint} is still mounted`);
    await sleep(20);
  }
}
