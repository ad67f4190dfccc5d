import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mountOwner } from '../mount/mount-table.ts';
import type { MountTableEntry } from '../mount/mount-table.ts';
import type { MountStatus } from '../mount/observe/status.ts';

/**
 * Each daemon listens on a unix socket for the verbs of the command line. They do not go through
 * the mount, so they work in every mode of it and never wait for the kernel. A connection carries
 * one request and one answer, each a line of JSON.
 */
export type ControlRequest =
  | { readonly verb: 'status' }
  | { readonly verb: 'commit'; readonly message?: string }
  | { readonly verb: 'unmount' };

/** What a daemon answers; `message` is one line for people that says why not. */
export type ControlAnswer =
  | {
      readonly ok: true;
      readonly pid: number;
      readonly status?: MountStatus;
      /** What a request to commit has led to. */
      readonly commits?: readonly { readonly branch: string; readonly oid: string }[];
    }
  | { readonly ok: false; readonly message: string };

/**
 * Where the socket of a mount is. The device number names it: no two mounts of a system share one,
 * and the mount table tells it to both sides without a look at the mount.
 */
export function controlSocketPath(entry: MountTableEntry): string {
  return join(runtimeDirectory(mountOwner(entry).uid), `${entry.device}.sock`);
}

/** The id that the user has outside of a user namespace (user_namespaces(7)), whose root may not write to /run. */
function systemId(userId: number): number {
  for (const line of readFileSync('/proc/self/uid_map', 'utf8').split('\n')) {
    const [inside = 0, outside = 0, count = 0] = line.trim().split(/ +/).map(Number);
    if (userId >= inside && userId < inside + count) return outside + userId - inside;
  }
  return userId;
}

/**
 * A mount outlives the session that it was made in, and what is below /run/user does not: with the
 * last session of a user it goes, and with the next one it is there, empty. So that is only for
 * those whose directory in /tmp somebody else has made.
 */
function runtimeDirectory(userId: number): string {
  const id = systemId(userId);
  if (id === 0) return '/run/vost';
  const lasting = `/tmp/vost-${id}`;
  const session = `/run/user/${id}`;
  const owner = lstatSync(lasting, { throwIfNoEntry: false })?.uid ?? userId;
  return owner !== userId && existsSync(session) ? join(session, 'vost') : lasting;
}
