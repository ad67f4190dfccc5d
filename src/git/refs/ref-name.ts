import { InvalidRefNameError } from '../../errors.ts';
import { bytesFromText, textFromBytes, type ByteString } from '../byte-string.ts';

declare const refNameBrand: unique symbol;

/**
 * The full name of a ref, as bytes: `refs/heads/main`, or one that stands beside `refs`, in capital
 * letters (`HEAD`, `ORIG_HEAD`). It holds no `..`, no component that begins with a dot and none that
 * ends in `.lock`, so it can be used as a path below the git directory. Made only by the functions
 * below; `refNameText` gives the form for people.
 */
export type RefName = ByteString & { readonly [refNameBrand]: true };

/** Where branches live. */
export const branchPrefix = 'refs/heads/';
/** Where tags live. */
export const tagPrefix = 'refs/tags/';
/** Where notes live. */
export const notesPrefix = 'refs/notes/';
/** The ref that names the current branch. */
export const headRef: RefName = 'HEAD' as RefName;

// eslint-disable-next-line no-control-regex
const forbiddenCharacter = /[\x00-\x20\x7f~^:?*[\\]/;
const besideRefs = /^[A-Z_]+$/;

/**
 * What is wrong with a name by the rules of git-check-ref-format(1); `undefined` when nothing is.
 * The rule that a name has at least two components is left to the caller.
 */
export function refNameFault(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (name === '@') return 'it is "@"';
  if (name.includes('..')) return 'it holds ".."';
  if (name.includes('@{')) return 'it holds "@{"';
  if (name.endsWith('.')) return 'it ends in "."';
  if (forbiddenCharacter.test(name))
    return 'it holds a space, a control character or one of ~^:?*[\\';
  for (const component of name.split('/')) {
    if (component === '') return 'it begins or ends with "/", or holds "//"';
    if (component.startsWith('.')) return 'a part of it begins with "."';
    if (component.endsWith('.lock')) return 'a part of it ends in ".lock"';
  }
  return undefined;
}

/** Tells whether the bytes are the full name of a ref. */
export function isRefName(name: string): name is RefName {
  if (besideRefs.test(name)) return true;
  return name.startsWith('refs/') && refNameFault(name) === undefined;
}

/** Takes the full name of a ref as bytes; anything else is an `InvalidRefNameError`. */
export function refNameFromBytes(name: ByteString): RefName {
  if (isRefName(name)) return name;
  const fault = refNameFault(name) ?? 'a full name begins with "refs/"';
  throw new InvalidRefNameError(`not a ref name: ${JSON.stringify(textFromBytes(name))}: ${fault}`);
}

/** Takes the full name of a ref as text; anything else is an `InvalidRefNameError`. */
export function parseRefName(text: string): RefName {
  return refNameFromBytes(refNameBytes(text));
}

/** The bytes of a name from a caller; what has none is an `InvalidRefNameError`. */
export function refNameBytes(text: string): ByteString {
  try {
    return bytesFromText(text);
  } catch (cause) {
    throw new InvalidRefNameError(`not a name for a ref: ${JSON.stringify(text)}: it is no text`, {
      cause,
    });
  }
}

/**
 * The full name of the ref that is called `shortName` (bytes) in a namespace such as `branchPrefix`.
 * An `InvalidRefNameError` when git would refuse it; as git does, no branch may be called `HEAD` or
 * begin with `-`.
 */
export function refNameIn(namespace: string, shortName: ByteString): RefName {
  const fault =
    refNameFault(shortName) ??
    (namespace === branchPrefix ? branchNameFault(shortName) : undefined);
  if (fault === undefined) return refNameFromBytes((namespace + shortName) as ByteString);
  const text = JSON.stringify(textFromBytes(shortName));
  throw new InvalidRefNameError(`not a name for a ref: ${text}: ${fault}`);
}

function branchNameFault(shortName: ByteString): string | undefined {
  if (shortName === 'HEAD') return 'a branch cannot be called HEAD';
  if (shortName.startsWith('-')) return 'the name of a branch cannot begin with "-"';
  return undefined;
}

/** The name as text for people, and as it is passed to the git program. */
export function refNameText(name: RefName): string {
  return textFromBytes(name);
}

/** The names that a ref must not have for this one to exist: `refs/heads/a` for `refs/heads/a/b`. */
export function namesAbove(name: RefName): RefName[] {
  const parts = name.split('/');
  return parts
    .slice(0, -1)
    .map((_, index) => parts.slice(0, index + 1).join('/'))
    .filter((candidate) => candidate.includes('/'))
    .filter(isRefName);
}
