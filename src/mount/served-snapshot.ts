import { InvalidArgumentError, KeyNotFoundError } from '../errors.ts';
import type { Oid } from '../git/oid.ts';
import { tagPrefix } from '../git/refs/ref-name.ts';
import type { Repository } from '../git/repository.ts';
import { ancestor, readCommit } from '../snapshot/history.ts';
import { refNamed, resolveRevision, tipOf } from '../snapshot/revision.ts';
import type { ServedTree } from './serve-tree.ts';
import { openCommit } from './snapshot-nodes.ts';
import type { NodeContext } from './vfs/node-context.ts';
import { rootIno } from './vfs/operations.ts';

/** One commit as the root of a mount, read-only for good. */
export async function serveSnapshot(
  repository: Repository,
  context: NodeContext,
  commit: Oid,
): Promise<ServedTree> {
  return {
    root: await openCommit(context, repository.odb, commit, { ino: rootIno, parent: null }),
    immutable: true,
    branches: () => [],
    commit: () => Promise.resolve(),
    sync: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

/**
 * The commit that a text names: a branch, a tag or a hash, with `~N` after it for the Nth first
 * parent (`~` alone is the first).
 * @throws {KeyNotFoundError}
 */
export async function commitNamed(repository: Repository, text: string): Promise<Oid> {
  const [, name = text, tilde, steps] = /^(.*?)(~(\d*))?$/s.exec(text) ?? [];
  const { commit } = await resolveRevision(repository, name);
  if (tilde === undefined) return commit;
  const { odb } = repository;
  try {
    const tip = await readCommit(odb, commit);
    return (await ancestor(odb, tip, steps === '' ? 1 : Number(steps))).oid;
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new KeyNotFoundError(`there is no ${text}: ${error.message}`, {
      ref: text,
      cause: error,
    });
  }
}

/**
 * The commit of a tag.
 * @throws {KeyNotFoundError}
 */
export async function commitOfTag(repository: Repository, tag: string): Promise<Oid> {
  const name = refNamed(tagPrefix, tag);
  const commit = name === null ? null : await tipOf(repository, name);
  if (commit === null) throw new KeyNotFoundError(`there is no tag ${tag}`, { ref: tag });
  return commit;
}
