import type { ByteString } from '../../git/byte-string.ts';
import type { KernelNotifier } from '../vfs/operations.ts';
import { NameDirectory } from './name-directory.ts';
import type { NameLeaf, NamePlace } from './name-directory.ts';

/**
 * The refs of one kind as a tree: `feature/x` is `x` in the directory `feature`. Directories come
 * with the first name below them and go with the last.
 *
 * Git allows no ref beside others below it (`feature` beside `feature/x`). While one takes the place
 * of the other, both may be seen for a moment; the one that is here first keeps its place.
 *
 * What changes here without the kernel having asked for it is told to the kernel. The notices are
 * sent on their own (see `KernelNotifier`), so they may be made while a request on the same
 * directory is being answered; they take effect after that answer.
 */
export class NameTree<L extends NameLeaf> {
  readonly root: NameDirectory<L>;
  readonly #makeDirectory: (place: Omit<NamePlace, 'ino'>) => NameDirectory<L>;
  readonly #notifier: KernelNotifier;
  #isSeen = false;

  constructor(
    root: NameDirectory<L>,
    makeDirectory: (place: Omit<NamePlace, 'ino'>) => NameDirectory<L>,
    notifier: KernelNotifier,
  ) {
    this.root = root;
    this.#makeDirectory = makeDirectory;
    this.#notifier = notifier;
  }

  /** From now on the kernel may have seen what is here, and is told of changes. */
  show(): void {
    this.#isSeen = true;
  }

  /** The leaf with this whole name. */
  get(path: ByteString): L | undefined {
    const { directory, name } = this.#find(path);
    const child = directory?.children.get(name);
    return child instanceof NameDirectory ? undefined : child;
  }

  /**
   * Gives a leaf its place, or that of the leaf with the same name. False when it has none: another
   * leaf stands where a directory is needed, or a directory where it would stand.
   */
  put(path: ByteString, leafIn: (parent: NameDirectory<L>) => L, by: ChangedBy): boolean {
    const names = path.split('/') as ByteString[];
    const last = names.pop() ?? path;
    let directory = this.root;
    for (const name of names) {
      let child = directory.children.get(name);
      if (child === undefined) {
        const below = `${directory.path}${name}/` as ByteString;
        child = this.#makeDirectory({ parent: directory, path: below });
        this.#set(directory, name, child, 'others');
      }
      if (!(child instanceof NameDirectory)) return false;
      directory = child;
    }
    if (directory.children.get(last) instanceof NameDirectory) return false;
    this.#set(directory, last, leafIn(directory), by);
    return true;
  }

  /** Takes a leaf out, and the directories that are empty without it. */
  remove(path: ByteString, by: ChangedBy): void {
    const { directory, name } = this.#find(path);
    const child = directory?.children.get(name);
    if (directory === undefined || child === undefined || child instanceof NameDirectory) return;
    this.#set(directory, name, undefined, by);
    this.#prune(directory);
  }

  #find(path: ByteString): { directory: NameDirectory<L> | undefined; name: ByteString } {
    const names = path.split('/') as ByteString[];
    const name = names.pop() ?? path;
    let directory: NameDirectory<L> | undefined = this.root;
    for (const above of names) {
      const child: L | NameDirectory<L> | undefined = directory.children.get(above);
      if (!(child instanceof NameDirectory)) return { directory: undefined, name };
      directory = child;
    }
    return { directory, name };
  }

  #prune(emptied: NameDirectory<L>): void {
    let directory = emptied;
    while (directory.children.size === 0 && directory.parent instanceof NameDirectory) {
      if (directory === this.root) return;
      const parent = directory.parent as NameDirectory<L>;
      const name = directory.path.slice(parent.path.length, -1) as ByteString;
      directory.prune();
      this.#set(parent, name, undefined, 'others');
      directory = parent;
    }
  }

  #set(
    directory: NameDirectory<L>,
    name: ByteString,
    child: L | NameDirectory<L> | undefined,
    by: ChangedBy,
  ): void {
    directory.set(name, child);
    if (by === 'kernel' || !this.#isSeen) return;
    this.#notifier.invalidateEntry(directory.ino, name);
    this.#notifier.invalidateInode(directory.ino);
  }
}

/**
 * Who changed a name. The kernel knows what it asked for, and a notice would tear a directory that
 * was just made or moved away from the processes in it.
 */
export type ChangedBy = 'kernel' | 'others';
