import { bufferFromByteString } from './byte-string.ts';
import type { ByteString } from './byte-string.ts';
import { isSymlinkMode } from './mode.ts';
import type { FileMode } from './mode.ts';

/**
 * Where git looks for a repository, in every directory that it is called in, and takes commands from
 * its configuration. A tree that holds it was not made by git, and no checkout makes it: whoever shows
 * trees as directories must leave it out, or a look at somebody's repository runs his programs.
 */
export const repositoryName: ByteString = '.git' as ByteString;

/**
 * Tells whether git refuses an entry of this name in a tree, on every system: no name at all, `.`
 * and `..`, names with `/` or NUL, and whatever a checkout on some filesystem would take for `.git`
 * (any case; HFS+ skips invisible characters; NTFS ignores trailing dots and spaces, knows
 * `git~1`, and ends a name at `:`). A symbolic link may not pass for `.gitmodules` either, for git
 * would read its configuration from wherever the link leads.
 *
 * These are the rules of `core.protectHFS` and `core.protectNTFS`, which `git fsck` and every
 * server that checks what it receives apply.
 */
export function isForbiddenName(name: ByteString, mode?: FileMode): boolean {
  if (name === '' || name === '.' || name === '..') return true;
  if (name.includes('/') || name.includes('\0')) return true;
  // A backslash separates directories on Windows, so what follows one could be a `.git` there.
  if (isHfsName(name, '.git') || name.split('\\').some(isNtfsDotGit)) return true;
  if (mode === undefined || !isSymlinkMode(mode)) return false;
  return isHfsName(name, '.gitmodules') || isNtfsDotGitmodules(name);
}

// What may follow a name on NTFS without making it another: spaces and dots, or a stream (`:…`).
const ntfsDotGit = /^(?:\.git|git~1)[ .]*(?::|$)/i;
// NTFS makes short names of the first six letters and a number, and after the fourth such name of
// two or four letters and a checksum; that of `.gitmodules` begins with `gi7eba`.
const ntfsDotGitmodules =
  /^(?:\.gitmodules|gitmod~[1-4]|gi7eba~[1-9]|gi7eb~[1-9]\d|gi7e~[1-9]\d{2}|gi7~[1-9]\d{3}|gi~[1-9]\d{4}|g~[1-9]\d{5}|~[1-9]\d{6})[ .]*(?::|$)/i;

function isNtfsDotGit(name: string): boolean {
  return ntfsDotGit.test(name);
}

function isNtfsDotGitmodules(name: string): boolean {
  return ntfsDotGitmodules.test(name);
}

// Characters that HFS+ skips when it compares names: joiners, direction marks, the byte order mark.
const skippedByHfs = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/gu;

function isHfsName(name: ByteString, expected: string): boolean {
  // Nothing shorter can match, and what is longer by no skipped character is no match either.
  if (name.length < expected.length) return false;
  // git stops reading at bytes that are no UTF-8 and takes what came before for the whole name.
  const text = bufferFromByteString(name).toString('utf8').replace(skippedByHfs, '');
  const [readable = ''] = text.split('\ufffd', 1);
  return asciiLowerCase(readable) === expected;
}

function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
