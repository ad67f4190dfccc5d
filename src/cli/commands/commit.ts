import { askDaemon, findMount } from '../control-client.ts';
import { exitCode } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';

const commitTimeoutMs = 600_000;

/** `vost-mount commit MNT`: commits what is closed on every branch, and returns when that is durable. */
export async function commitCommand(options: {
  readonly mountpoint: string;
  readonly message?: string;
}): Promise<ExitCode> {
  const entry = await findMount(options.mountpoint);
  const { message } = options;
  await askDaemon(
    entry,
    { verb: 'commit', ...(message === undefined ? {} : { message }) },
    commitTimeoutMs,
  );
  return exitCode.success;
}
