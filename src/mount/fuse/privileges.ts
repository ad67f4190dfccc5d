import { whenReady } from '../vfs/maybe-promise.ts';
import type { Caller, Ino, MaybePromise, VfsOperations } from '../vfs/operations.ts';

const setUserId = 0o4000;
const setGroupId = 0o2000;
const groupExecute = 0o010;
const permissionBits = 0o7777;

/**
 * Takes the set-user-id bit from a file that somebody without the right to keep it has changed, and
 * the set-group-id bit where it would take effect (without the group's execute bit it does not).
 * The kernel asks for this under HANDLE_KILLPRIV_V2.
 *
 * @returns whether the file had such a bit
 */
export function killPrivileges(
  vfs: VfsOperations,
  ino: Ino,
  caller: Caller,
): MaybePromise<boolean> {
  return whenReady(vfs.getattr(ino, undefined), ({ attr: { mode } }) => {
    const lost = setUserId | ((mode & groupExecute) === 0 ? 0 : setGroupId);
    if ((mode & lost) === 0) return false;
    const change = { mode: mode & permissionBits & ~lost };
    return whenReady(vfs.setattr(ino, change, undefined, caller), () => true);
  });
}
