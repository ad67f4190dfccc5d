import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { CorruptObjectError } from '../../src/errors.ts';
import type { ByteString } from '../../src/git/byte-string.ts';
import {
  Tree,
  emptyTreeOid,
  hashObject,
  parseCommit,
  parseTag,
  serializeCommit,
  serializeTag,
  serializeTree,
} from '../../src/git/object.ts';
import type { ObjectType, TreeEntry } from '../../src/git/object.ts';
import type { HashAlgorithm, Oid } from '../../src/git/oid.ts';
import { fsck, git, gitBytes, gitResult } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

async function bareRepository(algorithm: HashAlgorithm): Promise<string> {
  const cwd = await temporaryDirectory();
  await git(['init', '-q', '--bare', `--object-format=${algorithm}`], { cwd });
  return cwd;
}

async function hashByGit(cwd: string, type: ObjectType, data: Buffer): Promise<string> {
  const args = ['hash-object', '-w', '-t', type, '--stdin', '--literally'];
  return (await git(args, { cwd, input: data })).trim();
}

describe.each<HashAlgorithm>(['sha1', 'sha256'])('%s', (algorithm) => {
  let cwd: string;
  let blob: Oid;
  let subtree: Oid;
  beforeAll(async () => {
    cwd = await bareRepository(algorithm);
    blob = hashObject(algorithm, 'blob', Buffer.from('content'));
    subtree = emptyTreeOid(algorithm);
    expect(await hashByGit(cwd, 'blob', Buffer.from('content'))).toBe(blob);
    expect(await hashByGit(cwd, 'tree', Buffer.alloc(0))).toBe(subtree);
  });

  test('trees are those of git mktree, and git ls-tree reads the same in them', async () => {
    const letters = fc.constantFrom('a', 'b', '-', '.', '0', '\xff', '"', '\n', ' ');
    const names = fc
      .array(letters, { minLength: 1, maxLength: 4 })
      .map((some) => some.join('') as ByteString)
      .filter((name) => name !== '.' && name !== '..');
    // A commit of another repository.
    const submodule = hashObject(algorithm, 'commit', Buffer.from('elsewhere'));
    const kinds = fc.constantFrom<[number, Oid]>(
      [0o100644, blob],
      [0o100755, blob],
      [0o120000, blob],
      [0o40000, subtree],
      [0o160000, submodule],
    );
    const entries = fc.uniqueArray(fc.tuple(names, kinds), {
      selector: ([name]) => name,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(entries, async (list) => {
        const tree = list.map(([name, [mode, oid]]): TreeEntry => ({ name, mode, oid }));
        const raw = serializeTree(tree, algorithm);
        const oid = hashObject(algorithm, 'tree', raw);
        const line = ({ name, mode, oid: id }: TreeEntry): string => {
          const type = mode === 0o40000 ? 'tree' : mode === 0o160000 ? 'commit' : 'blob';
          return `${mode.toString(8).padStart(6, '0')} ${type} ${id}\t${name}\0`;
        };
        const input = Buffer.from(tree.map(line).join(''), 'latin1');
        expect((await git(['mktree', '-z'], { cwd, input })).trim()).toBe(oid);
        const listed = (await gitBytes(['ls-tree', '-z', oid], { cwd })).toString('latin1');
        expect(Array.from(Tree.parse(raw, algorithm), line).join('')).toBe(listed);
        expect(await gitBytes(['cat-file', 'tree', oid], { cwd })).toEqual(raw);
      }),
      { numRuns: 25 },
    );
  });

  test('commits are those of git commit-tree', async () => {
    const parent = (await git(['commit-tree', subtree, '-m', 'first'], { cwd })).trim();
    const env = {
      GIT_AUTHOR_NAME: 'Ädä',
      GIT_AUTHOR_DATE: '1234567890 -0730',
      GIT_COMMITTER_DATE: '1700000001 +1345',
    };
    const input = 'A line\n\nand more ✓\n';
    const args = ['commit-tree', subtree, '-p', parent];
    const oid = (await git(args, { cwd, input, env })).trim();
    const raw = serializeCommit({
      tree: subtree,
      parents: [parent as Oid],
      author: {
        identity: { name: 'Ädä', email: 'ada@example.com' },
        timeSec: 1234567890,
        zoneMinutes: -450,
      },
      committer: {
        identity: { name: 'Carl Committer', email: 'carl@example.com' },
        timeSec: 1700000001,
        zoneMinutes: 825,
      },
      message: input,
    });
    expect(raw.toString()).toBe(await git(['cat-file', 'commit', oid], { cwd }));
    expect(hashObject(algorithm, 'commit', raw)).toBe(oid);
  });

  test('tags are those of git mktag', async () => {
    const raw = serializeTag({
      object: blob,
      type: 'blob',
      tag: 'v1.0-ü',
      tagger: { identity: { name: 'T', email: 't@x' }, timeSec: 5, zoneMinutes: 0 },
      message: 'a tag\n',
    });
    const oid = (await git(['mktag', '--strict'], { cwd, input: raw })).trim();
    expect(hashObject(algorithm, 'tag', raw)).toBe(oid);
  });

  test('git finds no fault with any of these', () => fsck(cwd));
});

// Names that git itself tells apart from commits that no git wrote.
test.each([
  'A U Thor<a@b>12 +0100',
  '<a@b> 12 +0100',
  ' A  <> 12 -0730',
  'A <a@b>',
  'A <a@b> soon +0100',
  'A <a@b> -5 +0100',
  'A <a@b> b> 12 -0000',
  'A > B <a@b> 12 +0518',
  'A <a <b> 12 +0100',
  'A\t <\ta@b\t> 12 +0100',
])('of the author line %j git reads the same', async (line) => {
  const cwd = await bareRepository('sha1');
  const raw = Buffer.from(
    `tree ${emptyTreeOid('sha1')}\nauthor ${line}\ncommitter C <c> 1 +0000\n\nm\n`,
  );
  const oid = await hashByGit(cwd, 'commit', raw);
  const format = '--format=%an%x00%ae%x00%at%x00';
  const [name, email, time] = (await git(['log', '-1', format, oid], { cwd })).split('\0');
  const { author } = parseCommit(raw);
  expect(author.identity).toEqual({ name, email });
  expect(author.timeSec).toBe(Number(time));
});

describe('what git writes comes out as it went in', () => {
  let cwd: string;
  let commits: string[];
  let tags: string[];

  beforeAll(async () => {
    cwd = await temporaryDirectory();
    const run = (...args: string[]): Promise<string> => git(args, { cwd });
    await run('init', '-q');
    const signer = join(cwd, 'signer');
    await writeFile(
      signer,
      '#!/bin/sh\ncat >/dev/null\necho "[GNUPG:] SIG_CREATED " >&2\n' +
        "printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nabc=\\n-----END PGP SIGNATURE-----\\n'\n",
    );
    await chmod(signer, 0o755);
    await run('config', 'gpg.program', signer);
    await run('commit', '-q', '--allow-empty', '-m', 'plain');
    await run('commit', '-q', '--allow-empty', '-S', '-m', 'signed');
    await run('checkout', '-q', '-b', 'side', 'HEAD^');
    await run('commit', '-q', '--allow-empty', '-m', 'side');
    await run('tag', '-s', '-m', 'a signed tag', 'signed');
    await run('tag', '-a', '-m', 'a tag', 'plain');
    await run('checkout', '-q', 'main');
    await run('merge', '-q', '--no-ff', '-m', 'merge', 'signed');
    await run(
      'merge',
      '-q',
      '--no-ff',
      '-S',
      '--allow-unrelated-histories',
      '-m',
      'again',
      'signed',
    );
    const latin1 = Buffer.from('gr\xfc\xdfe\n', 'latin1');
    const encoded = ['-c', 'i18n.commitEncoding=ISO-8859-1', 'commit', '-q', '--allow-empty'];
    await git([...encoded, '-F', '-'], { cwd, input: latin1 });
    await git([...encoded, '-S', '-F', '-'], { cwd, input: latin1 });
    await run('commit', '-q', '--allow-empty', '--allow-empty-message', '-m', '');
    commits = (await run('rev-list', '--all')).trim().split('\n');
    tags = (await run('for-each-ref', '--format=%(objectname)', 'refs/tags')).trim().split('\n');
  });

  test('commits with signatures, signed tags that they merge, and encodings', async () => {
    const seen = new Set<string>();
    for (const oid of commits) {
      const raw = await gitBytes(['cat-file', 'commit', oid], { cwd });
      const commit = parseCommit(raw, oid as Oid);
      expect(serializeCommit(commit)).toEqual(raw);
      for (const { name } of commit.extraHeaders ?? []) seen.add(name);
      const told = await git(['log', '-1', '--format=%an <%ae>%n%B%x00', oid], { cwd });
      const { name, email } = commit.author.identity;
      expect(`${name} <${email}>\n${commit.message}`).toBe(told.slice(0, told.indexOf('\0')));
    }
    expect([...seen].sort()).toEqual(['encoding', 'gpgsig', 'mergetag']);
  });

  test('tags, signed or not', async () => {
    expect(tags).toHaveLength(2);
    for (const oid of tags) {
      const raw = await gitBytes(['cat-file', 'tag', oid], { cwd });
      expect(serializeTag(parseTag(raw, oid as Oid))).toEqual(raw);
    }
  });
});

describe('trees that are refused are those that git fsck calls broken', () => {
  const oid = Buffer.from(emptyTreeOid('sha1'), 'hex');
  const tree = (...heads: string[]): Buffer =>
    Buffer.concat(heads.flatMap((head) => [Buffer.from(head, 'latin1'), oid]));
  test.each([
    ['good', tree('40000 a\0', '40000 b\0'), true],
    ['duplicateEntries', tree('40000 a\0', '40000 a\0'), false],
    ['duplicateEntries', tree('100644 a\0', '100644 a.b\0', '40000 a\0'), false],
    ['treeNotSorted', tree('40000 b\0', '40000 a\0'), false],
    ['treeNotSorted', tree('40000 a\0', '100644 a.b\0'), false],
    ['hasDotdot', tree('40000 ..\0'), false],
    ['hasDot', tree('40000 .\0'), false],
    ['fullPathname', tree('40000 a/b\0'), false],
    ['badTree', tree('100644 \0'), false],
    ['badTree', tree('40000 a\0').subarray(0, 20), false],
  ])('%s', async (kind, raw, isGood) => {
    const cwd = await bareRepository('sha1');
    await hashByGit(cwd, 'tree', Buffer.alloc(0));
    const id = await hashByGit(cwd, 'tree', raw);
    const { stderr } = await gitResult(['fsck', '--strict'], { cwd });
    const complaint = stderr.toString().includes(`in tree ${id}: ${kind}`);
    expect(complaint).toBe(!isGood);
    const read = (): Tree => Tree.parse(raw, 'sha1');
    if (isGood) expect(read().size).toBe(2);
    else expect(read).toThrow(CorruptObjectError);
  });
});
