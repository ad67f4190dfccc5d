import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  FileNotFoundError,
  InvalidArgumentError,
  NotARepositoryError,
  PermissionError,
} from '../errors.ts';
import { isSystemError } from '../git/system-error.ts';
import type { Identity } from '../git/identity.ts';
import { Repository } from '../git/repository.ts';
import type { GitStore } from '../store/git-store.ts';
import { FileSizes } from './file-sizes.ts';
import { FreedMemory } from './freed-memory.ts';
import { KernelMount } from './kernel-mount.ts';
import type { TransportMount } from './kernel-mount.ts';
import type { MountOptions } from './mount-options.ts';
import { SpoolDirectory } from './branch/spool-file.ts';
import { isReadOnly, mountRequest } from './mount-request.ts';
import { prepareMountpoint } from './mountpoint.ts';
import { NotifierRelay } from './notifier-relay.ts';
import { cacheMeasures, statusGauges } from './observe/gauges.ts';
import { LogFile } from './observe/log-file.ts';
import { Log } from './observe/log.ts';
import type { LogTarget } from './observe/log.ts';
import { Metrics } from './observe/metrics.ts';
import { mountStatus } from './observe/status.ts';
import type { MountStatus } from './observe/status.ts';
import { ResumeJournal, firstNumber } from './resume/resume-journal.ts';
import { serveTree } from './serve-tree.ts';
import type { ServedTree } from './serve-tree.ts';
import { SizesFile } from './sizes-file.ts';
import { InoAllocator } from './vfs/ino-allocator.ts';
import { InodeTable } from './vfs/inode-table.ts';
import { statfsOf } from './vfs/statfs.ts';
import { Vfs } from './vfs/vfs.ts';

/** A repository that is mounted by this process. */
export interface MountHandle {
  /** The directory, without symbolic links. */
  readonly mountpoint: string;
  /**
   * When the mount is over, whoever ended it, and everything is committed and closed. Rejects when
   * something could not be committed.
   */
  readonly done: Promise<void>;
  /**
   * Commits what is closed, unmounts and closes; a mount that is in use disappears all the same.
   * Calling it again waits for the same end. Rejects as `done` does.
   */
  unmount(): Promise<void>;
  /** Commits what is closed, on every branch, and returns when that is durable. */
  commit(message?: string): Promise<void>;
  status(): MountStatus;
}

/**
 * Mounts a repository, and serves it from the event loop of this process until the mount ends. This
 * process must never touch the mount by a synchronous call: it would wait for itself.
 *
 * @param source the path of a repository, or an open store, which is left open in the end
 * @param logTarget where the log goes; default is the standard error
 * @throws {MountpointError} @throws {MountFailedError} @throws {FileNotFoundError}
 * @throws {NotARepositoryError} @throws {KeyNotFoundError} for a branch, tag or commit that is not there
 */
export async function mount(
  source: GitStore | string,
  mountpoint: string,
  options: MountOptions = {},
  logTarget: LogTarget = LogFile.standardError(),
): Promise<MountHandle> {
  const given = [options.branch, options.ref, options.tag].filter((name) => name !== undefined);
  if (given.length > 1) throw new InvalidArgumentError('branch, ref and tag exclude each other');
  const repositoryPath = typeof source === 'string' ? source : source.context.repository.gitDir;
  const { spoolDirectory = repositoryPath } = options;
  const place = await prepareMountpoint(
    mountpoint,
    { repository: repositoryPath, spoolDirectory },
    { nonEmpty: options.nonEmpty ?? false },
  );
  if (options.spoolDirectory !== undefined && !isReadOnly(options)) {
    await new SpoolDirectory(options.spoolDirectory).prepare();
  }
  const repository =
    typeof source === 'string' ? await openRepository(source, options) : source.context.repository;
  const letGo = async (): Promise<void> => {
    if (typeof source === 'string') await repository.close();
  };
  const transport = await chooseTransport(options);
  const make: MakeMount = {
    // libfuse has no way to do without open and opendir.
    canOmitOpen: transport === KernelMount,
    firstIno: firstNumber(0),
    open: ({ vfs, log, metrics, notifier, hasHistory }) => {
      const request = mountRequest(repository.gitDir, place, options);
      return transport.open(request, vfs, log, metrics, { notifier, passthrough: hasHistory });
    },
  };
  try {
    return await Mount.open(repository, place, options, logTarget, make, letGo);
  } catch (error) {
    await letGo();
    throw error;
  }
}

/** A mount that a guardian keeps, for one daemon after the other. */
export interface GuardedMount {
  /** The directory, without symbolic links. */
  readonly mountpoint: string;
  /** The device of the mount, which the guardian holds open too. */
  readonly fd: number;
  /** The file by which a daemon tells the next one what that has to know. */
  readonly journalPath: string;
}

/**
 * Serves a mount that is there, as its first daemon or in the place of one that died. The options
 * are to be the same for all of them. When this fails, the mount is left as it is.
 *
 * @throws {MountFailedError} when the kernel is too old for it
 */
export async function serveGuarded(
  path: string,
  guarded: GuardedMount,
  options: MountOptions,
  logTarget: LogTarget,
): Promise<MountHandle> {
  const { mountpoint, fd, journalPath } = guarded;
  const repository = await openRepository(path, options);
  const journal = ResumeJournal.open(journalPath);
  const letGo = async (): Promise<void> => {
    journal.close();
    await repository.close();
  };
  const make: MakeMount = {
    // Without open, nobody would know what is open.
    canOmitOpen: false,
    firstIno: firstNumber(journal.life),
    restarts: journal.life,
    open: ({ vfs, inodes, log, metrics, notifier }) => {
      const request = mountRequest(repository.gitDir, mountpoint, options);
      return KernelMount.resume({ request, fd, journal, inodes, notifier }, vfs, log, metrics);
    },
  };
  try {
    return await Mount.open(repository, mountpoint, options, logTarget, make, letGo);
  } catch (error) {
    await letGo();
    throw error;
  }
}

/** Where the kernel's part of a mount comes from. */
interface MakeMount {
  readonly canOmitOpen: boolean;
  readonly firstIno: number;
  readonly restarts?: number;
  open(made: {
    readonly vfs: Vfs;
    readonly inodes: InodeTable;
    readonly log: Log;
    readonly metrics: Metrics;
    readonly notifier: NotifierRelay;
    /** There are snapshots beside the branches, whose files are opened. */
    readonly hasHistory: boolean;
  }): Promise<TransportMount>;
}

/**
 * How often the mount looks after what it holds. Packs that nobody reads are closed after a turn at
 * least, and two at most.
 */
const upkeepMs = 10_000;

/** When whoever waited for the mount has his first answers, and there is time for what a lock will need. */
const answeredMs = 200;

class Mount implements MountHandle {
  readonly mountpoint: string;
  readonly done: Promise<void>;
  readonly status: () => MountStatus;
  readonly #kernel: TransportMount;
  readonly #tree: ServedTree;
  readonly #log: Log;
  #unmounting: Promise<void> | undefined;

  private constructor(
    mountpoint: string,
    kernel: TransportMount,
    tree: ServedTree,
    log: Log,
    status: () => MountStatus,
    keepUp: () => void,
    letGo: () => Promise<void>,
  ) {
    this.mountpoint = mountpoint;
    this.status = status;
    this.#kernel = kernel;
    this.#tree = tree;
    this.#log = log;
    const upkeep = setInterval(keepUp, upkeepMs).unref();
    this.done = kernel.done
      .then(() => tree.close())
      .then(() => log.info('unmounted', { mountpoint }))
      .finally(() => {
        clearInterval(upkeep);
        return letGo();
      });
    // Whoever asks learns of a failure; nobody has to.
    this.done.catch(() => undefined);
  }

  static async open(
    repository: Repository,
    mountpoint: string,
    options: MountOptions,
    logTarget: LogTarget,
    make: MakeMount,
    letGo: () => Promise<void>,
  ): Promise<Mount> {
    const log = new Log(logTarget, options.logLevel);
    const metrics = new Metrics();
    const notifier = new NotifierRelay();
    const inodes = new InodeTable();
    const { gitDir } = repository;
    const readOnly = isReadOnly(options);
    const status = (): MountStatus =>
      mountStatus({
        ...{ version: packageVersion(), repository: gitDir, mountpoint, readOnly, startedMs },
        restarts: make.restarts ?? 0,
        branches: () => tree.branches(),
        counts: () => vfs.counts(),
      });
    const startedMs = Date.now();
    metrics.measure(() => statusGauges(status()));
    metrics.measure(() => cacheMeasures(repository.odb.cacheCounts()));
    const owner = {
      uid: options.uid ?? process.getuid?.() ?? 0,
      gid: options.gid ?? process.getgid?.() ?? 0,
    };
    const sizesFile = new SizesFile({
      path: join(gitDir, 'vost', 'sizes'),
      algorithm: repository.odb.algorithm,
      writable: !readOnly,
      onFailure: (error) => log.debug('sizes-not-kept', { reason: String(error) }),
    });
    const sizes = new FileSizes(repository.odb, sizesFile);
    const sizesOpened = sizesFile.open();
    const tree = await serveTree({
      ...{ repository, options, log, notifier, metrics, status, readOnly },
      identity: identityOf(repository, options),
      context: { inos: new InoAllocator(make.firstIno), inodes, owner, sizes },
    });
    await sizesOpened;
    const vfs = new Vfs({
      ...{
        root: tree.root,
        inodes,
        log,
        readOnly,
        immutable: tree.immutable && make.canOmitOpen,
        keepsListings: tree.keepsListings && make.canOmitOpen,
        xattrs: true,
      },
      statfs: () => statfsOf(gitDir),
    });
    try {
      const hasHistory = !tree.keepsListings;
      const kernel = await make.open({ vfs, inodes, log, metrics, notifier, hasHistory });
      log.info('mounted', { repository: gitDir, mountpoint });
      // Who takes the first lock is told what goes wrong with it.
      setTimeout(() => void repository.owner().catch(() => undefined), answeredMs).unref();
      const freedMemory = new FreedMemory(log);
      const keepUp = (): void => {
        repository.odb.closeIdleFiles();
        void sizesFile.keepUp();
        void freedMemory.giveBack();
      };
      const end = async (): Promise<void> => {
        await sizesFile.keepUp();
        await letGo();
      };
      return new Mount(mountpoint, kernel, tree, log, status, keepUp, end);
    } catch (error) {
      await tree.close();
      throw error;
    }
  }

  commit(message?: string): Promise<void> {
    return this.#tree.commit(message);
  }

  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount();
    return this.#unmounting;
  }

  async #unmount(): Promise<void> {
    try {
      // Before the unmount, while the mount still answers: after it only what came since is left.
      await this.#tree.sync();
    } catch (error) {
      // Tried once more when the kernel is gone, and then it counts.
      this.#log.warn('commit-before-unmount-failed', { reason: String(error) });
    }
    await this.#kernel.close();
    await this.done;
  }
}

/** The kernel transport is Linux's own; what only the other one needs is loaded for it alone. */
async function chooseTransport(
  options: MountOptions,
): Promise<{ open: (...args: Parameters<typeof KernelMount.open>) => Promise<TransportMount> }> {
  const { transport = 'auto' } = options;
  if (transport === 'kernel' || (transport === 'auto' && process.platform === 'linux')) {
    return KernelMount;
  }
  return (await import('./libfuse/libfuse-mount.ts')).LibfuseMount;
}

/** An fsync can wait for git to expire a long reflog, which it does under the lock of the ref. */
const lockTimeoutMs = 5000;

/** That of `git add`: who saves a file waits for it, and a repack can do better later. */
const defaultCompressionLevel = 1;

/** Opens a repository, or makes one that begins with an empty commit on `main`. */
async function openRepository(path: string, options: MountOptions): Promise<Repository> {
  const { cacheSizeBytes, author, email, setsUmask } = options;
  // What cannot write takes no locks, and may not be allowed to mark any.
  const markLocks = !isReadOnly(options);
  const repositoryOptions = {
    ...{ cacheSizeBytes, markLocks, lockTimeoutMs, defaultCompressionLevel, setsUmask },
  };
  try {
    return await Repository.open(path, repositoryOptions);
  } catch (error) {
    if (options.create === false && error instanceof FileNotFoundError) {
      throw new FileNotFoundError(`${path} does not exist, and it is not to be created`, {
        path,
        cause: error,
      });
    }
    if (isSystemError(error, 'EROFS')) {
      throw new PermissionError(
        `${path} is on a filesystem that is read-only, and can be mounted with --read-only alone`,
        { path, cause: error },
      );
    }
    const isMissing = error instanceof FileNotFoundError || error instanceof NotARepositoryError;
    if (!isMissing || options.create === false) throw error;
  }
  // Loaded here alone: a mount of what is there starts sooner without it.
  const { GitStore } = await import('../store/git-store.ts');
  await (await GitStore.open(path, { author, email })).close();
  return Repository.open(path, repositoryOptions);
}

function identityOf(repository: Repository, { author, email }: MountOptions): Identity {
  const configured = repository.configuredIdentity ?? { name: 'vost', email: 'vost@localhost' };
  return { name: author ?? configured.name, email: email ?? configured.email };
}

function packageVersion(): string {
  const manifest = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
