import { KeyNotFoundError } from '../errors.ts';
import type { Oid } from '../git/oid.ts';
import { branchPrefix, tagPrefix } from '../git/refs/ref-name.ts';
import type { Repository } from '../git/repository.ts';
import { branchAt, historyAt } from '../snapshot/branch-at.ts';
import { StoredCommits } from '../snapshot/commit-source.ts';
import { FirstParentWalk } from '../snapshot/first-parent-walk.ts';
import { readCommit, walkHistory } from '../snapshot/history.ts';
import { parseMoment } from '../snapshot/moment.ts';
import { pathFromText } from '../snapshot/path.ts';
import { refNamed, resolveRevision, tipOf } from '../snapshot/revision.ts';
import type { CommitChoice } from './mount-options.ts';
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
    keepsListings: true,
    branches: () => [],
    commit: () => Promise.resolve(),
    sync: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

/**
 * The commit that a text names: a branch, a tag or a hash, with `@<when>` after it for what it was at
 * a time (see `parseMoment`), and `~N` for the Nth first parent (`~` alone is the first).
 * @throws {KeyNotFoundError}
 */
export async function commitNamed(repository: Repository, text: string): Promise<Oid> {
  const [, name = text, tilde, steps] = /^(.*?)(~(\d*))?$/s.exec(text) ?? [];
  const commit = await commitAtTime(repository, name);
  if (tilde === undefined) return commit;
  try {
    return await chosenCommit(repository, commit, { back: steps === '' ? 1 : Number(steps) });
  } catch (error) {
    if (!(error instanceof KeyNotFoundError)) throw error;
    const message = `there is no ${text}: ${error.message}`;
    throw new KeyNotFoundError(message, { ref: text, cause: error });
  }
}

/**
 * The commit that is chosen along first parents: the newest one for which all conditions hold, or
 * that many before it.
 * @throws {KeyNotFoundError} when there are not so many
 */
export async function chosenCommit(
  { odb }: Repository,
  start: Oid,
  { back = 0, beforeSec, match, path }: CommitChoice,
): Promise<Oid> {
  const filter = {
    ...(beforeSec !== undefined && { beforeSec }),
    ...(match !== undefined && { match }),
    ...(path !== undefined && { path: pathFromText(path) }),
  };
  let passed = 0;
  for await (const { oid } of walkHistory(odb, await readCommit(odb, start), filter)) {
    if (passed === back) return oid;
    passed += 1;
  }
  throw new KeyNotFoundError(
    passed === 0
      ? 'no commit is as asked for'
      : `there are only so many commits as asked for: ${passed}`,
    { oid: start },
  );
}

/** Takes `name@when` apart, unless there is something of that whole name. */
async function commitAtTime(repository: Repository, text: string): Promise<Oid> {
  const at = text.lastIndexOf('@');
  const timeSec = at < 1 ? undefined : parseMoment(text.slice(at + 1));
  try {
    return (await resolveRevision(repository, text)).commit;
  } catch (error) {
    if (timeSec === undefined || !(error instanceof KeyNotFoundError)) throw error;
  }
  const { commit, ref } = await resolveRevision(repository, text.slice(0, at));
  const { refs, odb, algorithm } = repository;
  const commits = new StoredCommits(odb);
  await commits.refresh();
  const walk = new FirstParentWalk(commits, commit);
  // Tags have no history of their own: theirs is that of the commit.
  const found = ref?.startsWith(branchPrefix)
    ? await branchAt(refs, algorithm, ref, walk, timeSec)
    : await historyAt(walk, commit, timeSec);
  if (found !== null) return found;
  throw new KeyNotFoundError(`there was no ${text.slice(0, at)} at that time: ${text}`, {
    ref: text,
  });
}

/**
 * The commit of a branch.
 * @throws {KeyNotFoundError}
 */
export function commitOfBranch(repository: Repository, branch: string): Promise<Oid> {
  return commitOfRef(repository, branchPrefix, branch);
}

/**
 * The commit of a tag.
 * @throws {KeyNotFoundError}
 */
export function commitOfTag(repository: Repository, tag: string): Promise<Oid> {
  return commitOfRef(repository, tagPrefix, tag);
}

async function commitOfRef(repository: Repository, prefix: string, name: string): Promise<Oid> {
  const ref = refNamed(prefix, name);
  const commit = ref === null ? null : await tipOf(repository, ref);
  if (commit !== null) return commit;
  const kind = prefix === tagPrefix ? 'tag' : 'branch';
  throw new KeyNotFoundError(`there is no ${kind} ${name}`, { ref: name });
}
