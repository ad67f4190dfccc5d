import { close } from 'node:fs';
import { getSystemErrorMap, promisify } from 'node:util';
import { loadKoffi } from './koffi.ts';
import type { Koffi } from './koffi.ts';
import { MountFailedError } from './mounting.ts';

// Node has no way to receive a descriptor over a socket, so the C library is called, by koffi. The
// constants and structs are those of Linux, the same on all its 64-bit architectures.
const afUnix = 1;
const sockStreamCloexec = 1 | 0o2_000_000;
const solSocket = 1;
const scmRights = 1;
const msgDontwait = 0x40;
const msgCmsgCloexec = 0x4000_0000;
/** The header of a control message (cmsg(3)): its length, level and type. One descriptor follows. */
const controlHeaderBytes = 16;
const controlBytes = controlHeaderBytes + 4;

const closeFile = promisify(close);

/** Two connected sockets: one for a program that sends a descriptor, the other to receive it. */
export interface DescriptorSocket {
  /** For the program to inherit. */
  readonly theirs: number;
  /**
   * Takes the descriptor that was sent (unix(7), SCM_RIGHTS), without waiting for it.
   * @throws {MountFailedError} when there is none
   */
  receive(): number;
  /** Closes both sockets. */
  close(): Promise<void>;
}

/** @throws {MountFailedError} when koffi is not there, or the system has no sockets left */
export async function openDescriptorSocket(mountpoint: string): Promise<DescriptorSocket> {
  const koffi = await requireKoffi(mountpoint);
  const libc = koffi.load(null);
  const socketpair = libc.func('socketpair', 'int', [
    ...['int', 'int', 'int', koffi.out(koffi.pointer('int'))],
  ]);
  const fds = new Int32Array(2);
  if (socketpair(afUnix, sockStreamCloexec, 0, fds) !== 0) {
    throw new MountFailedError(`cannot make a socket: ${lastError(koffi)}`, mountpoint);
  }
  const [ours = -1, theirs = -1] = fds;

  const iovec = koffi.struct({ base: 'void *', length: 'size_t' });
  const messageHeader = koffi.struct({
    name: 'void *',
    nameLength: 'uint32_t',
    iov: koffi.pointer(iovec),
    iovCount: 'size_t',
    control: 'void *',
    controlLength: 'size_t',
    flags: 'int',
  });
  const recvmsg = libc.func('recvmsg', 'intptr_t', ['int', koffi.pointer(messageHeader), 'int']);
  return {
    theirs,
    receive: () => {
      const control = Buffer.alloc(24);
      const message = {
        ...{ name: null, nameLength: 0 },
        ...{ iov: [{ base: Buffer.alloc(1), length: 1 }], iovCount: 1 },
        ...{ control, controlLength: control.length, flags: 0 },
      };
      const received = recvmsg(ours, message, msgDontwait | msgCmsgCloexec);
      const hasDescriptor =
        received > 0 &&
        control.readUInt32LE(0) === controlBytes &&
        control.readInt32LE(8) === solSocket &&
        control.readInt32LE(12) === scmRights;
      if (!hasDescriptor) {
        const why = received < 0 ? `: ${lastError(koffi)}` : '';
        throw new MountFailedError(`no descriptor was sent${why}`, mountpoint);
      }
      return control.readInt32LE(controlHeaderBytes);
    },
    close: async () => {
      await closeFile(ours);
      await closeFile(theirs);
    },
  };
}

function lastError(koffi: Koffi): string {
  const errno = koffi.errno();
  return getSystemErrorMap().get(-errno)?.[1] ?? `error ${errno}`;
}

async function requireKoffi(mountpoint: string): Promise<Koffi> {
  try {
    return await loadKoffi();
  } catch (error) {
    throw new MountFailedError(
      'to mount without root, the package koffi is needed, which is not installed or does not load here; ' +
        'add it with: npm install koffi, or mount as root',
      mountpoint,
      error,
    );
  }
}
