import type { ByteString } from '../../git/byte-string.ts';
import type { Oid } from '../../git/oid.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import { ErrnoError } from '../vfs/errno.ts';
import type { NodeContext } from '../vfs/node-context.ts';
import type { Ino, MaybePromise } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { BranchPlace, BranchProvider } from './branch-provider.ts';
import { NameDirectory } from './name-directory.ts';
import type { NamePlace } from './name-directory.ts';
import type { RefLeaf } from './ref-names.ts';

/** One branch. It is the same leaf while the branch moves and is renamed, so its inode stays as well. */
export class BranchLeaf implements RefLeaf, BranchPlace {
  readonly ino: Ino;
  readonly isShown = true;
  readonly #context: NodeContext;
  readonly #provider: BranchProvider;
  #ref: RefName;
  #parent: DirectoryVnode;

  constructor(
    context: NodeContext,
    provider: BranchProvider,
    ref: RefName,
    parent: DirectoryVnode,
  ) {
    this.ino = context.inos.next();
    this.#context = context;
    this.#provider = provider;
    this.#ref = ref;
    this.#parent = parent;
  }

  get ref(): RefName {
    return this.#ref;
  }

  get parent(): DirectoryVnode {
    return this.#parent;
  }

  standsFor(_oid: Oid): boolean {
    return true;
  }

  findOut(): Promise<void> {
    return Promise.resolve();
  }

  open(): MaybePromise<DirectoryVnode> {
    const known = this.#context.inodes.get(this.ino);
    return known instanceof DirectoryVnode ? known : this.#provider.open(this.#ref, this);
  }

  /** The branch has another name now. */
  moved(ref: RefName, parent: DirectoryVnode): void {
    this.#ref = ref;
    this.#parent = parent;
  }
}

/** What can be done to the branches by their names; `directory` is where the name stands. */
export interface BranchOperations {
  mkdir(directory: BranchNames, name: ByteString): Promise<DirectoryVnode>;
  rmdir(directory: BranchNames, name: ByteString): Promise<void>;
  rename(
    directory: BranchNames,
    name: ByteString,
    target: BranchNames,
    newName: ByteString,
    flags: number,
  ): Promise<void>;
}

/**
 * A directory of branch names: the root of the mount, or `feature` where there is `feature/x`.
 * Directories in it are branches, and nothing but directories can be in it.
 */
export class BranchNames extends NameDirectory<BranchLeaf> {
  readonly #operations: BranchOperations;

  constructor(context: NodeContext, place: NamePlace, operations: BranchOperations) {
    super(context, place);
    this.#operations = operations;
  }

  /** True for a name that is no branch, and stays as it is. */
  protects(_name: ByteString): boolean {
    return false;
  }

  override mkdir(name: ByteString): Promise<DirectoryVnode> {
    return this.#operations.mkdir(this, name);
  }

  override rmdir(name: ByteString): Promise<void> {
    return this.#operations.rmdir(this, name);
  }

  override rename(
    name: ByteString,
    target: DirectoryVnode,
    newName: ByteString,
    flags: number,
  ): Promise<void> {
    // A branch cannot become a directory in another one, at least not as one step.
    if (!(target instanceof BranchNames)) throw new ErrnoError('EXDEV');
    return this.#operations.rename(this, name, target, newName, flags);
  }

  override unlink(name: ByteString): never {
    throw new ErrnoError(this.lookup(name) === null ? 'ENOENT' : 'EISDIR');
  }

  override create(): never {
    throw new ErrnoError('EPERM', 'only branches can stand beside branches');
  }

  override tmpfile(): never {
    throw new ErrnoError('EPERM', 'only branches can stand beside branches');
  }

  override mknod(): never {
    throw new ErrnoError('EPERM', 'only branches can stand beside branches');
  }

  override symlink(): never {
    throw new ErrnoError('EPERM', 'only branches can stand beside branches');
  }

  override link(): never {
    throw new ErrnoError('EPERM', 'only branches can stand beside branches');
  }
}
