import { KeyNotFoundError, ObjectNotFoundError } from '../errors.ts';
import { bytesFromText } from '../git/byte-string.ts';
import type { Oid } from '../git/oid.ts';
import { branchPrefix, isRefName, tagPrefix } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import type { Repository } from '../git/repository.ts';
import { peelToCommit } from './history.ts';

/** What a text names: a commit, and the branch or tag that led there. */
export interface Revision {
  readonly commit: Oid;
  /** `null` when the commit was named by its hash. */
  readonly ref: RefName | null;
}

// Shorter ones are more likely a slip than a hash; git's own minimum.
const shortestHash = 4;

/** The ref that is called `shortName` (text) below a prefix; `null` when no ref can be called so. */
export function refNamed(prefix: string, shortName: string): RefName | null {
  // Lone surrogates stand for bytes or for nothing; no ref has a name with the latter.
  if (/[\ud800-\udc7f\udd00-\udfff]/u.test(shortName)) return null;
  const name = prefix + bytesFromText(shortName);
  return isRefName(name) ? name : null;
}

/** Finds what a text names: a branch, else a tag, else a commit by its full or unambiguous short hash. A `KeyNotFoundError` for anything else. */
export async function resolveRevision(repository: Repository, text: string): Promise<Revision> {
  for (const prefix of [branchPrefix, tagPrefix]) {
    const ref = refNamed(prefix, text);
    const tip = ref === null ? null : await tipOf(repository, ref);
    if (tip !== null) return { commit: tip, ref };
  }
  return { commit: await commitWithHash(repository, text), ref: null };
}

/** The commit that a ref leads to, through annotated tags; `null` when it does not exist. A `KeyNotFoundError` when it leads to no commit. */
export async function tipOf(repository: Repository, ref: RefName): Promise<Oid | null> {
  const resolved = await repository.refs.resolve(ref);
  if (resolved === null) return null;
  const commit = await peelToCommit(repository.odb, resolved.oid);
  if (commit !== null) return commit;
  throw new KeyNotFoundError(`${ref} leads to no commit`, { ref, oid: resolved.oid });
}

async function commitWithHash(repository: Repository, text: string): Promise<Oid> {
  const prefix = text.toLowerCase();
  if (prefix.length < shortestHash || !/^[0-9a-f]+$/.test(prefix)) throw notFound(text);
  const commits = new Set<Oid>();
  for (const oid of await repository.odb.resolvePrefix(prefix)) {
    const commit = await peelIfThere(repository, oid);
    if (commit !== null) commits.add(commit);
  }
  const [commit, another] = commits;
  if (commit === undefined) throw notFound(text);
  if (another === undefined) return commit;
  const all = [...commits].join(', ');
  throw new KeyNotFoundError(`the short hash ${text} may mean any of ${all}`, { ref: text });
}

async function peelIfThere(repository: Repository, oid: Oid): Promise<Oid | null> {
  try {
    return await peelToCommit(repository.odb, oid);
  } catch (error) {
    // Pruned since the prefix was looked up.
    if (error instanceof ObjectNotFoundError) return null;
    throw error;
  }
}

function notFound(text: string): KeyNotFoundError {
  return new KeyNotFoundError(`no branch, tag or commit ${JSON.stringify(text)}`, { ref: text });
}
