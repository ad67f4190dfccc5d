import { CorruptObjectError, ObjectNotFoundError } from '../../errors.ts';
import type { ByteString } from '../../git/byte-string.ts';
import type { Oid } from '../../git/oid.ts';
import { tagPrefix } from '../../git/refs/ref-name.ts';
import type { ListedRef } from '../../git/refs/ref-reader.ts';
import type { SnapshotObjects } from '../snapshot.ts';
import { SnapshotDirectory, openCommit } from '../snapshot-nodes.ts';
import type { NodeContext } from '../vfs/node-context.ts';
import type { Ino, MaybePromise } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import { NameDirectory } from './name-directory.ts';
import type { NamePlace } from './name-directory.ts';
import { NameTree } from './name-tree.ts';
import type { NamespaceOptions } from './namespace-options.ts';
import { peel } from './peel.ts';
import type { Peeled } from './peel.ts';
import { RefNames } from './ref-names.ts';
import type { RefLeaf } from './ref-names.ts';

/** `/.tags`: every tag as the snapshot that it leads to, annotated or not. */
export function openTags(options: NamespaceOptions, parent: DirectoryVnode): RefNames<TagLeaf> {
  const { context, odb, refs, notifier, log } = options;
  const makeDirectory = (place: Omit<NamePlace, 'ino'>): NameDirectory<TagLeaf> =>
    new TagNames(context, { ...place, ino: context.inos.next() });
  const top = makeDirectory({ parent, path: '' as ByteString });
  return new RefNames({
    prefix: tagPrefix,
    refs,
    names: new NameTree(top, makeDirectory, notifier),
    makeLeaf: (ref, directory) => new TagLeaf(context, odb, ref, directory),
    log,
  });
}

class TagNames extends NameDirectory<TagLeaf> {
  override get readOnly(): boolean {
    return true;
  }
}

/**
 * One tag. What it leads to is found out when somebody looks, and kept: a tag that is moved is
 * another leaf. A tag of a tree is shown as that tree, a tag of a blob not at all.
 */
export class TagLeaf implements RefLeaf {
  readonly ino: Ino;
  readonly #context: NodeContext;
  readonly #odb: SnapshotObjects;
  readonly #ref: ListedRef;
  readonly #parent: DirectoryVnode;
  #peeled: Peeled | undefined;

  constructor(context: NodeContext, odb: SnapshotObjects, ref: ListedRef, parent: DirectoryVnode) {
    this.ino = context.inos.next();
    this.#context = context;
    this.#odb = odb;
    this.#ref = ref;
    this.#parent = parent;
  }

  get isShown(): boolean | undefined {
    return this.#peeled === undefined ? undefined : this.#peeled.type !== 'blob';
  }

  standsFor(oid: Oid): boolean {
    return oid === this.#ref.oid;
  }

  async findOut(): Promise<void> {
    try {
      await this.#peel();
    } catch (error) {
      const isDamage = error instanceof CorruptObjectError || error instanceof ObjectNotFoundError;
      if (!isDamage) throw error;
    }
  }

  open(): MaybePromise<DirectoryVnode | null> {
    const known = this.#context.inodes.get(this.ino);
    if (known instanceof DirectoryVnode) return known;
    return this.isShown === false ? null : this.#open();
  }

  async #open(): Promise<DirectoryVnode | null> {
    const { oid, type, taggedTimeSec = 0 } = await this.#peel();
    const context = this.#context;
    const place = { ino: this.ino, parent: this.#parent };
    switch (type) {
      case 'commit':
        return openCommit(context, this.#odb, oid, place, this.#ref.name);
      case 'tree': {
        const time = { sec: taggedTimeSec, nsec: 0 };
        const ref = this.#ref.name;
        return new SnapshotDirectory({ context, odb: this.#odb, time, ref }, oid, place);
      }
      case 'blob':
        return null;
    }
  }

  async #peel(): Promise<Peeled> {
    return (this.#peeled ??= await peel(this.#odb, this.#ref.oid));
  }
}
