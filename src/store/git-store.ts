import { branchPrefix, tagPrefix } from '../git/refs/ref-name.ts';
import { FS } from '../snapshot/fs.ts';
import { resolveRevision } from '../snapshot/revision.ts';
import type { SnapshotContext } from '../snapshot/snapshot-context.ts';
import { headerIfThere, oidFromHash, readBlobByHash } from '../snapshot/snapshot-reader.ts';
import type { ReadRange } from '../snapshot/snapshot-reader.ts';
import { NoteDict } from './notes.ts';
import { openContext } from './open-context.ts';
import type { OpenOptions } from './open-context.ts';
import { RefDict } from './ref-dict.ts';

/**
 * A versioned file system over a git repository. Snapshots of branches, tags and commits are `FS`
 * objects; the repository stays an ordinary one that git, and other processes, may use at the same
 * time.
 */
export class GitStore {
  /** The branches, by name. */
  readonly branches: RefDict;
  /** The tags, by name. */
  readonly tags: RefDict;
  /** The notes on commits. */
  readonly notes: NoteDict;
  readonly #context: SnapshotContext;

  /** @internal Use `GitStore.open`. */
  constructor(context: SnapshotContext) {
    this.#context = context;
    this.branches = new RefDict(context, branchPrefix);
    this.tags = new RefDict(context, tagPrefix);
    this.notes = new NoteDict(context);
  }

  /**
   * Opens the repository at a path (bare, a `.git` directory, or a directory that holds one), and
   * makes a bare one when there is none. Errors: `FileNotFoundError` (nothing there, and `create`
   * is false), `NotARepositoryError` (something else there), `UnsupportedRepositoryError` (a format
   * that cannot be read), `InvalidRefNameError` (for `branch`), `InvalidArgumentError`.
   */
  static async open(path: string, options: OpenOptions = {}): Promise<GitStore> {
    return new GitStore(await openContext(path, options));
  }

  /** @internal What its snapshots share. */
  get context(): SnapshotContext {
    return this.#context;
  }

  /**
   * The snapshot of a branch, else of a tag, else of a commit by its full or unambiguous short hash;
   * with `back`, as many commits before it along first parents. Only a branch's can be written to.
   * A `KeyNotFoundError` when nothing is called so, an `InvalidArgumentError` when there are not so
   * many commits.
   */
  async fs(ref: string, options: { back?: number | undefined } = {}): Promise<FS> {
    const tip = await FS.at(this.#context, await resolveRevision(this.#context.repository, ref));
    return tip.back(options.back ?? 0);
  }

  /**
   * The content of the blob with a hash (hex or raw bytes), from `offset` on and at most `size`
   * bytes of it. A `KeyNotFoundError` when no blob has it.
   */
  async readByHash(hash: string | Uint8Array, range: ReadRange = {}): Promise<Buffer> {
    return readBlobByHash(this.#context.repository.odb, hash, range);
  }

  /** Tells whether a blob has this hash (hex or raw bytes). */
  async hasHash(hash: string | Uint8Array): Promise<boolean> {
    const { odb } = this.#context.repository;
    return (await headerIfThere(odb, oidFromHash(hash)))?.type === 'blob';
  }

  /** Lets go of open files and caches; what is not committed is lost. Closing again does nothing. */
  async close(): Promise<void> {
    await this.#context.repository.close();
  }
}
