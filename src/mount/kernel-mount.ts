import { openChannel } from './fuse/channel.ts';
import { chooseMounter } from './fuse/mounting.ts';
import type { Mounter, MountRequest } from './fuse/mounting.ts';
import { FuseSession } from './fuse/session.ts';
import type { SessionEnd, SessionOptions } from './fuse/session.ts';
import type { Log } from './observe/log.ts';
import type { Metrics } from './observe/metrics.ts';
import { readFurtherAhead } from './read-ahead.ts';
import type { KernelNotifier, VfsOperations } from './vfs/operations.ts';

/** What the kernel still has to say once the unmount is done comes at once; a hang must not hold up the end. */
const sessionEndTimeoutMs = 10_000;

/** A filesystem in the kernel's tree, served from this process. */
export interface TransportMount {
  readonly notifier: KernelNotifier;
  /** When the kernel has let go, whoever unmounted. Never rejects. */
  readonly done: Promise<unknown>;
  /**
   * Takes the mount out of the tree and ends the service. While files on it are in use it disappears
   * all the same, and what is open on it answers with errors from then on.
   */
  close(): Promise<void>;
}

/** A mount whose requests are read from the kernel by this process itself. */
export class KernelMount implements TransportMount {
  readonly notifier: KernelNotifier;
  readonly done: Promise<SessionEnd>;
  readonly #mountpoint: string;
  readonly #mounter: Mounter;
  readonly #session: FuseSession;
  readonly #log: Log;

  private constructor(request: MountRequest, mounter: Mounter, session: FuseSession, log: Log) {
    this.#mountpoint = request.mountpoint;
    this.#mounter = mounter;
    this.#session = session;
    this.#log = log;
    this.notifier = session.notifier;
    this.done = session.done;
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
  ): Promise<KernelMount> {
    const mounter = await chooseMounter();
    const { fd } = await mounter.mount(request);
    const session = new FuseSession(openChannel(fd), vfs, sessionOptions(log, metrics));
    const mount = new KernelMount(request, mounter, session, log);
    session.start();
    try {
      await session.ready;
      await readFurtherAhead(request.mountpoint, log);
    } catch (error) {
      await mount.close();
      throw error;
    }
    return mount;
  }

  async close(): Promise<void> {
    try {
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

  async #endOfSession(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, sessionEndTimeoutMs);
    });
    await Promise.race([this.done, late]);
    clearTimeout(timer);
  }
}

function sessionOptions(log: Log, metrics: Metrics): SessionOptions {
  const options: SessionOptions = {
    log,
    measure: (name, durationMs, errno) => {
      const operation = metrics.operation(name);
      if (errno === 0) operation.succeeded(durationMs);
      else operation.failed(durationMs, errno);
    },
  };
  if (!log.writes('debug')) return options;
  return { ...options, trace: (request) => log.debug('request', { ...request }) };
}
