import type { ByteString } from '../../git/byte-string.ts';
import { repositoryName } from '../../git/forbidden-name.ts';
import { canonicalMode, isGitlinkMode, modeTree } from '../../git/mode.ts';
import type { Tree } from '../../git/object.ts';
import type { MaybePromise } from '../vfs/operations.ts';
import type { DirectoryEntry, DirectoryStream, PlacedEntry, Vnode } from '../vfs/vnode.ts';
import type { BranchNode } from './branch-node.ts';
import type { CleanRow } from './clean-rows.ts';
import type { DirectoryNames } from './directory-names.ts';
import type { LateNames } from './late-names.ts';

/**
 * The names of a directory as they are now, at positions that last (`hasLastingPositions`): those of
 * the tree that was there first stand where they stand in it, and behind them all others.
 */
export class DirectoryListing implements DirectoryStream {
  readonly #names: DirectoryNames;
  readonly #tree: Tree;
  readonly #first: Tree;
  readonly #late: LateNames;
  /** The place that leads to nothing of the tree. */
  readonly #hidden: number;

  /** `tree` is what the directory has now, and `row` has what it had when it was listed first. */
  constructor(names: DirectoryNames, tree: Tree, row: CleanRow, late: LateNames) {
    this.#names = names;
    this.#tree = tree;
    this.#first = row.tree;
    this.#late = late;
    this.#hidden = row.tree.indexOf(repositoryName);
  }

  next(position: number): number {
    const { size } = this.#first;
    for (let place = position; place < size; place++) if (this.#isThere(place)) return place;
    for (let place = Math.max(position - size, 0); ; place++) {
      place = this.#late.placeFrom(place);
      const name = this.#late.at(place);
      if (name === undefined || this.#names.has(this.#tree, name)) return size + place;
    }
  }

  entry(position: number): DirectoryEntry | undefined {
    const { size } = this.#first;
    if (position < size && this.#first === this.#tree) {
      return this.#entry(this.#tree.nameAt(position), position);
    }
    const name = position < size ? this.#first.nameAt(position) : this.#late.at(position - size);
    return name === undefined ? undefined : this.#entry(name, this.#tree.indexOf(name));
  }

  placed(position: number): PlacedEntry | undefined {
    const isOfFirst = position < this.#first.size && this.#first === this.#tree;
    return isOfFirst ? this.#names.placed(this.#tree, position) : undefined;
  }

  node(position: number): MaybePromise<Vnode | null> {
    const { size } = this.#first;
    if (position < size) return this.#names.lookupAt(this.#first, position);
    const name = this.#late.at(position - size);
    return name === undefined ? null : this.#names.lookup(name);
  }

  /** `index` is where the name stands in the tree, if it does. */
  #entry(name: ByteString, index: number): DirectoryEntry {
    const node = this.#names.children.get(name);
    if (node !== undefined) return nodeEntry(name, node);
    const mode = canonicalMode(this.#tree.modeAt(index));
    const ino = this.#names.inoAt(this.#tree, index);
    return { name, ino, mode: isGitlinkMode(mode) ? modeTree : mode };
  }

  #isThere(place: number): boolean {
    const isAsFirst = this.#first === this.#tree && this.#names.removed.size === 0;
    if (isAsFirst && place !== this.#hidden) return true;
    return this.#names.has(this.#tree, this.#first.nameAt(place));
  }
}

function nodeEntry(name: ByteString, node: BranchNode): DirectoryEntry {
  return { name, ino: node.ino, mode: node.type };
}
