import { ObjectNotFoundError } from '../../errors.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { modeTree } from '../../git/mode.ts';
import { forEachBounded } from '../../git/odb/for-each-bounded.ts';
import { isOid, oidSizeBytes } from '../../git/oid.ts';
import type { Oid } from '../../git/oid.ts';
import { refNameText } from '../../git/refs/ref-name.ts';
import type { ListedRef } from '../../git/refs/ref-reader.ts';
import { openCommit } from '../snapshot-nodes.ts';
import { directoryAttr, timespecNow } from '../vfs/attr.ts';
import { errnoNameOf } from '../vfs/errno.ts';
import { FixedStream } from '../vfs/fixed-stream.ts';
import { forever } from '../vfs/operations.ts';
import type { Attr, Ino, MaybePromise, Timespec } from '../vfs/operations.ts';
import { DirectoryVnode } from '../vfs/vnode.ts';
import type { CacheRule, DirectoryStream } from '../vfs/vnode.ts';
import { NameNumbers } from './name-numbers.ts';
import type { NamespaceOptions } from './namespace-options.ts';
import { peel } from './peel.ts';

/** What could be the whole hash of a commit, or its beginning. */
const hashLike = /^[0-9a-f]{4,64}$/;
const lookedAtTogether = 32;

// A commit that is there stays what it is. One that is missing may come with the next fetch, and a
// short hash that is ambiguous now may be unambiguous after a gc: nobody tells, so it is asked again.
const cache: CacheRule = { entriesValidSec: forever, missingValidSec: 0, attrValidSec: forever };

/**
 * `/.commits`: every commit, by its hash or an unambiguous beginning of it (of objects that are no
 * commits with the same beginning, git speaks as little). Each name has an inode of its own, since a
 * directory cannot have two names. Listed are the commits that refs lead to.
 */
export class CommitsDirectory extends DirectoryVnode {
  readonly ino: Ino;
  readonly parent: DirectoryVnode;
  readonly cache: CacheRule = cache;
  readonly #options: NamespaceOptions;
  readonly #time: Timespec = timespecNow();
  readonly #numbers: NameNumbers;

  constructor(options: NamespaceOptions, parent: DirectoryVnode) {
    super();
    this.ino = options.context.inos.next();
    this.parent = parent;
    this.#options = options;
    this.#numbers = new NameNumbers(options.context);
  }

  override get readOnly(): boolean {
    return true;
  }

  getattr(): Attr {
    return directoryAttr(this.#options.context, this.ino, undefined, this.#time);
  }

  lookup(name: ByteString): MaybePromise<DirectoryVnode | null> {
    if (!hashLike.test(name)) return null;
    return this.#known(name) ?? this.#open(name);
  }

  async entries(): Promise<DirectoryStream> {
    const tips = new Set<Oid>();
    const refs = await this.#options.refs.list('refs/');
    await forEachBounded(refs, lookedAtTogether, async (ref) => {
      const commit = await this.#commitOf(ref);
      if (commit !== undefined) tips.add(commit);
    });
    const names = [...tips].sort() as string[] as ByteString[];
    return new FixedStream(
      names.map((name) => ({ name, ino: this.#numbers.inoOf(name), mode: modeTree })),
    );
  }

  #known(name: ByteString): DirectoryVnode | undefined {
    const ino = this.#numbers.get(name);
    const node = ino === undefined ? undefined : this.#options.context.inodes.get(ino);
    return node instanceof DirectoryVnode ? node : undefined;
  }

  async #open(name: ByteString): Promise<DirectoryVnode | null> {
    const oid = await this.#find(name);
    if (oid === null) return null;
    const { context, odb } = this.#options;
    return openCommit(context, odb, oid, { ino: this.#numbers.inoOf(name), parent: this });
  }

  async #find(name: ByteString): Promise<Oid | null> {
    const { odb, algorithm } = this.#options;
    const wholeLength = 2 * oidSizeBytes[algorithm];
    if (name.length > wholeLength) return null;
    const candidates = isWhole(name, wholeLength) ? [name] : await odb.resolvePrefix(name);
    const commits: Oid[] = [];
    await forEachBounded(candidates, lookedAtTogether, async (oid) => {
      if (await this.#isCommit(oid)) commits.push(oid);
    });
    const [commit, another] = commits;
    return commit === undefined || another !== undefined ? null : commit;
  }

  async #isCommit(oid: Oid): Promise<boolean> {
    try {
      return (await this.#options.odb.header(oid)).type === 'commit';
    } catch (error) {
      if (error instanceof ObjectNotFoundError) return false;
      throw error;
    }
  }

  /** The commit that a ref leads to, if it does. A damaged one is left out of the listing, and told. */
  async #commitOf({ name, oid, peeled = oid }: ListedRef): Promise<Oid | undefined> {
    try {
      const end = await peel(this.#options.odb, peeled);
      return end.type === 'commit' ? end.oid : undefined;
    } catch (error) {
      if (errnoNameOf(error) !== 'EIO') throw error;
      const message = error instanceof Error ? error.message : String(error);
      this.#options.log.warn('damaged-ref', { ref: refNameText(name), oid, message });
      return undefined;
    }
  }
}

function isWhole(name: string, wholeLength: number): name is Oid {
  return name.length === wholeLength && isOid(name);
}
