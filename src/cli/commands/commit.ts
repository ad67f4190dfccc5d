import { askDaemon, findMount } from '../control-client.ts';
import { exitCode } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';

const commitTimeoutMs = 600_000;

/**
 * `vost-mount commit MNT`: commits what is closed on every branch, returns when that is durable, and
 * names the commits.
 */
export async function commitCommand(options: {
  readonly mountpoint: string;
  readonly message?: string;
}): Promise<ExitCode> {
  const entry = await findMount(options.mountpoint);
  const { message } = options;
  const { commits = [] } = await askDaemon(
    entry,
    { verb: 'commit', ...(message === undefined ? {} : { message }) },
    commitTimeoutMs,
  );
  for (const { branch, oid } of commits) process.stdout.write(`${branch} ${oid}\n`);
  // With other policies than `manual` that is usual, and then the message went nowhere.
  if (commits.length === 0) process.stderr.write('vost-mount: nothing was left to commit\n');
  return exitCode.success;
}
