/** What status.json says about one branch that is open on the mount. */
export interface BranchStatus {
  /** The short name, as text: `main`, `feature/x`. */
  readonly name: string;
  /** The commit that the branch points at; `null` before its first. */
  readonly tip: string | null;
  /** Files, links and directories changed since that commit. */
  readonly stagedFiles: number;
  /** Bytes of content that wait for a commit. */
  readonly stagedBytes: number;
  /** The last commit that this mount made on the branch. */
  readonly lastCommit: { readonly oid: string; readonly time: string } | null;
  /** Why the last commit failed; `null` when it did not. */
  readonly lastError: { readonly message: string; readonly time: string } | null;
  /** Paths that were changed here and outside at once, the newest first; the mount's content won. */
  readonly conflicts: readonly string[];
}

/** The state of a mount: what `/.vost/status.json` holds and `vost-mount status` shows. */
export interface MountStatus {
  readonly version: string;
  /** The git directory. */
  readonly repository: string;
  readonly mountpoint: string;
  readonly pid: number;
  readonly startTime: string;
  readonly uptimeSec: number;
  /** How many daemons of this mount have died, and were started again by `--resilient`. */
  readonly restarts: number;
  readonly readOnly: boolean;
  readonly branches: readonly BranchStatus[];
  /** Inodes that the kernel knows or that are held open. */
  readonly inodes: number;
  readonly openFiles: number;
  readonly openDirectories: number;
  readonly memory: {
    readonly residentBytes: number;
    readonly heapUsedBytes: number;
    readonly externalBytes: number;
  };
}

/** What a status is made from: what never changes, and where to ask for what does. */
export interface StatusSource {
  readonly version: string;
  readonly repository: string;
  readonly mountpoint: string;
  readonly readOnly: boolean;
  readonly restarts: number;
  /** When the mount began, in milliseconds since 1970. */
  readonly startedMs: number;
  readonly branches: () => readonly BranchStatus[];
  readonly counts: () => { inodes: number; openFiles: number; openDirectories: number };
}

/** The state of a mount at this moment. */
export function mountStatus(source: StatusSource): MountStatus {
  const { version, repository, mountpoint, readOnly, restarts, startedMs } = source;
  const memory = process.memoryUsage();
  return {
    version,
    repository,
    mountpoint,
    pid: process.pid,
    startTime: new Date(startedMs).toISOString(),
    uptimeSec: Math.max(0, Math.round((Date.now() - startedMs) / 1000)),
    restarts,
    readOnly,
    branches: source.branches(),
    ...source.counts(),
    memory: {
      residentBytes: memory.rss,
      heapUsedBytes: memory.heapUsed,
      externalBytes: memory.external,
    },
  };
}

/** A status as the text of status.json. */
export function statusJson(status: MountStatus): string {
  return `${JSON.stringify(status, undefined, 2)}\n`;
}
