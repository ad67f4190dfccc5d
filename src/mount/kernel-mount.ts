import { openChannel } from './fuse/channel.ts';
import { openBackingDevice } from './fuse/backing-device.ts';
import { defaultFeatures } from './fuse/handshake.ts';
import { MountFailedError, modeChecking, chooseMounter, rootMounter } from './fuse/mounting.ts';
import type { Mounter, MountRequest } from './fuse/mounting.ts';
import { epochMinor } from './fuse/notify.ts';
import type { Notice } from './fuse/notify.ts';
import { FuseSession } from './fuse/session.ts';
import type { SessionEnd, SessionOptions } from './fuse/session.ts';
import { isOnTop, mountAt } from './mount-table.ts';
import type { MountTableEntry } from './mount-table.ts';
import type { NotifierRelay } from './notifier-relay.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';
import { readFurtherAhead } from './read-ahead.ts';
import { ResumableVfs } from './resume/resumable-vfs.ts';
import type { ResumeJournal } from './resume/resume-journal.ts';
import type { InodeTable } from './vfs/inode-table.ts';
import { rootIno } from './vfs/operations.ts';
import type { VfsOperations } from './vfs/operations.ts';

/** What the kernel still has to say once the unmount is done comes at once; a hang must not hold up the end. */
const sessionEndTimeoutMs = 10_000;

/** A filesystem in the kernel's tree, served from this process. */
export interface TransportMount {
  /** When the kernel has let go, whoever unmounted. Never rejects. */
  readonly done: Promise<unknown>;
  /**
   * Takes the mount out of the tree and ends the service. While files on it are in use it disappears
   * all the same, and what is open on it answers with errors from then on. A mount that others have
   * made in its place meanwhile is left alone.
   */
  close(): Promise<void>;
}

/** What a kernel mount is opened with, beside the request. */
export interface KernelMountOptions {
  /** Leads to the kernel from the first request on: from then on it keeps what it is told. */
  readonly notifier: NotifierRelay;
  /** The kernel may be given files that it reads by itself, which takes root. */
  readonly passthrough: boolean;
}

/** A mount that is there already, and what its daemons leave to each other. */
export interface ResumableDevice {
  readonly request: MountRequest;
  /** The device, which others hold open as well. */
  readonly fd: number;
  readonly journal: ResumeJournal;
  readonly inodes: InodeTable;
  /** See `KernelMountOptions`. */
  readonly notifier: NotifierRelay;
}

/** A mount whose requests are read from the kernel by this process itself. */
export class KernelMount implements TransportMount {
  readonly done: Promise<SessionEnd>;
  readonly #mountpoint: string;
  /** Its number in the mount table; `undefined` when it was not there any more. */
  readonly #device: string | undefined;
  readonly #mounter: Mounter;
  readonly #session: FuseSession;
  readonly #log: Log;
  #hasEnded = false;

  private constructor(
    { mountpoint, device }: { readonly mountpoint: string; readonly device: string | undefined },
    mounter: Mounter,
    session: FuseSession,
    log: Log,
  ) {
    this.#mountpoint = mountpoint;
    this.#device = device;
    this.#mounter = mounter;
    this.#session = session;
    this.#log = log;
    this.done = session.done.then((end) => {
      this.#hasEnded = true;
      return end;
    });
  }

  /**
   * Mounts, and returns when the kernel and the filesystem have agreed: then it answers.
   * @throws {MountFailedError} @throws {UnsupportedKernelError}
   */
  static async open(
    request: MountRequest,
    vfs: VfsOperations,
    log: Log,
    metrics: Metrics,
    { notifier, passthrough }: KernelMountOptions,
  ): Promise<KernelMount> {
    const { mountpoint } = request;
    const mounter = await chooseMounter();
    const { fd } = await mounter.mount(request);
    const entry = await mountAt(mountpoint);
    const device = entry?.device;
    const session = new FuseSession(openChannel(fd), vfs, {
      ...sessionOptions(entry, log, metrics),
      ...(passthrough &&
        mounter === rootMounter && {
          features: [...defaultFeatures, 'passthrough'],
          backingDevice: () => openBackingDevice(fd),
        }),
    });
    const mount = new KernelMount({ mountpoint, device }, mounter, session, log);
    notifier.connect(session.notifier);
    session.start();
    try {
      await session.ready;
      if (device !== undefined) await readFurtherAhead(device, log);
    } catch (error) {
      await mount.close();
      throw error;
    }
    return mount;
  }

  /** Goes on with a mount that is there, over its device: for the first daemon, or where one died. */
  static async resume(
    { request, fd, journal, inodes, notifier }: ResumableDevice,
    vfs: VfsOperations,
    log: Log,
    metrics: Metrics,
  ): Promise<KernelMount> {
    const { agreed, life } = journal;
    const { mountpoint } = request;
    const entry = await mountAt(mountpoint);
    const device = entry?.device;
    const resumable = new ResumableVfs(vfs, inodes, journal);
    if (life > 0) await resumable.resume(log);
    const session = new FuseSession(openChannel(fd), resumable, {
      ...sessionOptions(entry, log, metrics),
      ...(agreed !== undefined && { agreed, firstNotices: outdated(journal) }),
    });
    const mount = new KernelMount({ mountpoint, device }, await chooseMounter(), session, log);
    notifier.connect(resumable.notifier(session.notifier));
    session.start();
    if (agreed !== undefined) {
      forgetCaches(session, journal);
      return mount;
    }
    try {
      const protocol = await session.ready;
      if (protocol.minor < epochMinor) {
        throw new MountFailedError('--resilient needs Linux 6.16 or later', mountpoint);
      }
      journal.agree(protocol);
      if (device !== undefined) await readFurtherAhead(device, log);
    } catch (error) {
      await session.close();
      throw error;
    }
    return mount;
  }

  async close(): Promise<void> {
    try {
      if (!(await this.#isThere())) {
        this.#log.info('unmounted-by-others');
        return;
      }
      const { lazyReason } = await this.#mounter.unmount(this.#mountpoint);
      if (lazyReason !== undefined) {
        this.#log.info('unmounted-while-in-use', { reason: lazyReason });
        return;
      }
      await this.#endOfSession();
    } finally {
      await this.#session.close();
    }
  }

  /** Numbers of devices come around again: once the session is over, the next mount may have this one. */
  async #isThere(): Promise<boolean> {
    if (this.#hasEnded || this.#device === undefined) return false;
    return isOnTop(this.#mountpoint, this.#device);
  }

  async #endOfSession(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, sessionEndTimeoutMs);
    });
    await Promise.race([this.done, late]);
    clearTimeout(timer);
  }
}

/**
 * What the kernel keeps may be newer than what the dead daemon has made durable. Whoever has had an answer asks
 * for names and attributes anew; first comes what was asked of the daemon that died, for other notices may wait
 * for what such a request holds.
 */
function* outdated({ nodes }: ResumeJournal): Generator<Notice, void, undefined> {
  yield { kind: 'resend' };
  yield { kind: 'epoch' };
  for (const ino of nodes.keys()) yield { kind: 'attributes', ino };
}

/** The same for listings and content, which may be waited for. */
function forgetCaches({ notifier }: FuseSession, { nodes }: ResumeJournal): void {
  notifier.invalidateInode(rootIno);
  for (const ino of nodes.keys()) notifier.invalidateInode(ino);
}

function sessionOptions(
  entry: MountTableEntry | undefined,
  log: Log,
  metrics: Metrics,
): SessionOptions {
  // How it was mounted by whoever did, this process or a guardian, and for whom. What the table does not
  // tell counts as unchecked, which takes nothing from the one user who gets in then.
  const isChecked = entry?.options.includes(modeChecking) === true;
  const onlyUid = process.getuid?.() ?? 0;
  const options: SessionOptions = {
    log,
    ...(isChecked ? {} : { onlyUid }),
    measure: (name, durationMs, errno, contentBytes) => {
      const operation = metrics.operation(name);
      if (errno === 0) operation.succeeded(durationMs);
      else operation.failed(durationMs, errno);
      if (name === 'read') metrics.readBytes.add(contentBytes);
      else if (name === 'write') metrics.writtenBytes.add(contentBytes);
    },
  };
  if (!log.writes('debug')) return options;
  return { ...options, trace: (request) => log.debug('request', { ...request }) };
}
