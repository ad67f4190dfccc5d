import { setTimeout as sleep } from 'node:timers/promises';
import { isInTree } from '../../mount/mount-table.ts';
import type { MountTableEntry } from '../../mount/mount-table.ts';
import { detachMount, probeMount } from '../../mount/mountpoint.ts';
import { askDaemon, findMount, LostDaemonError } from '../control-client.ts';
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
  if (liveness === 'dead') {
    await detachMount(entry.mountpoint);
  } else if (liveness === 'hanging') {
    await detachMount(entry.mountpoint);
    note(
      `${entry.mountpoint} is unmounted, but its daemon hangs; what is closed is committed when it goes on`,
    );
  } else {
    await askToUnmount(entry);
  }
  await waitUntilGone(entry, timeoutMs);
  return exitCode.success;
}

/** Whoever cannot be asked is told by the kernel, as by umount(8). */
async function askToUnmount(entry: MountTableEntry): Promise<void> {
  try {
    await askDaemon(entry, { verb: 'unmount' }, unmountTimeoutMs);
  } catch (error) {
    if (!(error instanceof LostDaemonError)) throw error;
    // It was on its way out already, and is gone by now.
    if (!(await isInTree(entry))) return;
    await detachMount(entry.mountpoint);
    note(
      `${entry.mountpoint} is unmounted, but its daemon could not be asked; if there is one, it commits what is closed and ends`,
    );
  }
}

function note(message: string): void {
  process.stderr.write(`vost-mount: ${message}\n`);
}

async function waitUntilGone(entry: MountTableEntry, timeoutMs: number): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs;
  while (await isInTree(entry)) {
    if (Date.now() > deadlineMs) throw new CommandError(`${entry.mountpoint} is still mounted`);
    await sleep(20);
  }
}
