import { realpath } from 'node:fs/promises';
import { promisify } from 'node:util';
import { vostMountType } from '../mount-table.ts';
import { loadNativeKoffi } from './koffi.ts';
import type { CFunction } from './koffi.ts';
import type { MountRequest } from './mounting.ts';

// To fork a process of Node takes 10 ms, and each page that it writes to afterwards costs another fault;
// then the program has to start. The call alone takes a tenth of that. It is made by the native part of
// koffi, which is loaded without the rest: that would take as long as the program.

const readOnlyFlag = 1;
const noSetuidFlag = 2;
const noDevicesFlag = 4;

/** What mount(2) is called with, beside the paths. */
export interface MountCall {
  readonly flags: number;
  readonly data: string;
}

/** The call that mounts as mount(8) does for the request; `undefined` when only that knows its options. */
export function mountCall(request: MountRequest, data: readonly string[]): MountCall | undefined {
  if (request.extraOptions !== undefined && request.extraOptions.length > 0) return undefined;
  const readOnly = request.readOnly === true ? readOnlyFlag : 0;
  return { flags: noSetuidFlag | noDevicesFlag | readOnly, data: data.join(',') };
}

/** Makes the call, in a thread; false when that is not possible, or the kernel refuses: mount(8) can tell why. */
export async function callMount(
  { mountpoint, source }: MountRequest,
  { flags, data }: MountCall,
): Promise<boolean> {
  // As mount(8) shows it in the mount table. It is found while koffi is loaded.
  const shown = realpath(source).catch(() => source);
  let call: CFunction['async'];
  try {
    const types = ['str', 'str', 'str', 'ulong', 'str'];
    call = loadNativeKoffi().load(null).func('mount', 'int', types).async;
  } catch {
    // It need not be there, or for this system, or be what it is today.
    return false;
  }
  const mount = promisify<string, string, string, number, string, number>(call);
  return (await mount(await shown, mountpoint, vostMountType, flags, data)) === 0;
}
