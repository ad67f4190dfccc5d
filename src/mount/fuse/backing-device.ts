import { getSystemErrorName } from 'node:util';
import { loadKoffi } from './koffi.ts';

// `FUSE_DEV_IOC_BACKING_OPEN` and `…_CLOSE` in linux/fuse.h: _IOW(229, 1, struct fuse_backing_map)
// and _IOW(229, 2, uint32_t).
const backingOpen = 0x4010_e501;
const backingClose = 0x4004_e502;
/** `struct fuse_backing_map`: a descriptor, flags, padding. */
const backingMapBytes = 16;

/** Hands files to the kernel, for it to read by itself what is open on them. Linux 6.9 or later, root only. */
export interface BackingDevice {
  /**
   * The kernel holds the file itself from here on. Gives its number for it.
   * @throws when it cannot be used: by a container's root, or on a filesystem that is a stack itself
   */
  open(descriptor: number): number;
  /** The kernel lets go of it once what is open on it is closed. */
  close(id: number): void;
}

/**
 * The files of one FUSE device. Node has no ioctl(2), so koffi is needed.
 * @throws when koffi is not there
 */
export async function openBackingDevice(device: number): Promise<BackingDevice> {
  const koffi = await loadKoffi();
  const ioctl = koffi.load(null).func('ioctl', 'int', ['int', 'unsigned long', 'void *']);
  const call = (request: number, argument: Buffer): number => {
    const result = ioctl(device, request, argument);
    if (result < 0) throw new Error(`ioctl: ${getSystemErrorName(-koffi.errno())}`);
    return result;
  };
  return {
    open: (descriptor) => {
      const map = Buffer.alloc(backingMapBytes);
      map.writeInt32LE(descriptor);
      return call(backingOpen, map);
    },
    close: (id) => {
      const argument = Buffer.alloc(4);
      argument.writeUInt32LE(id);
      call(backingClose, argument);
    },
  };
}
