import type { ByteString } from '../../git/byte-string.ts';
import { modeTree } from '../../git/mode.ts';
import { forEachBounded } from '../../git/odb/for-each-bounded.ts';
import { directoryAttr, timespecNow } from '../vfs/attr.ts';
import { FixedStream } from '../vfs/fixed-stream.ts';
import type { NodeContext } from '../vfs/node-context.ts';
import { forever } from '../vfs/operations.ts';
import type { Attr, Ino, MaybePromise, Timespec } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryEntry, DirectoryStream } from '../vfs/vnode.ts';

/** A ref in the tree of names: a directory with a place, opened when somebody looks at it. */
export interface NameLeaf {
  readonly ino: Ino;
  /** False when there is nothing to show under this name; undefined before anybody found out. */
  readonly isShown: boolean | undefined;
  /** Finds out whether it is shown. Damage in what it leads to is for `open` to report. */
  findOut(): Promise<void>;
  /** `null` when there is nothing to show. */
  open(): MaybePromise<DirectoryVnode | null>;
}

/** What a directory of names is, beside its names. */
export interface NamePlace {
  readonly ino: Ino;
  /** `null` when it is the root of the mount. */
  readonly parent: DirectoryVnode | null;
  /** The names from the top to here, each with a slash behind it: `` or `feature/`. */
  readonly path: ByteString;
}

const lookedAtTogether = 32;

const cache: CacheRule = { entriesValidSec: forever, attrValidSec: forever };
/** As long as nobody knows of each name whether it is shown, and so how many there are. */
const uncountedCache: CacheRule = { ...cache, attrValidSec: 0 };

/**
 * A directory that exists because names hold slashes: `feature` of `feature/x` and `feature/y`, or
 * the top of them all. It is its own place in the tree of names, which `NameTree` grows and prunes.
 */
export class NameDirectory<L extends NameLeaf> extends DirectoryVnode {
  readonly ino: Ino;
  readonly path: ByteString;
  protected readonly context: NodeContext;
  readonly #parent: DirectoryVnode | null;
  readonly #children = new Map<ByteString, L | NameDirectory<L>>();
  #changed: Timespec = timespecNow();
  #isPruned = false;

  constructor(context: NodeContext, { ino, parent, path }: NamePlace) {
    super();
    this.context = context;
    this.ino = ino;
    this.path = path;
    this.#parent = parent;
  }

  get cache(): CacheRule {
    for (const child of this.#children.values()) if (isUnknown(child)) return uncountedCache;
    return cache;
  }

  get parent(): DirectoryVnode {
    return this.#parent ?? this;
  }

  /** The names, sorted as they came. */
  get children(): ReadonlyMap<ByteString, L | NameDirectory<L>> {
    return this.#children;
  }

  /** True when the last name in it went: it is not in the tree any more, only held by a process. */
  get isPruned(): boolean {
    return this.#isPruned;
  }

  getattr(): MaybePromise<Attr> {
    return directoryAttr(this.context, this.ino, this.shown().length, this.#changed);
  }

  lookup(name: ByteString): MaybePromise<DirectoryVnode | null> {
    const child = this.#children.get(name);
    if (child === undefined) return null;
    return child instanceof NameDirectory ? child : child.open();
  }

  entries(): MaybePromise<DirectoryStream> {
    const unknown: L[] = [];
    for (const child of this.#children.values()) if (isUnknown(child)) unknown.push(child);
    if (unknown.length === 0) return new FixedStream(this.shown());
    return forEachBounded(unknown, lookedAtTogether, (leaf) => leaf.findOut()).then(
      () => new FixedStream(this.shown()),
    );
  }

  /** The names as readdir shows them. */
  protected shown(): DirectoryEntry[] {
    const shown: DirectoryEntry[] = [];
    for (const [name, child] of this.#children) {
      const isHidden = !(child instanceof NameDirectory) && child.isShown === false;
      if (!isHidden) shown.push({ name, ino: child.ino, mode: modeTree });
    }
    return shown;
  }

  /** Puts a name here, or takes it away (`undefined`). For `NameTree`. */
  set(name: ByteString, child: L | NameDirectory<L> | undefined): void {
    if (child === undefined) this.#children.delete(name);
    else this.#children.set(name, child);
    this.#changed = timespecNow();
  }

  /** Marks the directory as out of the tree. For `NameTree`. */
  prune(): void {
    this.#isPruned = true;
  }
}

function isUnknown<L extends NameLeaf>(child: L | NameDirectory<L>): child is L {
  return !(child instanceof NameDirectory) && child.isShown === undefined;
}
