import { describe, expect, test } from 'vitest';
import { bytesFromText } from '../../../src/git/byte-string.ts';
import type { ByteString } from '../../../src/git/byte-string.ts';
import { isForbiddenName } from '../../../src/git/forbidden-name.ts';
import { modeBlob, modeSymlink } from '../../../src/git/mode.ts';
import { git, gitResult } from '../../helpers/git.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

const forbidden: readonly ByteString[] = [
  ...['.git', '.GIT', '.Git', 'git~1', 'GIT~1', '.git ', '.git.', '.git . .', '.git:x', 'git~1:'],
  ...['.git::$INDEX_ALLOCATION', 'a\\.git', 'a\\git~1', '.git\\x', '.g\u200cit', '\ufeff.git'],
  ...['.gi\u206ft', '.git\u200d', 'a\\b\\.GIT. '],
].map(bytesFromText);
const malformed = '.git\xff' as ByteString;

const allowed: readonly ByteString[] = [
  ...['git', '.gitignore', '.gitmodules', '.gi', '.git2', 'git~2', 'git~10', '.gıt', '.git-x'],
  ...['a.git', '.git\u00adx', '.github', 'GIT', '...', '. ', '.g it', 'x.git.'],
].map(bytesFromText);

const forbiddenLinks = [
  ...['.gitmodules', '.GITMODULES', '.gitmodules ', '.gitmodules.:x', 'gitmod~1', 'GITMOD~4'],
  ...['gi7eba~1', 'GI7EB~10', 'gi7e~123', '.gitm\u200codules', '~1000000'],
].map(bytesFromText);
const allowedLinks = ['gitmod~5', 'gi7eba~0', '.gitmodule', 'gitmodules', '.gitignore', 'g~12'].map(
  bytesFromText,
);

/** The names among these that `git fsck` finds fault with, each in a tree of its own. */
async function refusedByGit(mode: string, names: readonly ByteString[]): Promise<ByteString[]> {
  const gitDir = await temporaryDirectory();
  await git(['init', '--bare', gitDir]);
  const blob = await git(['--git-dir', gitDir, 'hash-object', '-w', '--stdin'], { input: 'x' });
  const entries = names.map((name) => `${mode} blob ${blob.trim()}\t${name}\0`);
  const input = Buffer.from(entries.join('\0'), 'latin1');
  const trees = await git(['--git-dir', gitDir, 'mktree', '-z', '--batch'], { input });
  const report = await gitResult(['--git-dir', gitDir, 'fsck', '--strict']);
  const text = report.stdout.toString() + report.stderr.toString();
  const faulty = new Set(
    Array.from(
      text.matchAll(/tree ([0-9a-f]+): (?:hasDotgit|gitmodulesSymlink)/g),
      ([, oid]) => oid,
    ),
  );
  return names.filter((_, index) => faulty.has(trees.split('\n')[index]));
}

describe('forbidden names', () => {
  test('git fsck agrees about names of files', async () => {
    const names = [...forbidden, malformed, ...allowed];
    expect(names.filter((name) => isForbiddenName(name))).toEqual([...forbidden, malformed]);
    expect(await refusedByGit('100644', names)).toEqual([...forbidden, malformed]);
  });

  test('git fsck agrees about names of links', async () => {
    const names = [...forbiddenLinks, ...allowedLinks];
    expect(names.filter((name) => isForbiddenName(name, modeSymlink))).toEqual(forbiddenLinks);
    expect(names.filter((name) => isForbiddenName(name, modeBlob))).toEqual([]);
    expect(await refusedByGit('120000', names)).toEqual(forbiddenLinks);
  });

  test('names that no tree can hold', () => {
    for (const name of ['', '.', '..', 'a/b', 'a\0b']) {
      expect(isForbiddenName(name as ByteString)).toBe(true);
    }
  });
});
