import { parseCommit } from './commit-object.ts';
import { isOid } from './oid.ts';
import type { Oid } from './oid.ts';

/** What a walk along first parents needs of a commit. */
export interface CommitLinks {
  readonly tree: Oid;
  /** The first parent; `null` when it has none. */
  readonly parent: Oid | null;
  /** When it was committed, in seconds since the epoch. */
  readonly timeSec: number;
}

// What git writes today. `>` is greedy: a name may hold one, and the last one ends the address.
const regular =
  /^tree ([0-9a-f]+)\n(?:parent ([0-9a-f]+)\n)?(?:parent [0-9a-f]+\n)*author [^\n]*\ncommitter [^\n]*> (\d{1,15}) [+-]\d+\n/;

/**
 * Reads those parts of a commit alone, several times as fast as the whole. A commit that is not
 * written as git writes it is read by `parseCommit`, and fails as it does.
 */
export function parseCommitLinks(raw: Buffer, oid?: Oid): CommitLinks {
  const [, tree, parent, timeSec] = regular.exec(raw.toString('latin1')) ?? [];
  if (tree !== undefined && isOid(tree) && (parent === undefined || isOid(parent))) {
    return { tree, parent: parent ?? null, timeSec: Number(timeSec) };
  }
  const commit = parseCommit(raw, oid);
  return {
    tree: commit.tree,
    parent: commit.parents[0] ?? null,
    timeSec: commit.committer.timeSec,
  };
}
