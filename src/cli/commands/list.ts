import { readMountTable, vostMountType } from '../../mount/mount-table.ts';
import { probeMount } from '../../mount/mountpoint.ts';
import { exitCode } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';

/** `vost-mount list`: the mounts there are, a line each, with those marked that do not answer. */
export async function listCommand(options: { readonly json: boolean }): Promise<ExitCode> {
  const entries = (await readMountTable()).filter((entry) => entry.type === vostMountType);
  const mounts = await Promise.all(
    entries.map(async ({ source, mountpoint }) => ({
      repository: source,
      mountpoint,
      state: await probeMount(mountpoint),
    })),
  );
  const lines = options.json
    ? [JSON.stringify(mounts, null, 2)]
    : mounts.map(({ repository, mountpoint, state }) =>
        [repository, mountpoint, ...(state === 'live' ? [] : [`(${state})`])].join('  '),
      );
  for (const line of lines) process.stdout.write(`${line}\n`);
  return exitCode.success;
}
