import { once } from 'node:events';
import type { GuardedMount, MountHandle } from '../mount/mount.ts';
import { isOnTop, mountAt } from '../mount/mount-table.ts';
import type { MountTableEntry } from '../mount/mount-table.ts';
import { detachMount } from '../mount/mountpoint.ts';
import { LogFile } from '../mount/observe/log-file.ts';
import { compileAtOnce, keepCompiledCode, loadLateModules } from './code-cache.ts';
import { openControlServer } from './control-server.ts';
import type { ControlServer } from './control-server.ts';
import { notAllCommitted, unwritableLog } from './exit-codes.ts';
import type { MountInvocation } from './mount-invocation.ts';

/** How long the orderly end may take: a commit to a slow disk is waited for, a hang is not. */
const stopTimeoutMs = 120_000;

/** What keeps the process alive after everything is closed gets this long, then it is cut off. */
const lingerMs = 2000;

/** When whoever waited for the mount has his first answers, and there is time to compile more. */
const answeredMs = 200;

/** When a start is over, and what it has compiled is kept. */
const startedMs = 1000;

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Who else has a say in how a mount is served. */
export interface ServeOptions {
  /** Aborted when nobody waits for the mount any more; ignored once it is ready. */
  readonly givenUp?: AbortSignal;
  /** Aborted when it is to end in order, as by a signal. */
  readonly stop?: AbortSignal;
  /** Aborted when it is to end at once. */
  readonly force?: AbortSignal;
  /** The mount that is there already; without it, one is made. */
  readonly guarded?: GuardedMount;
}

/**
 * Mounts, and serves until the mount is taken away: by a signal, by umount(8) or through the
 * control socket. What is closed is committed before this returns. A second signal ends the
 * process at once, as a crash would.
 *
 * @param onReady called when the mount answers
 * @throws when the mount cannot be made, or something could not be committed at its end
 */
export async function serve(
  invocation: MountInvocation,
  onReady: () => void,
  { givenUp, stop: stopAsked, force, guarded }: ServeOptions = {},
): Promise<void> {
  const stop = new AbortController();
  const stopRequested = once(stop.signal, 'abort');
  let place: Place = { mountpoint: invocation.mountpoint };
  let signals = 0;
  for (const signal of stopSignals) {
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) void forceEnd(place, `${signal}, again`);
      stop.abort();
    });
  }
  stopAsked?.addEventListener('abort', () => stop.abort());
  force?.addEventListener('abort', () => void forceEnd(place, 'a second signal'));
  const { mount, serveGuarded } = await import('../mount/mount.ts');
  const log = await openLog(invocation);
  const { repository, mountpoint } = invocation;
  const options = { ...invocation.options, setsUmask: true };
  const handle =
    guarded === undefined
      ? await mount(repository, mountpoint, options, log)
      : await serveGuarded(repository, guarded, options, log);
  let control: ControlServer | undefined;
  try {
    const entry = await mountAt(handle.mountpoint);
    place = { mountpoint: handle.mountpoint, device: entry?.device };
    // It may be gone again already.
    if (entry !== undefined) control = await openControl(handle, entry);
    if (givenUp?.aborted === true || stopAsked?.aborted === true) stop.abort();
    else onReady();
    setTimeout(loadLateModules, answeredMs).unref();
    setTimeout(compileAtOnce, answeredMs).unref();
    setTimeout(keepCompiledCode, startedMs).unref();
    await Promise.race([handle.done, stopRequested]);
    await ended(handle, stop.signal.aborted, place);
  } finally {
    await control?.close();
    keepCompiledCode();
    await log.close();
    setTimeout(() => process.exit(), lingerMs).unref();
  }
}

/** A mount that nobody can ask anything is worse than none. */
async function openControl(handle: MountHandle, entry: MountTableEntry): Promise<ControlServer> {
  try {
    return await openControlServer(handle, entry);
  } catch (error) {
    await handle.unmount();
    throw error;
  }
}

async function ended(handle: MountHandle, byRequest: boolean, place: Place): Promise<void> {
  const timer = setTimeout(() => {
    void forceEnd(place, `no orderly end within ${stopTimeoutMs / 1000} s`);
  }, stopTimeoutMs);
  try {
    await (byRequest ? handle.unmount() : handle.done);
  } catch (error) {
    throw notAllCommitted(handle.mountpoint, error);
  } finally {
    clearTimeout(timer);
  }
}

/** Where the mount is; as long as it is being made, its device is not known. */
interface Place {
  readonly mountpoint: string;
  readonly device?: string | undefined;
}

/**
 * Leaves as a crash would, only with the mount taken away first. An exit in order is out of
 * question: it would wait for system calls that may never return.
 */
async function forceEnd({ mountpoint, device }: Place, reason: string): Promise<void> {
  process.stderr.write(`vost-mount: ${reason}: ending without a last commit\n`);
  try {
    const isOurs = device === undefined || (await isOnTop(mountpoint, device));
    if (isOurs) await detachMount(mountpoint);
  } finally {
    process.kill(process.pid, 'SIGKILL');
  }
}

/** In the background the log is the standard error, which whoever started the daemon has led to the file. */
export async function openLog({ foreground, logFile }: MountInvocation): Promise<LogFile> {
  if (!foreground || logFile === undefined) return LogFile.standardError();
  try {
    return await LogFile.open(logFile);
  } catch (error) {
    throw unwritableLog(error);
  }
}
