import { printable } from '../../mount/observe/printable.ts';
import type { BranchStatus, MountStatus } from '../../mount/observe/status.ts';
import { askDaemon, findMount } from '../control-client.ts';
import { CommandError, exitCode } from '../exit-codes.ts';
import type { ExitCode } from '../exit-codes.ts';

const statusTimeoutMs = 5000;

/** `vost-mount status MNT`: the state of a mount, in words or as the JSON of `.vost/status.json`. */
export async function statusCommand(options: {
  readonly mountpoint: string;
  readonly json: boolean;
}): Promise<ExitCode> {
  const entry = await findMount(options.mountpoint);
  const { status } = await askDaemon(entry, { verb: 'status' }, statusTimeoutMs);
  if (status === undefined) throw new CommandError('the daemon answered without a status');
  process.stdout.write(options.json ? `${JSON.stringify(status, null, 2)}\n` : inWords(status));
  return exitCode.success;
}

function inWords(status: MountStatus): string {
  const lines = [
    `repository  ${status.repository}`,
    `mountpoint  ${status.mountpoint}${status.readOnly ? ' (read-only)' : ''}`,
    `daemon      pid ${status.pid}, version ${status.version}, up since ${status.startTime}`,
    ...(status.restarts === 0 ? [] : [`restarts    ${status.restarts}`]),
    `open files  ${status.openFiles}`,
    ...status.branches.flatMap(branchInWords),
  ];
  return lines.map((line) => `${printable(line)}\n`).join('');
}

function branchInWords(branch: BranchStatus): string[] {
  const tip = branch.tip === null ? 'no commit yet' : `at ${branch.tip.slice(0, 12)}`;
  const staged =
    branch.stagedFiles === 0
      ? 'nothing staged'
      : `${branch.stagedFiles} staged (${branch.stagedBytes} bytes)`;
  const { lastError } = branch;
  return [
    `branch      ${branch.name}: ${tip}, ${staged}`,
    ...(lastError === null ? [] : [`            ${lastError.time}: ${lastError.message}`]),
    ...branch.conflicts.map((path) => `            changed outside as well: ${path}`),
  ];
}
