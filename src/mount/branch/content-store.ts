import type { ObjectDatabase } from '../../git/odb/object-database.ts';
import type { StoreOptions } from '../../git/odb/object-storer.ts';
import type { StagingArea } from '../../git/odb/staging-area.ts';
import type { Oid } from '../../git/oid.ts';
import type { Log } from '../observe/log.ts';
import type { MaybePromise } from '../vfs/operations.ts';
import type { BufferContent } from './write-buffer.ts';

/** Some content that is needed, by somebody who gives it back with `drop`. */
export interface HeldContent {
  readonly oid: Oid;
}

interface StagedContent extends HeldContent {
  users: number;
}

type NewContent = Exclude<BufferContent, { kind: 'stored' }>;

/** How long content that nobody needs is kept: a read of it may have begun before. */
const graceMs = 2000;
/** With more of it than this, it goes without waiting for a commit. */
const mostUnused = 64;

/**
 * The content of files that no commit holds yet, in the staging area that all branches of a mount
 * share, and who needs it: files that show it, buffers that are based on it, commits under way. What
 * a commit took is the repository's from then on; what nobody needs any more (the earlier version of
 * a file, a temporary file that was removed) is released, or a long-lived mount would fill the disk.
 *
 * Releasing races with storing: content is not staged twice, so somebody may store again what is
 * just being released, and find it there: a release has to wait for its turn in the staging area, behind
 * a commit that is synced say. Therefore `store` looks afterwards whether its content was released since
 * it began, or was about to be, and if so stores it once more.
 */
export class ContentStore {
  readonly staging: StagingArea;
  readonly #odb: ObjectDatabase;
  readonly #log: Log;
  readonly #staged = new Map<Oid, StagedContent>();
  /** Without users, since when. */
  readonly #unused = new Map<StagedContent, number>();
  /** What was released while stores or releases are under way. */
  readonly #released = new Set<Oid>();
  #stores = 0;
  #releases = 0;
  #releasing: Promise<void> = Promise.resolve();

  constructor(staging: StagingArea, odb: ObjectDatabase, log: Log) {
    this.staging = staging;
    this.#odb = odb;
    this.#log = log;
  }

  /**
   * Hashes content and stages it; resolved when the system has taken the bytes, or has room for them. With
   * `isAwaited`, for somebody who waits for a commit of it, those of small content may be in memory alone.
   */
  store(
    content: BufferContent,
    sizeBytes: number,
    options?: StoreOptions,
  ): MaybePromise<HeldContent> {
    if (content.kind === 'stored') return this.hold(content.oid);
    const oid = this.#write(content, sizeBytes, options);
    if (!(oid instanceof Promise) && !this.#released.has(oid)) return this.#use(oid);
    return this.#store(oid, content, sizeBytes);
  }

  async #store(
    first: MaybePromise<Oid>,
    content: NewContent,
    sizeBytes: number,
  ): Promise<HeldContent> {
    this.#stores += 1;
    try {
      for (let writing = first; ; writing = this.#write(content, sizeBytes)) {
        const oid = await writing;
        const held = this.#use(oid);
        if (!this.#released.has(oid) || (await this.#isThere(oid))) return held;
        this.drop(held);
      }
    } finally {
      this.#stores -= 1;
      this.#forgetReleased();
    }
  }

  /** Tells whether the mount has this content itself, whatever becomes of the repository's. */
  isStaged(oid: Oid): boolean {
    return this.#staged.has(oid);
  }

  /**
   * Stages content that the repository has, and somebody needs for longer. In memory it takes some
   * pieces, however big it is.
   */
  async keep(oid: Oid): Promise<HeldContent> {
    if (this.isStaged(oid)) return this.hold(oid);
    const { sizeBytes } = await this.#odb.header(oid);
    return this.store({ kind: 'stream', chunks: () => this.#odb.stream(oid) }, sizeBytes);
  }

  /** Says that content which is there is needed. */
  hold(oid: Oid): HeldContent {
    const staged = this.#staged.get(oid);
    if (staged === undefined) return { oid };
    staged.users += 1;
    this.#unused.delete(staged);
    return staged;
  }

  /** Gives back what `store` or `hold` gave. */
  drop(held: HeldContent): void {
    const staged = this.#staged.get(held.oid);
    // What a commit took meanwhile is nobody's concern any more.
    if (staged === undefined || staged !== held) return;
    staged.users -= 1;
    if (staged.users > 0) return;
    this.#unused.set(staged, performance.now());
    if (this.#unused.size <= mostUnused) return;
    this.releaseUnused().catch((error: unknown) => {
      this.#log.warn('release-failed', { message: String(error) });
    });
  }

  /** These objects are in a commit: the staging area can forget them. */
  committed(oids: Iterable<Oid>): Promise<void> {
    const all = [...oids];
    for (const oid of all) {
      const staged = this.#staged.get(oid);
      if (staged === undefined) continue;
      this.#staged.delete(oid);
      this.#unused.delete(staged);
    }
    return this.#release(all);
  }

  /** Releases what has not been needed for a while. */
  releaseUnused(): Promise<void> {
    const beforeMs = performance.now() - graceMs;
    const oids: Oid[] = [];
    for (const [staged, sinceMs] of this.#unused) {
      if (sinceMs > beforeMs) break;
      this.#unused.delete(staged);
      this.#staged.delete(staged.oid);
      oids.push(staged.oid);
    }
    return oids.length === 0 ? Promise.resolve() : this.#release(oids);
  }

  #release(oids: readonly Oid[]): Promise<void> {
    for (const oid of oids) this.#released.add(oid);
    this.#releases += 1;
    const release = this.staging.release(oids);
    this.#releasing = Promise.allSettled([this.#releasing, release]).then(() => {
      this.#releases -= 1;
      this.#forgetReleased();
    });
    return release;
  }

  #forgetReleased(): void {
    if (this.#stores === 0 && this.#releases === 0) this.#released.clear();
  }

  #write(content: NewContent, sizeBytes: number, options?: StoreOptions): MaybePromise<Oid> {
    return content.kind === 'bytes'
      ? this.staging.write('blob', content.bytes, options)
      : this.staging.writeStream('blob', sizeBytes, content.chunks());
  }

  #use(oid: Oid): HeldContent {
    const staged = this.#staged.get(oid) ?? { oid, users: 0 };
    this.#staged.set(oid, staged);
    return this.hold(oid);
  }

  async #isThere(oid: Oid): Promise<boolean> {
    await this.#releasing;
    return this.staging.hasStaged(oid) || this.#odb.has(oid);
  }
}
