import nodeFs from 'node:fs';
import { InvalidArgumentError, StaleSnapshotError } from '../errors.ts';
import { formatIdentity } from '../git/identity.ts';
import type { Identity } from '../git/object.ts';
import { branchPrefix, refNameText, tagPrefix } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { Repository } from '../git/repository.ts';
import type { RepositoryOptions } from '../git/repository.ts';
import { commitChanges } from '../snapshot/commit.ts';
import { FS } from '../snapshot/fs.ts';
import { resolveRevision } from '../snapshot/revision.ts';
import type { SnapshotContext } from '../snapshot/snapshot-context.ts';
import { headerIfThere, oidFromHash, readBlobByHash } from '../snapshot/snapshot-reader.ts';
import type { ReadRange } from '../snapshot/snapshot-reader.ts';
import { NoteDict } from './notes.ts';
import { RefDict } from './ref-dict.ts';
import { newRefName } from './ref-names.ts';

/** How a store is opened. */
export interface OpenOptions {
  /** Make the repository when there is none; else that is a `FileNotFoundError`. Default `true`. */
  create?: boolean | undefined;
  /** The branch that a new repository begins with, holding one empty commit; `null` for none. Default `main`. */
  branch?: string | null | undefined;
  /** The name of the author of commits. Default `vost`. */
  author?: string | undefined;
  /** The e-mail address of the author of commits. Default `vost@localhost`. */
  email?: string | undefined;
  /** zlib's level for objects, 0 (store) to 9. Default what the repository's configuration says, else 6. */
  compression?: number | undefined;
  /** From this size in bytes on a blob is never stored as a delta. Default `core.bigFileThreshold`, else 512 MiB. */
  bigFileThreshold?: number | undefined;
  /** Only `node:fs` or `node:fs/promises`: locks and maps of packs need a real file system. */
  fs?: object | undefined;
}

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
    const { author = 'vost', email = 'vost@localhost' } = options;
    const identity = { name: author, email };
    // All that can be wrong with the arguments is refused before anything is made.
    formatIdentity(identity);
    checkNumber('compression', options.compression, 9);
    checkNumber('bigFileThreshold', options.bigFileThreshold, Number.MAX_SAFE_INTEGER);
    if (options.fs !== undefined) requireNodeFs(options.fs);
    return new GitStore({ repository: await openRepository(path, options, identity), identity });
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

async function openRepository(
  path: string,
  options: OpenOptions,
  identity: Identity,
): Promise<Repository> {
  const repositoryOptions: RepositoryOptions = {
    compressionLevel: options.compression,
    bigFileThresholdBytes: options.bigFileThreshold,
  };
  if (options.create === false) return Repository.open(path, repositoryOptions);
  const branch = options.branch === undefined ? 'main' : options.branch;
  const ref = branch === null ? null : newRefName(branchPrefix, branch);
  return Repository.create(path, {
    ...repositoryOptions,
    initialBranch: branch,
    populate: async (repository) => {
      if (ref !== null) await commitNothing(repository, ref, identity);
    },
  });
}

/** Makes the empty commit that a new branch begins with. */
async function commitNothing(
  repository: Repository,
  ref: RefName,
  identity: Identity,
): Promise<void> {
  try {
    await commitChanges(repository, {
      ref,
      base: null,
      change: { kind: 'edit', children: new Map() },
      pruneEmpty: true,
      message: `Initialize ${refNameText(ref).slice(branchPrefix.length)}`,
      author: identity,
    });
  } catch (error) {
    // Somebody makes the same repository at the same time, and was first here.
    if (!(error instanceof StaleSnapshotError)) throw error;
  }
}

function checkNumber(name: string, value: number | undefined, largest: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= largest)) return;
  throw new InvalidArgumentError(`not a value for ${name}: ${value}`);
}

function requireNodeFs(candidate: object): void {
  const promises: unknown = Reflect.get(candidate, 'promises') ?? candidate;
  const isNodeFs =
    typeof promises === 'object' &&
    promises !== null &&
    Reflect.get(promises, 'open') === nodeFs.promises.open;
  if (isNodeFs) return;
  throw new InvalidArgumentError(
    'a repository can be opened with node:fs only: its locks and packs need a real file system',
  );
}
