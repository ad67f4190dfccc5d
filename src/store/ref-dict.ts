import {
  CorruptRefError,
  FileNotFoundError,
  InvalidArgumentError,
  KeyExistsError,
  KeyNotFoundError,
  RefChangedError,
  StaleSnapshotError,
} from '../errors.ts';
import { textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import type { Oid } from '../git/oid.ts';
import { branchPrefix, headRef, tagPrefix } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { moveRef } from '../snapshot/ref-move.ts';
import { FS } from '../snapshot/fs.ts';
import { refNamed, tipOf } from '../snapshot/revision.ts';
import { requireSameRepository } from '../snapshot/snapshot-context.ts';
import type { SnapshotContext } from '../snapshot/snapshot-context.ts';
import { newRefName } from './ref-names.ts';

/** One move of a branch, as its reflog tells it. */
export interface ReflogEntry {
  /** All zeros when the branch did not exist before. */
  oldSha: string;
  newSha: string;
  /** Who moved it: `Name <email>`. */
  committer: string;
  /** In seconds since the epoch. */
  timestamp: number;
  message: string;
}

/**
 * The branches or the tags of a repository, by their short names, which may hold `/`. A name that
 * does not exist is a `KeyNotFoundError`, one that git would not take an `InvalidRefNameError`.
 */
export class RefDict {
  readonly #context: SnapshotContext;
  readonly #prefix: string;

  /** @internal Use `GitStore.branches` or `GitStore.tags`. */
  constructor(context: SnapshotContext, prefix: typeof branchPrefix | typeof tagPrefix) {
    this.#context = context;
    this.#prefix = prefix;
  }

  /** The snapshot at a branch or tag (an annotated one is followed); writable for a branch. */
  async get(name: string): Promise<FS> {
    const { ref, tip } = await this.#require(name);
    return FS.at(this.#context, { commit: tip, ref });
  }

  /**
   * Makes a branch or tag point to the commit of a snapshot of this repository. A branch is moved
   * when it exists, with a line in its reflog; a tag that exists is a `KeyExistsError`.
   */
  async set(name: string, fs: FS): Promise<void> {
    const ref = newRefName(this.#prefix, name);
    requireSameRepository(this.#context, fs.context);
    const { repository, identity } = this.#context;
    const isTag = this.#prefix === tagPrefix;
    const short = fs.commitHash.slice(0, 7);
    try {
      await moveRef(repository, {
        ref,
        ...(isTag && { from: null }),
        to: fs.head.oid,
        identity,
        message: isTag ? `tag: tagging ${short}` : `branch: set to ${fs.refName ?? short}`,
        createReflog: !isTag,
      });
    } catch (cause) {
      if (!isTag || !(cause instanceof StaleSnapshotError)) throw cause;
      throw new KeyExistsError(`tag ${name} exists`, { ref: name, cause });
    }
  }

  /** `set`, and the snapshot at the name afterwards: of a branch it can be written to. */
  async setAndGet(name: string, fs: FS): Promise<FS> {
    await this.set(name, fs);
    return this.get(name);
  }

  /** Deletes a branch or tag, and its reflog. */
  async delete(name: string): Promise<void> {
    const ref = refNamed(this.#prefix, name);
    if (ref === null) throw this.#notFound(name);
    while (!(await this.#deleteAsItIs(ref))) {
      // Somebody has moved or deleted it in between.
    }
  }

  /** False when it has changed before it was deleted. */
  async #deleteAsItIs(ref: RefName): Promise<boolean> {
    const { repository, identity } = this.#context;
    const deletion = { name: ref, oid: null, identity, message: `${this.#kind}: deleted` };
    let expected: Oid | undefined;
    try {
      const value = await repository.refs.read(ref);
      if (value === null) throw this.#notFound(this.#shortName(ref));
      if (value.kind === 'oid') expected = value.oid;
    } catch (error) {
      // A broken one can be deleted, too.
      if (!(error instanceof CorruptRefError)) throw error;
    }
    try {
      await repository.refs.update({ ...deletion, expected, noDereference: true });
      return true;
    } catch (error) {
      if (error instanceof RefChangedError) return false;
      throw error;
    }
  }

  /** Tells whether there is a branch or tag of this name. */
  async has(name: string): Promise<boolean> {
    const ref = refNamed(this.#prefix, name);
    return ref !== null && (await this.#context.repository.refs.resolve(ref)) !== null;
  }

  /** The names, sorted. */
  async list(): Promise<string[]> {
    const refs = await this.#context.repository.refs.list(this.#prefix);
    return refs.map(({ name }) => this.#shortName(name));
  }

  /** The names, sorted. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    yield* await this.list();
  }

  /** The name of the branch that HEAD leads to; `null` when it leads to none that exists. Only for branches, as what follows. */
  async getCurrentName(): Promise<string | null> {
    this.#requireBranches();
    const { refs } = this.#context.repository;
    const head = await refs.read(headRef);
    if (head?.kind !== 'symbolic' || !head.target.startsWith(branchPrefix)) return null;
    return (await refs.resolve(head.target)) === null ? null : this.#shortName(head.target);
  }

  /** The snapshot at the branch that HEAD leads to; `null` when it leads to none that exists. */
  async getCurrent(): Promise<FS | null> {
    const name = await this.getCurrentName();
    return name === null ? null : this.get(name);
  }

  /** Makes HEAD lead to a branch that exists. */
  async setCurrent(name: string): Promise<void> {
    this.#requireBranches();
    const { ref } = await this.#require(name);
    const { repository, identity } = this.#context;
    await repository.refs.setSymbolic(headRef, ref, {
      identity,
      message: `checkout: moving to ${name}`,
    });
  }

  /** The moves of a branch, oldest first. A `FileNotFoundError` when nothing keeps a reflog of it. */
  async reflog(name: string): Promise<ReflogEntry[]> {
    this.#requireBranches();
    const { ref } = await this.#require(name);
    const records = await this.#context.repository.refs.reflog(ref);
    if (records.length === 0) {
      throw new FileNotFoundError(`branch ${name} has no reflog`, { ref: name });
    }
    return records.map(({ oldOid, newOid, identity, timeSec, message }) => ({
      oldSha: oldOid,
      newSha: newOid,
      committer: identity,
      timestamp: timeSec,
      message,
    }));
  }

  get #kind(): 'branch' | 'tag' {
    return this.#prefix === tagPrefix ? 'tag' : 'branch';
  }

  async #require(name: string): Promise<{ ref: RefName; tip: Oid }> {
    const ref = refNamed(this.#prefix, name);
    const tip = ref === null ? null : await tipOf(this.#context.repository, ref);
    if (ref === null || tip === null) throw this.#notFound(name);
    return { ref, tip };
  }

  #notFound(name: string): KeyNotFoundError {
    return new KeyNotFoundError(`no ${this.#kind} ${JSON.stringify(name)}`, { ref: name });
  }

  #shortName(ref: RefName): string {
    return textFromBytes(ref.slice(this.#prefix.length) as ByteString);
  }

  #requireBranches(): void {
    if (this.#prefix === branchPrefix) return;
    throw new InvalidArgumentError('tags have no current one and no reflog');
  }
}
