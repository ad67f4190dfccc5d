import type { MountRequest } from './fuse/mounting.ts';
import { choosesCommit } from './mount-options.ts';
import type { MountOptions } from './mount-options.ts';

/** What the kernel is asked for. */
export function mountRequest(
  source: string,
  mountpoint: string,
  options: MountOptions,
): MountRequest {
  const {
    allowOther = false,
    kernelOptions: extraOptions = [],
    uid = process.getuid?.(),
  } = options;
  const readOnly = isReadOnly(options);
  // Where nothing changes, the kernel checks modes without asking, and answers access(2) by itself.
  const leavesModes = !readOnly && uid === 0;
  return { mountpoint, source, readOnly, allowOther, leavesModes, extraOptions };
}

/** Nothing can be written through such a mount. */
export function isReadOnly(options: MountOptions): boolean {
  const { readOnly, ref, tag } = options;
  return readOnly === true || ref !== undefined || tag !== undefined || choosesCommit(options);
}
