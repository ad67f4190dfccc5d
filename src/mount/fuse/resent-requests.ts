import { errnoNameOf } from '../vfs/errno.ts';
import type { ErrnoName } from '../vfs/errno.ts';
import type { MaybePromise, VfsOperations } from '../vfs/operations.ts';
import type { KernelCache, Operation } from './operation-table.ts';
import type { RequestReader } from './request-reader.ts';

/** Where the name of a MKDIR stands: behind `struct fuse_mkdir_in`. */
const mkdirNameOffset = 8;

/** The error that says that nothing is left to do. */
const doneAlready: Readonly<Partial<Record<string, ErrnoName>>> = {
  mkdir: 'EEXIST',
  rmdir: 'ENOENT',
  rename: 'ENOENT',
  rename2: 'ENOENT',
};

/**
 * Serves a request that a daemon had read before it died. What that did in memory is gone with it,
 * so most requests are simply done now. A branch that it made, renamed or removed is so on the disk,
 * though: what fails only because it is done already has succeeded.
 *
 * @param request in memory of its own, for it may be looked at later
 */
export function callAgain(
  operation: Operation<unknown>,
  vfs: VfsOperations,
  request: RequestReader,
  kernel: KernelCache,
): MaybePromise<unknown> {
  const done = doneAlready[operation.name];
  const call = (): MaybePromise<unknown> => operation.call(vfs, request, kernel);
  if (done === undefined) return call();
  return Promise.resolve()
    .then(call)
    .catch((error: unknown) => {
      if (errnoNameOf(error) !== done) throw error;
      if (operation.name !== 'mkdir') return undefined;
      return vfs.lookup(request.ino, request.name(mkdirNameOffset), request.caller());
    });
}
