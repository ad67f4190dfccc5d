import type { Tree } from '../git/object.ts';
import type { Oid } from '../git/oid.ts';
import type { SizesFile } from './sizes-file.ts';
import { unknownSize } from './sizes-file.ts';
import { blobSize } from './snapshot-files.ts';
import type { SnapshotObjects } from './snapshot.ts';
import { whenReady } from './vfs/maybe-promise.ts';
import type { SizesByTree } from './vfs/node-context.ts';
import type { MaybePromise } from './vfs/operations.ts';

/** The sizes of the files of one tree, by their index; others are unknown for good. */
interface TreeSizes {
  readonly sizes: Uint32Array;
  /** How many files have no size yet. */
  missing: number;
}

/**
 * The sizes of files, by their place in a tree. A tree does not have them: to list a directory with
 * sizes, each of its blobs has to be found and its pack to be read there. What is under a hash stays so;
 * so a tree whose sizes are all known is remembered, four bytes for each entry, as long as it is in
 * memory, and in a file of the repository for the next mount.
 */
export class FileSizes implements SizesByTree {
  readonly #odb: SnapshotObjects;
  readonly #file: SizesFile | undefined;
  readonly #known = new WeakMap<Tree, TreeSizes>();

  constructor(odb: SnapshotObjects, file: SizesFile | undefined) {
    this.#odb = odb;
    this.#file = file;
  }

  /**
   * The size of the file or link at an index of the tree with this id. A `CorruptObjectError` when the
   * object is no blob, and the errors of reading it.
   */
  at(treeOid: Oid, tree: Tree, index: number): MaybePromise<number> {
    const size = this.atOnce(treeOid, tree, index);
    if (size !== undefined) return size;
    const known = this.#known.get(tree);
    return whenReady(blobSize(this.#odb, tree.oidAt(index)), (sizeBytes) => {
      if (known !== undefined) this.#learn(treeOid, known, index, sizeBytes);
      return sizeBytes;
    });
  }

  /** `at` as far as it needs no disk; `undefined` too where that would fail. */
  atOnce(treeOid: Oid, tree: Tree, index: number): number | undefined {
    const known = this.#known.get(tree) ?? this.#begin(treeOid, tree);
    const size = known?.sizes[index] ?? unknownSize;
    if (size !== unknownSize) return size;
    const info = this.#odb.headerIfCached(tree.oidAt(index));
    if (info?.type !== 'blob') return undefined;
    if (known !== undefined) this.#learn(treeOid, known, index, info.sizeBytes);
    return info.sizeBytes;
  }

  /** Nobody waits for the file: before it was read, sizes are asked for one by one. */
  #begin(treeOid: Oid, tree: Tree): TreeSizes | undefined {
    if (this.#file?.isReady() === false) return undefined;
    const kept = this.#file?.sizesOf(treeOid);
    const known =
      kept?.length === tree.size
        ? { sizes: kept, missing: 0 }
        : {
            sizes: new Uint32Array(tree.size).fill(unknownSize),
            missing: tree.size - tree.directoryCount,
          };
    this.#known.set(tree, known);
    return known;
  }

  #learn(treeOid: Oid, known: TreeSizes, index: number, sizeBytes: number): void {
    if (known.sizes[index] !== unknownSize || sizeBytes >= unknownSize) return;
    known.sizes[index] = sizeBytes;
    known.missing -= 1;
    if (known.missing === 0) this.#file?.note(treeOid, known.sizes);
  }
}
