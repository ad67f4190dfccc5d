import type { ByteString } from '../../git/byte-string.ts';
import { canonicalMode, isGitlinkMode, modeTree } from '../../git/mode.ts';
import type { Tree } from '../../git/object.ts';
import type { DirectoryEntry, DirectoryStream } from '../vfs/vnode.ts';
import type { BranchNode } from './branch-node.ts';
import type { DirectoryNames } from './directory-names.ts';

/**
 * The names of a directory at the time of opening it: those of its tree that were not removed, then
 * those that only the mount has. The tree does not change, and of the rest a copy is kept, so
 * positions mean the same for as long as the stream is open.
 */
export class DirectoryListing implements DirectoryStream {
  readonly #names: DirectoryNames;
  readonly #tree: Tree;
  /** Where in the tree the entry of each position is; `undefined` when nothing was removed. */
  readonly #visible: Uint32Array | undefined;
  readonly #added: readonly (readonly [ByteString, BranchNode])[];

  constructor(names: DirectoryNames, tree: Tree) {
    this.#names = names;
    this.#tree = tree;
    this.#visible = names.removed.size === 0 ? undefined : visibleIndexes(names, tree);
    this.#added = [...names.children].filter(([name]) => tree.indexOf(name) < 0);
  }

  entry(position: number): DirectoryEntry | undefined {
    const stored = this.#visible?.length ?? this.#tree.size;
    if (position < stored) return this.#stored(this.#visible?.[position] ?? position);
    const added = this.#added[position - stored];
    return added && nodeEntry(...added);
  }

  #stored(index: number): DirectoryEntry {
    const name = this.#tree.nameAt(index);
    const node = this.#names.children.get(name);
    if (node !== undefined) return nodeEntry(name, node);
    const mode = canonicalMode(this.#tree.modeAt(index));
    const ino = this.#names.inoAt(this.#tree, index);
    return { name, ino, mode: isGitlinkMode(mode) ? modeTree : mode };
  }
}

function visibleIndexes({ removed }: DirectoryNames, tree: Tree): Uint32Array {
  const visible = new Uint32Array(tree.size);
  let count = 0;
  for (let index = 0; index < tree.size; index++) {
    if (!removed.has(tree.nameAt(index))) visible[count++] = index;
  }
  return visible.subarray(0, count);
}

function nodeEntry(name: ByteString, node: BranchNode): DirectoryEntry {
  return { name, ino: node.ino, mode: node.type };
}
