import type { CacheCounts } from '../../git/odb/counted-cache.ts';
import type { CommitCounts } from '../branch/commit-counts.ts';
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

/** What the branches of a mount have done, as metrics. */
export function commitMeasures(counts: Readonly<CommitCounts>): Measure[] {
  return [
    counter('vost_commits_total', 'Commits made.', counts.commits),
    counter(
      'vost_commit_retries_total',
      'Commits begun again because others had moved the branch.',
      counts.retries,
    ),
    counter(
      'vost_commit_failures_total',
      'Attempts to commit that failed, to be made again.',
      counts.failures,
    ),
    counter(
      'vost_reconciles_total',
      'How often a branch took in what others had made of it.',
      counts.reconciles,
    ),
  ];
}

/** How useful the caches of objects are, as metrics. */
export function cacheMeasures(caches: readonly CacheCounts[]): Measure[] {
  const label = ({ name }: CacheCounts): string => `cache="${name}"`;
  return [
    ...caches.map((cache): Measure => ({
      ...counter('vost_cache_hits_total', 'What was found in a cache.', cache.hits),
      label: label(cache),
    })),
    ...caches.map((cache): Measure => ({
      ...counter('vost_cache_misses_total', 'What was not found in a cache.', cache.misses),
      label: label(cache),
    })),
    ...caches.map((cache): Measure => ({
      ...gauge('vost_cache_bytes', 'What a cache takes.', cache.sizeBytes),
      label: label(cache),
    })),
  ];
}

function counter(name: string, help: string, value: number): Measure {
  return { name, help, type: 'counter', value };
}

function gauge(name: string, help: string, value: number): Measure {
  return { name, help, type: 'gauge', value };
}
