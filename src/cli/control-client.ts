import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { probeMount } from '../mount/mountpoint.ts';
import { mountAt, readMountTable, vostMountType } from '../mount/mount-table.ts';
import type { MountTableEntry } from '../mount/mount-table.ts';
import { controlSocketPath } from './control-protocol.ts';
import type { ControlAnswer, ControlRequest } from './control-protocol.ts';
import { CommandError, exitCode } from './exit-codes.ts';
import { readLine } from './line-channel.ts';

/** A mount that answers has its socket soon. */
const restartTimeoutMs = 2000;

/** Nobody listens on the control socket of a mount. */
export class LostDaemonError extends CommandError {
  constructor(mountpoint: string, cause: unknown) {
    super(
      `${mountpoint} has lost its daemon; mount it again, or ${wayOut(mountpoint)}`,
      exitCode.failure,
      { cause },
    );
    this.name = 'LostDaemonError';
  }
}

const wayOut = (mountpoint: string): string =>
  `take the mount away with: vost-mount unmount ${mountpoint}`;

/**
 * The mount of this package at a path, found without touching it.
 * @throws {CommandError} when there is none
 */
export async function findMount(path: string): Promise<MountTableEntry> {
  const absolute = resolve(path);
  const table = await readMountTable();
  const exact = table.findLast(({ mountpoint }) => mountpoint === absolute);
  if (exact?.type === vostMountType) return exact;
  const above = table.findLast(({ type, mountpoint }) => {
    return type === vostMountType && absolute.startsWith(`${mountpoint}/`);
  });
  if (above !== undefined) {
    throw new CommandError(`${path} is inside of the mount at ${above.mountpoint}; name that one`);
  }
  const parent = await realpath(dirname(absolute)).catch(() => dirname(absolute));
  const candidate = join(parent, basename(absolute));
  let entry = await mountAt(candidate);
  if (entry === undefined) {
    // Nothing is mounted on the path itself, so it is safe to ask where it leads.
    const target = await realpath(candidate).catch(() => candidate);
    entry = await mountAt(target);
  }
  if (entry?.type !== vostMountType) {
    throw new CommandError(`${path} is no vost mount; "vost-mount list" shows those there are`);
  }
  return entry;
}

/**
 * Asks the daemon of a mount for something.
 * @throws {LostDaemonError} when it is not there
 * @throws {CommandError} when it does not answer in time, or refuses
 */
export async function askDaemon(
  entry: MountTableEntry,
  request: ControlRequest,
  timeoutMs: number,
): Promise<Extract<ControlAnswer, { ok: true }>> {
  let socket: Socket | undefined;
  try {
    socket = await connectTo(entry);
    socket.write(`${JSON.stringify(request)}\n`);
    const line = await readLine(socket, timeoutMs);
    if (line === undefined) throw new Error('it ended without an answer');
    const answer = JSON.parse(line) as ControlAnswer;
    if (!answer.ok) throw new CommandError(answer.message);
    return answer;
  } catch (error) {
    throw error instanceof CommandError ? error : whyNot(entry.mountpoint, error as Error);
  } finally {
    socket?.destroy();
  }
}

function whyNot(mountpoint: string, cause: NodeJS.ErrnoException): CommandError {
  const { code, message } = cause;
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return new LostDaemonError(mountpoint, cause);
  const reason =
    code === 'EACCES'
      ? `${mountpoint} belongs to another user, and only they and root may ask its daemon`
      : `the daemon of ${mountpoint} does not answer (${message}); wait, or ${wayOut(mountpoint)}`;
  return new CommandError(reason, exitCode.failure, { cause });
}

/** A daemon that is being started again does not listen yet, but whoever asks the mount waits for it. */
async function connectTo(entry: MountTableEntry): Promise<Socket> {
  const deadlineMs = Date.now() + restartTimeoutMs;
  for (;;) {
    try {
      return await connectOnce(entry);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ECONNREFUSED' && code !== 'ENOENT') throw error;
      if (Date.now() > deadlineMs || (await probeMount(entry.mountpoint)) !== 'live') throw error;
    }
    await sleep(20);
  }
}

async function connectOnce(entry: MountTableEntry): Promise<Socket> {
  const socket = createConnection(controlSocketPath(entry));
  await once(socket, 'connect');
  return socket;
}
