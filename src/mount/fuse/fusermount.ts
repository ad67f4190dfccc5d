import { mountAt, vostMountType } from '../mount-table.ts';
import { openDescriptorSocket } from './descriptor-socket.ts';
import { transferLimitBytes } from './handshake.ts';
import { checkedExtraOptions, MountFailedError, runProgram } from './mounting.ts';
import type { Mounter, MountRequest } from './mounting.ts';

const program = 'fusermount3';
/** The descriptor under which the program finds the socket. */
const inheritedFd = 3;

/**
 * Mounts for a user who may not: fusermount3(1), which is set-user-id root, opens the device with
 * the rights of the user, mounts, and sends the descriptor over the socket that `_FUSE_COMMFD` names.
 */
export const fusermountMounter: Mounter = {
  async mount(request) {
    const { mountpoint } = request;
    const args = ['-o', fusermountOptions(request), '--', mountpoint];
    const socket = await openDescriptorSocket(mountpoint);
    try {
      await runProgram(program, args, mountpoint, {
        fd: socket.theirs,
        env: { _FUSE_COMMFD: String(inheritedFd) },
      });
      // The program has sent it before it ended.
      return { fd: socket.receive() };
    } catch (error) {
      throw withAdvice(error, mountpoint);
    } finally {
      await socket.close();
    }
  },

  async unmount(mountpoint, options) {
    try {
      await runProgram(program, ['-u', '--', mountpoint], mountpoint, options);
    } catch (error) {
      if (!(error instanceof MountFailedError)) throw error;
      if ((await mountAt(mountpoint))?.type !== vostMountType) return { lazyReason: undefined };
      await runProgram(program, ['-u', '-z', '--', mountpoint], mountpoint, options);
      return { lazyReason: error.message };
    }
    return { lazyReason: undefined };
  },
};

/**
 * What fusermount3 is told. It adds the descriptor, the user and `nosuid,nodev` by itself. The
 * source may hold any character: a backslash takes away what a comma means.
 */
export function fusermountOptions(request: MountRequest): string {
  return [
    `fsname=${request.source.replace(/[\\,]/g, '\\$&')}`,
    `subtype=${vostMountType.replace('fuse.', '')}`,
    'default_permissions',
    `max_read=${transferLimitBytes}`,
    request.readOnly === true ? 'ro' : 'rw',
    ...(request.allowOther === true ? ['allow_other'] : []),
    ...checkedExtraOptions(request),
  ].join(',');
}

/** What to do about what the program says; the first that matches. */
const remedies: readonly (readonly [RegExp, string])[] = [
  [
    /user_allow_other/,
    'other users may be let in when root adds the line "user_allow_other" to /etc/fuse.conf; or leave out --allow-other',
  ],
  [
    /spawn .* ENOENT/,
    `${program} is needed to mount without root; install the package fuse3, or mount as root`,
  ],
  [
    /spawn .* EACCES/,
    `this user may not run ${program}; let root allow it (some systems have a group for it: usermod -aG fuse USER), or mount as root`,
  ],
  [
    /device not found|\/dev\/fuse: No such/,
    'there is no /dev/fuse; let root load the kernel module with: modprobe fuse (in a container, pass the device in)',
  ],
  [
    /\/dev\/fuse: (Permission denied|Operation not permitted)/,
    'this user may not open /dev/fuse; let root allow it with: chmod 666 /dev/fuse',
  ],
  [
    /mount failed: Operation not permitted/,
    `${program} may not mount: it has to be set-user-id root, and the process free to gain rights (no_new_privs off, in a container CAP_SYS_ADMIN)`,
  ],
  [
    /no write access to mountpoint|mountpoint .* not owned by user/,
    'a user can mount only on a directory that is their own; choose another, or mount as root',
  ],
  [/unknown option '([^']*)'/, 'only root can mount with the option $1; leave it out'],
];

function withAdvice(error: unknown, mountpoint: string): unknown {
  if (!(error instanceof MountFailedError)) return error;
  for (const [words, remedy] of remedies) {
    const [said] = words.exec(error.message) ?? [];
    if (said === undefined) continue;
    const advice = said.replace(words, remedy);
    return new MountFailedError(`cannot mount on ${mountpoint}: ${advice}`, mountpoint, error);
  }
  return error;
}
