import { isInTree, readMountTable, vostMountType } from '../../mount/mount-table.ts';
import type { MountTableEntry } from '../../mount/mount-table.ts';
import { probeMount } from '../../mount/mountpoint.ts';
import type { MountLiveness } from '../../mount/mountpoint.ts';
import { printable } from '../../mount/observe/printable.ts';
import { exitCode } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';

/** `vost-mount list`: the mounts there are, a line each, with those marked that do not answer. */
export async function listCommand(options: { readonly json: boolean }): Promise<ExitCode> {
  const entries = (await readMountTable()).filter((entry) => entry.type === vostMountType);
  const looks = await Promise.all(
    entries.map(async (entry) => {
      const { source, mountpoint } = entry;
      return { repository: source, mountpoint, state: await stateOf(entry) };
    }),
  );
  const mounts = looks.filter(({ state }) => state !== 'gone');
  const lines = options.json
    ? [JSON.stringify(mounts, null, 2)]
    : mounts.map(({ repository, mountpoint, state }) =>
        printable([repository, mountpoint, ...(state === 'live' ? [] : [`(${state})`])].join('  ')),
      );
  for (const line of lines) process.stdout.write(`${line}\n`);
  return exitCode.success;
}

/** A mount may go while it is looked at, and its directory with it: that is no reason to list none. */
async function stateOf(entry: MountTableEntry): Promise<MountLiveness | 'gone'> {
  try {
    const liveness = await probeMount(entry.mountpoint);
    return (await isInTree(entry)) ? liveness : 'gone';
  } catch (error) {
    if (await isInTree(entry)) throw error;
    return 'gone';
  }
}
