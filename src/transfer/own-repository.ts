import { bytesFromText } from '../git/byte-string.ts';
import type { Repository } from '../git/repository.ts';
import { identityOf, statIfThere } from './local-path.ts';

/** The directories of a repository, which copies into it leave out and copies from it never touch. */
export async function identitiesOfRepository({
  gitDir,
  commonDir,
}: Repository): Promise<ReadonlySet<string>> {
  const identities = new Set<string>();
  for (const directory of [gitDir, commonDir]) {
    const found = await statIfThere(bytesFromText(directory));
    if (found !== null) identities.add(identityOf(found));
  }
  return identities;
}
