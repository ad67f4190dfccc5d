import nodeFs from 'node:fs';
import {
  FileNotFoundError,
  InvalidArgumentError,
  InvalidPathError,
  StaleSnapshotError,
} from '../errors.ts';
import { formatIdentity } from '../git/identity.ts';
import type { Identity } from '../git/object.ts';
import { branchPrefix, refNameText } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { Repository } from '../git/repository.ts';
import type { RepositoryOptions } from '../git/repository.ts';
import { commitChanges } from '../snapshot/commit.ts';
import type { SnapshotContext } from '../snapshot/snapshot-context.ts';
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
  /**
   * Return from a commit, and from each other change of a branch or tag, only when all of it is on stable
   * storage: then a power cut takes nothing back. Default `true`. Without it a commit takes two thirds of the
   * time, and a power cut may take the last half minute, or leave a branch that cannot be read.
   */
  fsync?: boolean | undefined;
  /** Only `node:fs` or `node:fs/promises`: locks and maps of packs need a real file system. */
  fs?: object | undefined;
}

/** Opens or makes a repository, and puts together what the snapshots of its store share; see `GitStore.open`. */
export async function openContext(path: string, options: OpenOptions): Promise<SnapshotContext> {
  const { author = 'vost', email = 'vost@localhost' } = options;
  const identity = { name: author, email };
  // All that can be wrong with the arguments is refused before anything is made.
  checkPath(path);
  formatIdentity(identity);
  checkNumber('compression', options.compression, 9);
  checkNumber('bigFileThreshold', options.bigFileThreshold, Number.MAX_SAFE_INTEGER);
  if (options.fs !== undefined) requireNodeFs(options.fs);
  return { repository: await openRepository(path, options, identity), identity };
}

async function openRepository(
  path: string,
  options: OpenOptions,
  identity: Identity,
): Promise<Repository> {
  const repositoryOptions: RepositoryOptions = {
    compressionLevel: options.compression,
    bigFileThresholdBytes: options.bigFileThreshold,
    fsync: options.fsync,
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

function checkPath(path: string): void {
  if (path === '') throw new FileNotFoundError('an empty path leads to no repository', { path });
  if (!path.includes('\0')) return;
  throw new InvalidPathError(`a path with a NUL byte: ${JSON.stringify(path)}`, { path });
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
