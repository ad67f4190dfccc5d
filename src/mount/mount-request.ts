import type { MountRequest } from './fuse/mounting.ts';
import { choosesCommit } from './mount-options.ts';
import type { MountOptions } from './mount-options.ts';

/** What the kernel is asked for. */
export function mountRequest(
  source: string,
  mountpoint: string,
  options: MountOptions,
): MountRequest {
  const { allowOther = false, kernelOptions: extraOptions = [], uid = 0 } = options;
  const readOnly = isReadOnly(options);
  // What never changes is not asked for again.
  const leavesModes = !readOnly && uid === 0;
  return { mountpoint, source, readOnly, allowOther, leavesModes, extraOptions };
}

/** Nothing can be written through such a mount. */
export function isReadOnly(options: MountOptions): boolean {
  const { readOnly, ref, tag } = options;
  return readOnly === true || ref !== undefined || tag !== undefined || choosesCommit(options);
}
