import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { once } from 'node:events';
import type { MountHandle } from '../mount/index.ts';
import type { MountTableEntry } from '../mount/mount-table.ts';
import { controlSocketPath } from './control-protocol.ts';
import type { ControlAnswer, ControlRequest } from './control-protocol.ts';
import { CommandError, notAllCommitted } from './exit-codes.ts';
import { readLine } from './line-channel.ts';

const requestTimeoutMs = 5000;

/** A daemon that can be asked. */
export interface ControlServer {
  close(): Promise<void>;
}

/**
 * Listens for the verbs of the command line about a mount, which stands so in the mount table. Only the
 * user who mounted may come in: the socket's directory is private.
 *
 * @throws {CommandError} when the socket cannot be made
 */
export function openControlServer(
  handle: MountHandle,
  entry: MountTableEntry,
): Promise<ControlServer> {
  return listenAt(controlSocketPath(entry), handle);
}

// What is done to the socket and its directory is done in this thread: they are in the memory of this machine,
// or on its disk, and somebody waits for the mount.

/**
 * Listens on a socket at this path. Device numbers come around again as soon as a mount is gone, and
 * its daemon ends later: so a socket that stands there, of a daemon that ends or has crashed, is
 * replaced in one step, and at the end only the daemon's own is removed.
 */
export async function listenAt(path: string, handle: MountHandle): Promise<ControlServer> {
  try {
    makePrivateDirectory(dirname(path));
    const underWay = new Set<Promise<void>>();
    const server = createServer((socket) => void answer(socket, handle, underWay));
    // Closing removes the name that was listened on, whoever has it by then.
    const ownPath = `${path}.${process.pid}`;
    rmSync(ownPath, { force: true });
    server.listen(ownPath);
    await once(server, 'listening');
    const { ino } = lstatSync(ownPath);
    renameSync(ownPath, path);
    return {
      close: async () => {
        server.close();
        const standing = lstatSync(path, { throwIfNoEntry: false });
        if (standing?.ino === ino) rmSync(path, { force: true });
        // Whoever asked for the unmount hears of its end: umount(8) frees a million inodes after the
        // daemon is free to go.
        await Promise.all(underWay);
      },
    };
  } catch (error) {
    throw new CommandError(`no control socket at ${path}: ${(error as Error).message}`, undefined, {
      cause: error,
    });
  }
}

/** A directory for the user of this process alone. @throws when it is somebody else's */
export function makePrivateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const { uid } = lstatSync(path);
  if (uid !== process.geteuid?.()) throw new Error(`${path} belongs to another user`);
  chmodSync(path, 0o700);
}

async function answer(
  socket: Socket,
  handle: MountHandle,
  underWay: Set<Promise<void>>,
): Promise<void> {
  const line = await readLine(socket, requestTimeoutMs).catch(() => undefined);
  if (line === undefined) {
    socket.destroy();
    return;
  }
  const answering = perform(line, handle).then((outcome) => {
    socket.end(`${JSON.stringify(outcome)}\n`);
  });
  underWay.add(answering);
  await answering;
  underWay.delete(answering);
}

async function perform(line: string, handle: MountHandle): Promise<ControlAnswer> {
  try {
    return await fulfil(JSON.parse(line) as ControlRequest, handle);
  } catch (error) {
    return { ok: false, message: (error as Error).message };
  }
}

async function fulfil(request: ControlRequest, handle: MountHandle): Promise<ControlAnswer> {
  const { pid } = process;
  switch (request.verb) {
    case 'status':
      return { ok: true, pid, status: handle.status() };
    case 'commit': {
      const before = lastCommits(handle);
      await handle.commit(request.message);
      const commits = [...lastCommits(handle)]
        .filter(([branch, oid]) => before.get(branch) !== oid)
        .map(([branch, oid]) => ({ branch, oid }));
      return { ok: true, pid, commits };
    }
    case 'unmount':
      await unmount(handle);
      return { ok: true, pid };
  }
}

async function unmount(handle: MountHandle): Promise<void> {
  try {
    await handle.unmount();
  } catch (error) {
    throw notAllCommitted(handle.mountpoint, error);
  }
}

/** By branch. */
function lastCommits(handle: MountHandle): Map<string, string> {
  const commits = new Map<string, string>();
  for (const { name, lastCommit } of handle.status().branches) {
    if (lastCommit !== null) commits.set(name, lastCommit.oid);
  }
  return commits;
}
