import type { Measure } from './metrics.ts';
import type { BranchStatus, MountStatus } from './status.ts';

/** What the status of a mount tells, as metrics. */
export function statusGauges(status: MountStatus): Measure[] {
  const { branches, memory } = status;
  const sum = (read: (branch: BranchStatus) => number): number =>
    branches.reduce((total, branch) => total + read(branch), 0);
  const failing = sum(({ lastError }) => (lastError === null ? 0 : 1));
  return [
    gauge('vost_uptime_seconds', 'How long the repository has been mounted.', status.uptimeSec),
    counter('vost_restarts_total', 'Daemons of this mount that died.', status.restarts),
    gauge('vost_inodes', 'Inodes that the kernel knows or that are held open.', status.inodes),
    gauge('vost_open_files', 'Open files.', status.openFiles),
    gauge('vost_open_directories', 'Open directories.', status.openDirectories),
    gauge('vost_open_branches', 'Branches that were looked into.', branches.length),
    gauge(
      'vost_staged_files',
      'Files that wait for a commit.',
      sum((branch) => branch.stagedFiles),
    ),
    gauge(
      'vost_staged_bytes',
      'Bytes that wait for a commit.',
      sum((branch) => branch.stagedBytes),
    ),
    gauge('vost_failing_branches', 'Branches whose last commit failed.', failing),
    gauge('vost_resident_bytes', 'Memory of the daemon.', memory.residentBytes),
    gauge('vost_heap_used_bytes', 'Memory of objects in the daemon.', memory.heapUsedBytes),
    gauge('vost_external_bytes', 'Memory of buffers in the daemon.', memory.externalBytes),
  ];
}

function counter(name: string, help: string, value: number): Measure {
  return { name, help, type: 'counter', value };
}

function gauge(name: string, help: string, value: number): Measure {
  return { name, help, type: 'gauge', value };
}
