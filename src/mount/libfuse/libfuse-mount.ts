import { bytesFromText } from '../../git/byte-string.ts';
import { chooseMounter, checkedExtraOptions, MountFailedError } from '../fuse/mounting.ts';
import type { Mounter, MountRequest } from '../fuse/mounting.ts';
import { printableName } from '../fuse/request-trace.ts';
import type { TransportMount } from '../kernel-mount.ts';
import { isInTree, isOnTop, mountAt, vostMountType } from '../mount-table.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { VfsOperations } from '../vfs/operations.ts';
import { nativeMount } from './fuse-native.ts';
import type { NativeMount } from './fuse-native.ts';
import { PathOperations } from './path-operations.ts';
import type { RequestObserver } from './path-operations.ts';

/** fuse-native does not tell when the kernel has let go, so the mount table is looked at. */
const watchIntervalMs = 250;

/**
 * A filesystem that is served by way of the package fuse-native; its limits are in
 * native-notes/platforms.md. The kernel is told to keep nothing, so it has to be told of no change.
 */
export class LibfuseMount implements TransportMount {
  readonly done: Promise<void>;
  readonly #mountpoint: string;
  readonly #device: string;
  readonly #mounter: Mounter;
  readonly #native: NativeMount;
  readonly #vfs: VfsOperations;
  readonly #log: Log;
  readonly #watch: NodeJS.Timeout;
  #resolveDone: () => void = () => undefined;
  #ending = false;

  private constructor(
    mountpoint: string,
    device: string,
    mounter: Mounter,
    native: NativeMount,
    vfs: VfsOperations,
    log: Log,
  ) {
    this.#mountpoint = mountpoint;
    this.#device = device;
    this.#mounter = mounter;
    this.#native = native;
    this.#vfs = vfs;
    this.#log = log;
    this.done = new Promise((resolve) => (this.#resolveDone = resolve));
    this.#watch = setInterval(() => void this.#look(), watchIntervalMs);
  }

  /**
   * Mounts, and returns when the kernel and the filesystem have agreed: then it answers.
   * @throws {MountFailedError} @throws {InvalidArgumentError} for options that cannot be passed on
   */
  static async open(
    request: MountRequest,
    vfs: VfsOperations,
    log: Log,
    metrics: Metrics,
  ): Promise<LibfuseMount> {
    const { mountpoint } = request;
    const operations = new PathOperations(vfs, observer(log, metrics));
    const native = nativeMount(mountpoint, operations, libfuseOptions(request));
    await new Promise<void>((resolve, reject) => {
      native.mount((error) => {
        if (error === null) resolve();
        else reject(mountFailure(mountpoint, error));
      });
    });
    const entry = await mountAt(mountpoint);
    if (entry?.type !== vostMountType) {
      throw new MountFailedError(`${mountpoint} was unmounted at once`, mountpoint);
    }
    return new LibfuseMount(mountpoint, entry.device, await chooseMounter(), native, vfs, log);
  }

  async close(): Promise<void> {
    try {
      if (this.#ending || !(await isOnTop(this.#mountpoint, this.#device))) {
        this.#log.info('unmounted-by-others');
        return;
      }
      // With the mount libfuse's threads end: it cancels them. One that is just then told of a program's end
      // stays in libuv's handler for good, and nobody hears of a signal any more.
      const { lazyReason } = await this.#mounter.unmount(this.#mountpoint, { isHeldBack: true });
      if (lazyReason !== undefined) {
        this.#log.info('unmounted-while-in-use', { reason: lazyReason });
      }
    } finally {
      await this.#end();
    }
  }

  async #look(): Promise<void> {
    if (await isInTree({ device: this.#device })) return;
    await this.#end();
  }

  async #end(): Promise<void> {
    if (this.#ending) return this.done;
    this.#ending = true;
    clearInterval(this.#watch);
    try {
      await this.#vfs.destroy();
    } catch (error) {
      this.#vfs.errnoOf(error, 'destroy');
    }
    this.#native.letGo();
    this.#resolveDone();
  }
}

/**
 * What libfuse is told: to keep nothing, for there is no way to tell it of a change; and to show our
 * inode numbers. A backslash takes away what a comma in the source means.
 */
export function libfuseOptions(request: MountRequest): string {
  return [
    `fsname=${request.source.replace(/[\\,]/g, '\\$&')}`,
    `subtype=${vostMountType.replace('fuse.', '')}`,
    ...['default_permissions', 'use_ino', 'big_writes', 'nosuid', 'nodev'],
    ...['entry_timeout=0', 'attr_timeout=0', 'negative_timeout=0'],
    request.readOnly === true ? 'ro' : 'rw',
    ...(request.allowOther === true ? ['allow_other'] : []),
    ...checkedExtraOptions(request),
  ].join(',');
}

/** libfuse says on the standard error what is wrong, and nowhere else. */
function mountFailure(mountpoint: string, cause: Error): MountFailedError {
  return new MountFailedError(
    `libfuse cannot mount on ${mountpoint}: ${cause.message}; its reason is on the standard error (-f shows it)`,
    mountpoint,
    cause,
  );
}

function observer(log: Log, metrics: Metrics): RequestObserver {
  return (operation, path, durationMs, errno, count) => {
    const measured = metrics.operation(operation);
    if (errno === 0) measured.succeeded(durationMs);
    else measured.failed(durationMs, errno);
    if (operation === 'read') metrics.readBytes.add(count);
    else if (operation === 'write') metrics.writtenBytes.add(count);
    if (!log.writes('debug')) return;
    const name = printableName(bytesFromText(path));
    log.debug('request', { operation, name, errno, durationMs });
  };
}
