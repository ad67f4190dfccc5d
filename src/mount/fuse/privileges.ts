import { whenReady } from '../vfs/maybe-promise.ts';
import type { Caller, Ino, MaybePromise, VfsOperations } from '../vfs/operations.ts';
import type { KernelCache } from './operation-table.ts';

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

/** Of these changes the kernel does not say whether they kill privileges: root's do not. */
export function changedBy<T>(
  caller: Caller,
  vfs: VfsOperations,
  ino: Ino,
  kernel: Pick<KernelCache, 'dropAttributes'>,
  done: MaybePromise<T>,
): MaybePromise<T> {
  return caller.uid === 0 ? done : withoutPrivileges(caller, vfs, ino, kernel, done);
}

/** The same where the kernel says that they do. */
export function withoutPrivileges<T>(
  caller: Caller,
  vfs: VfsOperations,
  ino: Ino,
  kernel: Pick<KernelCache, 'dropAttributes'>,
  done: MaybePromise<T>,
): MaybePromise<T> {
  return whenReady(done, (result) =>
    whenReady(killPrivileges(vfs, ino, caller), (hadSome) => {
      // The kernel does not expect a change of the content to change the mode that it keeps.
      if (hadSome) kernel.dropAttributes(ino);
      return result;
    }),
  );
}
