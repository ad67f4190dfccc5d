import { RefChangedError } from '../../errors.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { textFromBytes } from '../../git/byte-string.ts';
import type { Oid } from '../../git/oid.ts';
import { branchPrefix, refNameFromBytes, refNameIn, refNameText } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { renameExchange, renameNoReplace } from '../vfs/operations.ts';
import type { DirectoryVnode } from '../vfs/vnode.ts';
import { BranchLeaf } from './branch-names.ts';
import type { BranchOperations, BranchNames } from './branch-names.ts';
import { NameDirectory } from './name-directory.ts';
import type { NamespaceOptions } from './namespace-options.ts';
import type { RefNames } from './ref-names.ts';

/** Where the last commit of a removed branch is kept: `refs/vost/deleted/<branch>/<time>`. */
export const deletedPrefix = 'refs/vost/deleted/';
/** How many branches of one name can be removed in one second. */
const deletedPerSecond = 100;

/**
 * What mkdir, rmdir and mv do to branches. Refs are changed under git's own locks, with what the
 * branch is expected to hold; the provider of the branches keeps their commits out of the way.
 */
export class Branches implements BranchOperations {
  readonly #options: NamespaceOptions;
  readonly #names: () => RefNames<BranchLeaf>;

  /** `names` is asked for later: the directories in it need these operations to be made. */
  constructor(options: NamespaceOptions, names: () => RefNames<BranchLeaf>) {
    this.#options = options;
    this.#names = names;
  }

  mkdir(directory: BranchNames, name: ByteString): Promise<DirectoryVnode> {
    return this.#names().exclusive(async () => {
      const ref = newBranchName(directory, name);
      if (directory.children.has(name)) throw new ErrnoError('EEXIST');
      const { context, branches } = this.#options;
      try {
        await branches.create(ref);
      } catch (error) {
        if (!(error instanceof RefChangedError)) throw error;
        // Somebody else made it a moment ago, and the notice of it is on its way.
        throw new ErrnoError('EEXIST', error.message, { cause: error });
      }
      const leaf = new BranchLeaf(context, branches, ref, directory);
      this.#names().names.put(pathIn(directory, name), () => leaf, 'kernel');
      this.#options.lookAgain(ref);
      return leaf.open();
    });
  }

  rmdir(directory: BranchNames, name: ByteString): Promise<void> {
    return this.#names().exclusive(() => this.#remove(branchAt(directory, name)));
  }

  rename(
    directory: BranchNames,
    name: ByteString,
    target: BranchNames,
    newName: ByteString,
    flags: number,
  ): Promise<void> {
    return this.#names().exclusive(async () => {
      if (flags === renameExchange) throw new ErrnoError('EINVAL');
      const leaf = movableBranchAt(directory, name);
      const to = newBranchName(target, newName);
      const replaced = target.children.get(newName);
      if (replaced === leaf) return;
      if (replaced !== undefined) {
        if (flags === renameNoReplace) throw new ErrnoError('EEXIST');
        await this.#remove(branchAt(target, newName));
      }
      await this.#move(leaf, to, target);
    });
  }

  async #move(leaf: BranchLeaf, to: RefName, target: BranchNames): Promise<void> {
    const { branches, refs, identity } = this.#options;
    const from = leaf.ref;
    const message = `vost: renamed ${shortText(from)} to ${shortText(to)}`;
    await branches.rename(from, to, () => refs.rename(from, to, { message, identity }));
    // The new place comes first: a directory that held nothing but this branch keeps its own.
    const { names } = this.#names();
    names.put(this.#names().pathOf(to), () => leaf, 'kernel');
    leaf.moved(to, target);
    names.remove(this.#names().pathOf(from), 'kernel');
    for (const ref of [from, to]) this.#options.lookAgain(ref);
  }

  async #remove(leaf: BranchLeaf): Promise<void> {
    await this.#options.branches.remove(leaf.ref, (tip) => this.#deleteRef(leaf.ref, tip));
    this.#names().names.remove(this.#names().pathOf(leaf.ref), 'kernel');
    this.#options.lookAgain(leaf.ref);
  }

  /** `tip` is the commit that has nothing in it: others may have put something on top of it. */
  async #deleteRef(ref: RefName, tip: Oid | null): Promise<void> {
    const { refs, identity } = this.#options;
    const value = await refs.read(ref);
    if (value === null) return;
    const message = `vost: removed ${shortText(ref)}`;
    if (value.kind === 'symbolic') {
      // Only another name of a branch goes: the branch that it stands for keeps its commits.
      await refs.update({ name: ref, oid: null, noDereference: true, message, identity });
      return;
    }
    const { oid } = value;
    if (oid !== tip)
      throw new RefChangedError(`${refNameText(ref)} is not at ${tip ?? 'no commit'} any more`);
    const kept = await this.#keep(ref, oid, message);
    try {
      await refs.update({ name: ref, oid: null, expected: oid, message, identity });
    } catch (error) {
      await refs.update({ name: kept, oid: null, expected: oid, message, identity });
      throw error;
    }
  }

  async #keep(ref: RefName, oid: Oid, message: string): Promise<RefName> {
    const { refs, identity } = this.#options;
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    for (let count = 1; ; count++) {
      const suffix = count === 1 ? '' : `-${count}`;
      const name = `${deletedPrefix}${this.#names().pathOf(ref)}/${time}${suffix}`;
      const kept = refNameFromBytes(name as ByteString);
      try {
        await refs.update({ name: kept, oid, expected: null, message, identity });
        return kept;
      } catch (error) {
        if (!(error instanceof RefChangedError) || count === deletedPerSecond) throw error;
      }
    }
  }
}

function pathIn(directory: BranchNames, name: ByteString): ByteString {
  return (directory.path + name) as ByteString;
}

/** The ref of a branch that is about to get this name. */
function newBranchName(directory: BranchNames, name: ByteString): RefName {
  if (directory.isPruned) throw new ErrnoError('ENOENT');
  if (directory.protects(name)) throw new ErrnoError('EROFS');
  return refNameIn(branchPrefix, pathIn(directory, name));
}

/** The branch that is to go. A directory of names is never empty. */
function branchAt(directory: BranchNames, name: ByteString): BranchLeaf {
  if (directory.protects(name)) throw new ErrnoError('EROFS');
  const child = directory.children.get(name);
  if (child === undefined) throw new ErrnoError('ENOENT');
  if (child instanceof NameDirectory) throw new ErrnoError('ENOTEMPTY');
  return child;
}

/** The branch that gets another name. All branches below a directory cannot be renamed in one step. */
function movableBranchAt(directory: BranchNames, name: ByteString): BranchLeaf {
  if (directory.children.get(name) instanceof NameDirectory) throw new ErrnoError('EPERM');
  return branchAt(directory, name);
}

function shortText(ref: RefName): string {
  return textFromBytes(ref.slice(branchPrefix.length) as ByteString);
}
