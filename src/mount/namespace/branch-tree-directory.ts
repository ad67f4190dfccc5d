import type { ByteString } from '../../git/byte-string.ts';
import { modeTree } from '../../git/mode.ts';
import { branchPrefix, isRefName } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import { directoryAttr, timespecNow } from '../vfs/attr.ts';
import { FixedStream } from '../vfs/fixed-stream.ts';
import { forever } from '../vfs/operations.ts';
import type { Attr, Ino, MaybePromise, Timespec } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryStream } from '../vfs/vnode.ts';
import type { BranchHistories, BranchHistory } from './branch-histories.ts';
import type { NameNumbers } from './name-numbers.ts';
import type { NamespaceOptions } from './namespace-options.ts';

/** Where a directory of a branch stands among the others. */
export interface BranchViewPlace {
  readonly ino: Ino;
  readonly parent: DirectoryVnode;
}

/** Makes the directory that stands for a branch. */
export type BranchView = (
  shared: BranchTreeShared,
  history: BranchHistory,
  place: BranchViewPlace,
) => DirectoryVnode;

// The refs are read again each time; the kernel is told to ask each time as well.
const cache: CacheRule = { entriesValidSec: 0, attrValidSec: forever };

/** What all directories of one tree share. */
export interface BranchTreeShared {
  readonly options: NamespaceOptions;
  readonly histories: BranchHistories;
  readonly numbers: NameNumbers;
  readonly view: BranchView;
}

/**
 * A directory that has something for each branch, under the branch's name: `/.history`, and
 * `/.history/feature` where there is a branch `feature/x`. It holds no state: what is in it are the
 * refs of this moment.
 */
export class BranchTreeDirectory extends DirectoryVnode {
  readonly ino: Ino;
  readonly parent: DirectoryVnode;
  readonly cache: CacheRule = cache;
  readonly #shared: BranchTreeShared;
  /** The names from the top to here, each with a slash behind it. */
  readonly #path: ByteString;
  readonly #time: Timespec = timespecNow();

  constructor(shared: BranchTreeShared, { ino, parent }: BranchViewPlace, path: ByteString) {
    super();
    this.ino = ino;
    this.parent = parent;
    this.#shared = shared;
    this.#path = path;
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): Attr {
    return directoryAttr(this.#shared.options.context, this.ino, undefined, this.#time);
  }

  lookup(name: ByteString): MaybePromise<DirectoryVnode | null> {
    const ref = branchPrefix + this.#path + name;
    return isRefName(ref) ? this.#find(ref, name) : null;
  }

  async entries(): Promise<DirectoryStream> {
    const prefix = branchPrefix + this.#path;
    const { options, histories, numbers } = this.#shared;
    const inos = new Map<ByteString, Ino>();
    for (const { name: ref } of await options.refs.list(prefix)) {
      const [name = '', ...below] = ref.slice(prefix.length).split('/');
      const isBranch = below.length === 0;
      const number = isBranch ? histories.keyOf(ref) : `names ${prefix}${name}`;
      inos.set(name as ByteString, numbers.inoOf(number));
    }
    return new FixedStream(Array.from(inos, ([name, ino]) => ({ name, ino, mode: modeTree })));
  }

  async #find(ref: RefName, name: ByteString): Promise<DirectoryVnode | null> {
    const { options, histories, numbers, view } = this.#shared;
    const history = await histories.open(ref);
    if (history !== null) {
      const ino = numbers.inoOf(history.key);
      return this.#known(ino) ?? view(this.#shared, history, { ino, parent: this });
    }
    if ((await options.refs.list(`${ref}/`)).length === 0) return null;
    const ino = numbers.inoOf(`names ${ref}`);
    const path = `${this.#path}${name}/` as ByteString;
    return this.#known(ino) ?? new BranchTreeDirectory(this.#shared, { ino, parent: this }, path);
  }

  #known(ino: Ino): DirectoryVnode | undefined {
    const node = this.#shared.options.context.inodes.get(ino);
    return node instanceof DirectoryVnode ? node : undefined;
  }
}
