import { CorruptRefError } from '../../errors.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { forEachBounded } from '../../git/odb/for-each-bounded.ts';
import type { Oid } from '../../git/oid.ts';
import { refNameText } from '../../git/refs/ref-name.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import type { ListedRef } from '../../git/refs/ref-reader.ts';
import type { RefStore } from '../../git/refs/ref-store.ts';
import type { Log } from '../observe/log.ts';
import type { NameDirectory, NameLeaf } from './name-directory.ts';
import type { NameTree } from './name-tree.ts';

/** A leaf that a ref makes. */
export interface RefLeaf extends NameLeaf {
  /** True when the leaf is still right for a ref that holds this object id now. */
  standsFor(oid: Oid): boolean;
}

const readAtATime = 32;

/** What keeps a tree of names in step with the refs of a repository. */
export interface RefNamesOptions<L extends RefLeaf> {
  /** `refs/heads/` or `refs/tags/`. */
  readonly prefix: string;
  readonly refs: Pick<RefStore, 'list' | 'resolve'>;
  readonly names: NameTree<L>;
  readonly makeLeaf: (ref: ListedRef, parent: NameDirectory<L>) => L;
  readonly log: Log;
}

/**
 * Keeps a tree of names in step with the refs below a prefix: all of them at the start, and those
 * that are said to have changed from then on. A lookup asks the tree alone, so it needs no disk.
 *
 * Changes are made one at a time (`exclusive`), those of the mount itself as well: between the
 * moment when it changed a ref and the moment when the tree says so, a notice about that same
 * ref would put a second leaf in place, and the processes in the first would be cut off.
 */
export class RefNames<L extends RefLeaf> {
  readonly names: NameTree<L>;
  readonly #options: RefNamesOptions<L>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RefNamesOptions<L>) {
    this.names = options.names;
    this.#options = options;
  }

  /** The name in the tree: without the prefix. */
  pathOf(ref: RefName): ByteString {
    return ref.slice(this.#options.prefix.length) as ByteString;
  }

  /** Reads all refs, before the kernel has seen any. */
  load(): Promise<void> {
    return this.exclusive(async () => {
      const { refs, prefix } = this.#options;
      const onBroken = this.#logBroken.bind(this);
      for (const ref of await refs.list(prefix, { onBroken })) this.#put(ref);
      this.names.show();
    });
  }

  /** Looks again at those of the names that are below the prefix. */
  refsChanged(changed: readonly RefName[]): Promise<void> {
    const ours = changed.filter((name) => name.startsWith(this.#options.prefix));
    return ours.length === 0 ? Promise.resolve() : this.exclusive(() => this.#follow(ours));
  }

  /** Runs some work when no other change of the names is under way. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result;
    return result;
  }

  async #follow(changed: readonly RefName[]): Promise<void> {
    const present: ListedRef[] = [];
    await forEachBounded(changed, readAtATime, async (name) => {
      try {
        const resolved = await this.#options.refs.resolve(name);
        // What goes makes room first: `a` may have gone for `a/b`.
        if (resolved === null) this.names.remove(this.pathOf(name), 'others');
        else present.push({ name, oid: resolved.oid });
      } catch (error) {
        if (!(error instanceof CorruptRefError)) throw error;
        this.#logBroken(error);
      }
    });
    for (const ref of present) this.#put(ref);
  }

  #put(ref: ListedRef): void {
    const path = this.pathOf(ref.name);
    if (this.names.get(path)?.standsFor(ref.oid) === true) return;
    const make = (parent: NameDirectory<L>): L => this.#options.makeLeaf(ref, parent);
    if (this.names.put(path, make, 'others')) return;
    this.#options.log.warn('ref-in-the-way', { ref: refNameText(ref.name) });
  }

  #logBroken(error: CorruptRefError): void {
    this.#options.log.warn('broken-ref', { ref: error.ref, message: error.message });
  }
}
