import { LRUCache } from 'lru-cache';
import type { Oid } from '../../git/oid.ts';
import type { RefName } from '../../git/refs/ref-name.ts';
import { StoredCommits } from '../../snapshot/commit-source.ts';
import { FirstParentWalk } from '../../snapshot/first-parent-walk.ts';
import type { NamespaceOptions } from './namespace-options.ts';
import { PositionNumbers } from './position-numbers.ts';

/**
 * How many branches have what was read of their history in memory (48 bytes for each commit). The
 * one that nobody looked at for the longest time goes first.
 */
const historiesKept = 64;

/**
 * The history of a branch, until the branch is rewound or otherwise moved away from it: the one
 * after that is another one, and directories that showed this one show it on.
 */
export class BranchHistory {
  /** Tells it from the other histories of the mount, those of the same branch included. */
  readonly key: string;
  readonly ref: RefName;
  readonly walk: FirstParentWalk;
  /** The inode numbers of its commits, as they are listed. */
  readonly numbers: PositionNumbers;

  constructor(key: string, ref: RefName, walk: FirstParentWalk, numbers: PositionNumbers) {
    this.key = key;
    this.ref = ref;
    this.walk = walk;
    this.numbers = numbers;
  }

  /** When the last commit was made that anybody saw. */
  get timeSec(): number {
    return this.walk.known(this.walk.top)?.timeSec ?? 0;
  }
}

/**
 * The histories of the branches. The ref is read each time, so a commit is seen as soon as its ref
 * has moved, whoever moved it; nobody needs to be told.
 */
export class BranchHistories {
  readonly #options: Pick<NamespaceOptions, 'context' | 'odb' | 'refs'>;
  readonly #source: StoredCommits;
  readonly #known = new LRUCache<RefName, BranchHistory>({ max: historiesKept });
  /** The last look at each branch that has not come to its end: two must not move one walk on. */
  readonly #looking = new Map<RefName, Promise<unknown>>();
  /** How many histories each branch has had. */
  readonly #counts = new Map<RefName, number>();

  constructor(options: Pick<NamespaceOptions, 'context' | 'odb' | 'refs'>) {
    this.#options = options;
    this.#source = new StoredCommits(options.odb);
  }

  /** The history of a branch as it is now, its tip read; `null` when there is no such branch. */
  async open(ref: RefName): Promise<BranchHistory | null> {
    const before = this.#looking.get(ref);
    const look = (before ?? Promise.resolve()).then(() => this.#look(ref));
    const settled = look.catch(() => undefined);
    this.#looking.set(ref, settled);
    try {
      return await look;
    } finally {
      if (this.#looking.get(ref) === settled) this.#looking.delete(ref);
    }
  }

  /** The key that the history of a branch has, or will have when it is opened. */
  keyOf(ref: RefName): string {
    return this.#known.peek(ref)?.key ?? this.#nextKey(ref);
  }

  #nextKey(ref: RefName): string {
    return `${this.#countOf(ref)} ${ref}`;
  }

  #countOf(ref: RefName): number {
    return this.#counts.get(ref) ?? 0;
  }

  async #look(ref: RefName): Promise<BranchHistory | null> {
    const { refs, context } = this.#options;
    const resolved = await refs.resolve(ref);
    if (resolved === null) {
      this.#known.delete(ref);
      return null;
    }
    const known = this.#known.get(ref);
    if (known !== undefined && (await follows(known.walk, resolved.oid))) return known;
    const key = this.#nextKey(ref);
    this.#counts.set(ref, this.#countOf(ref) + 1);
    await this.#source.refresh();
    const walk = new FirstParentWalk(this.#source, resolved.oid);
    await walk.at(walk.top);
    const numbers = new PositionNumbers(context.inos);
    const history = new BranchHistory(key, ref, walk, numbers);
    this.#known.set(ref, history);
    return history;
  }
}

/** Has a walk go on from the tip of its branch; false when that is of another history. */
async function follows(walk: FirstParentWalk, tip: Oid): Promise<boolean> {
  return walk.tip === tip || walk.advance(tip);
}
