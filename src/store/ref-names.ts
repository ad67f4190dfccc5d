import { InvalidRefNameError } from '../errors.ts';
import { branchPrefix, refNameBytes, refNameIn } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';

/**
 * The full name of a branch, tag or notes ref that is to be made. The rules are git's for branches
 * (`git check-ref-format --branch`), and no `:` or white space of any kind may be in it; anything
 * else is an `InvalidRefNameError`.
 */
export function newRefName(prefix: string, shortName: string): RefName {
  if (/\s/u.test(shortName)) {
    throw new InvalidRefNameError(
      `not a name for a ref: ${JSON.stringify(shortName)}: it holds white space`,
    );
  }
  const bytes = refNameBytes(shortName);
  refNameIn(branchPrefix, bytes);
  return refNameIn(prefix, bytes);
}

/** Throws an `InvalidRefNameError` unless a branch or tag may be called so. */
export function validateRefName(name: string): void {
  newRefName(branchPrefix, name);
}
