import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { RefChangedError, RefConflictError } from '../../src/errors.ts';
import type { Oid } from '../../src/git/oid.ts';
import { headRef, parseRefName } from '../../src/git/refs/ref-name.ts';
import { RefStore } from '../../src/git/refs/ref-store.ts';
import { fsck, git, gitResult } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// What git says about the refs and reflogs that we write.

const identity = { name: 'Rita Ref', email: 'rita@example.com' };
const change = (
  message: string,
): {
  message: string;
  identity: typeof identity;
  when: { timeSec: number; zoneMinutes: number };
} => ({
  message,
  identity,
  when: { timeSec: 1_700_000_123, zoneMinutes: -90 },
});
const main = parseRefName('refs/heads/main');
const topic = parseRefName('refs/heads/topic');

let gitDir = '';
let first = '' as Oid;
let second = '' as Oid;
let refs: RefStore;

const run = (...args: string[]): Promise<string> => git(['--git-dir', gitDir, ...args]);
const reflog = (name: string): Promise<string> =>
  run('log', '-g', '--format=%H %gn <%ge> %gd %gs', '--date=raw', name);
const all = (): Promise<string> => run('for-each-ref', '--format=%(refname) %(objectname)');

beforeEach(async () => {
  gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '--quiet', '--bare', gitDir]);
  const tree = (await run('mktree')).trim();
  first = (await run('commit-tree', tree, '-m', 'first')).trim() as Oid;
  second = (await run('commit-tree', tree, '-m', 'second', '-p', first)).trim() as Oid;
  refs = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'always' });
});

describe('update', () => {
  test('git sees a branch that is made, moved and deleted, and its reflog', async () => {
    await refs.update({ name: topic, oid: first, expected: null, ...change('branch: Created') });
    expect(await all()).toBe(`refs/heads/topic ${first}\n`);
    await refs.update({ name: topic, oid: second, expected: first, ...change('on:\n\tsecond ') });
    expect(await all()).toBe(`refs/heads/topic ${second}\n`);
    expect(await reflog('topic')).toBe(
      `${second} Rita Ref <rita@example.com> topic@{1700000123 -0130} on: second\n` +
        `${first} Rita Ref <rita@example.com> topic@{1700000123 -0130} branch: Created\n`,
    );
    await fsck(gitDir);
    await refs.update({ name: topic, oid: null, expected: second, ...change('gone') });
    expect(await all()).toBe('');
    expect(await readdir(join(gitDir, 'logs/refs/heads'))).toEqual([]);
    expect(await readdir(join(gitDir, 'refs/heads'))).toEqual([]);
  });

  test('the files are the same, byte for byte, as those that git writes', async () => {
    const other = join(await temporaryDirectory(), 'other.git');
    await git(['init', '--quiet', '--bare', other]);
    await git(['--git-dir', other, 'fetch', '--quiet', gitDir, second]);
    await git(['--git-dir', other, 'config', 'core.logAllRefUpdates', 'always']);
    const env = {
      GIT_COMMITTER_NAME: identity.name,
      GIT_COMMITTER_EMAIL: identity.email,
      GIT_COMMITTER_DATE: '1700000123 -0130',
    };
    const theirs = (...args: string[]): Promise<string> =>
      git(['--git-dir', other, ...args], { env });
    const steps: { name: string; oid: Oid | null; message: string }[] = [
      { name: 'refs/heads/main', oid: first, message: 'one' },
      { name: 'refs/heads/a/b/c', oid: first, message: '  two \n\n words ' },
      { name: 'HEAD', oid: second, message: 'by HEAD' },
      { name: 'refs/tags/v1', oid: second, message: '' },
      { name: 'refs/heads/main', oid: first, message: 'back' },
      { name: 'refs/heads/a/b/c', oid: null, message: 'delete' },
      { name: 'refs/heads/a', oid: second, message: 'where a directory was' },
      { name: 'refs/heads/main', oid: null, message: 'the branch of HEAD' },
      { name: 'HEAD', oid: second, message: 'again' },
    ];
    for (const { name, oid, message } of steps) {
      await refs.update({ name: parseRefName(name), oid, ...change(message) });
      if (oid === null) await theirs('update-ref', '-m', message, '-d', name);
      else await theirs('update-ref', ...(message === '' ? [] : ['-m', message]), name, oid);
    }
    for (const file of ['HEAD', 'refs/heads/main', 'refs/heads/a', 'refs/tags/v1']) {
      for (const part of [file, `logs/${file}`]) {
        const ours = await readFile(join(gitDir, part), 'utf8');
        expect(ours, part).toBe(await readFile(join(other, part), 'utf8'));
      }
    }
    for (const directory of ['refs/heads', 'logs/refs/heads', 'logs/refs']) {
      const ours = (await readdir(join(gitDir, directory))).sort();
      expect(ours, directory).toEqual((await readdir(join(other, directory))).sort());
    }
    await fsck(gitDir);
  });

  test('HEAD and a chain of symbolic refs all tell of a move in their reflogs', async () => {
    await refs.setSymbolic(headRef, topic, change('switch'));
    const alias = parseRefName('refs/heads/alias');
    await refs.setSymbolic(alias, topic, change('alias'));
    await refs.update({ name: alias, oid: first, expected: null, ...change('through the alias') });
    expect(await run('symbolic-ref', 'HEAD')).toBe('refs/heads/topic\n');
    expect(await run('rev-parse', 'topic', 'alias', 'HEAD')).toBe(`${first}\n`.repeat(3));
    for (const name of ['topic', 'alias', 'HEAD']) {
      expect(await reflog(name)).toContain('through the alias');
    }
    await refs.update({ name: headRef, oid: second, noDereference: true, ...change('detach') });
    expect(await readFile(join(gitDir, 'HEAD'), 'utf8')).toBe(`${second}\n`);
    expect(await run('rev-parse', 'topic')).toBe(`${first}\n`);
    await expect(refs.update({ name: headRef, oid: null, ...change('') })).rejects.toThrow('HEAD');
    await fsck(gitDir);
  });

  test('a ref that is not as expected is left alone, and so is its reflog', async () => {
    await refs.update({ name: topic, oid: first, ...change('one') });
    const before = await readFile(join(gitDir, 'logs/refs/heads/topic'), 'utf8');
    for (const [expected, oid] of [
      [second, second],
      [null, second],
      [second, null],
    ] as const) {
      const update = refs.update({ name: topic, oid, expected, ...change('no') });
      await expect(update).rejects.toThrow(RefChangedError);
    }
    const absent = refs.update({ name: main, oid: second, expected: first, ...change('no') });
    await expect(absent).rejects.toMatchObject({ code: 'REF_CHANGED', ref: 'refs/heads/main' });
    expect(await all()).toBe(`refs/heads/topic ${first}\n`);
    expect(await readFile(join(gitDir, 'logs/refs/heads/topic'), 'utf8')).toBe(before);
    expect(await readdir(join(gitDir, 'refs/heads'))).toEqual(['topic']);
  });

  test('packed refs are moved and deleted, and the others keep what is known of them', async () => {
    for (const name of ['main', 'deep/er', 'topic']) {
      await refs.update({ name: parseRefName(`refs/heads/${name}`), oid: first, ...change('x') });
    }
    await run('tag', '-a', '-m', 'annotated', 'v1', first);
    await run('pack-refs', '--all', '--prune');
    expect(await readdir(join(gitDir, 'refs/heads'))).toEqual([]);
    await refs.update({ name: main, oid: second, expected: first, ...change('loose again') });
    await refs.update({ name: topic, oid: null, expected: first, ...change('gone') });
    await refs.update({ name: main, oid: null, expected: second, ...change('gone') });
    await refs.update({ name: main, oid: null, expected: null, ...change('still gone') });
    const tag = (await run('rev-parse', 'v1')).trim();
    expect(await all()).toBe(`refs/heads/deep/er ${first}\nrefs/tags/v1 ${tag}\n`);
    expect(await readFile(join(gitDir, 'packed-refs'), 'utf8')).toBe(
      '# pack-refs with: peeled fully-peeled sorted \n' +
        `${first} refs/heads/deep/er\n${tag} refs/tags/v1\n^${first}\n`,
    );
    expect((await readdir(gitDir)).filter((name) => name.startsWith('packed-refs'))).toEqual([
      'packed-refs',
    ]);
    await fsck(gitDir);
  });

  test.each(['loose', 'packed'])(
    'a ref cannot stand where %s ones need a directory',
    async (kind) => {
      const nested = parseRefName('refs/heads/topic/a/b');
      await refs.update({ name: nested, oid: first, ...change('x') });
      await refs.update({ name: main, oid: first, ...change('x') });
      if (kind === 'packed') await run('pack-refs', '--all', '--prune');
      for (const name of ['topic', 'topic/a', 'topic/a/b/c/d', 'main/x']) {
        const update = refs.update({
          name: parseRefName(`refs/heads/${name}`),
          oid: second,
          ...change('no'),
        });
        await expect(update, name).rejects.toThrow(RefConflictError);
      }
      // What cannot exist can be deleted, and told to be absent.
      const below = parseRefName('refs/heads/main/x');
      await refs.update({ name: below, oid: null, expected: null, ...change('no') });
      expect(await all()).toBe(`refs/heads/main ${first}\nrefs/heads/topic/a/b ${first}\n`);
      const left = await readdir(join(gitDir, 'refs/heads'), { recursive: true });
      expect(left.sort()).toEqual(
        kind === 'packed' ? [] : ['main', 'topic', 'topic/a', 'topic/a/b'],
      );
      for (const name of ['topic', 'topic/a', 'topic/a/b/c/d', 'main/x']) {
        const args = ['--git-dir', gitDir, 'update-ref', `refs/heads/${name}`, first];
        expect((await gitResult(args)).stderr.toString(), name).toContain('cannot lock ref');
      }
      await fsck(gitDir);
    },
  );

  test('empty directories and logs that are left over do not stand in the way', async () => {
    await mkdir(join(gitDir, 'refs/heads/topic/x/y'), { recursive: true });
    await mkdir(join(gitDir, 'logs/refs/heads/topic/x/y'), { recursive: true });
    await refs.update({ name: topic, oid: first, ...change('x') });
    await writeFile(join(gitDir, 'logs/refs/heads/old'), 'remains\n');
    const nested = parseRefName('refs/heads/old/a/b');
    await refs.update({ name: nested, oid: first, ...change('x') });
    expect(await reflog('topic')).toContain(' x\n');
    expect(await reflog('old/a/b')).toContain(' x\n');
    await writeFile(join(gitDir, 'logs/refs/heads/older'), 'remains\n');
    const deeper = parseRefName('refs/heads/older/a/b');
    await refs.rename(nested, deeper, change('renamed'));
    expect(await reflog('older/a/b')).toMatch(/renamed\n.* x\n$/);
    await mkdir(join(gitDir, 'logs/refs/heads/blocked/x'), { recursive: true });
    await writeFile(join(gitDir, 'logs/refs/heads/blocked/x/log'), 'remains\n');
    const blocked = parseRefName('refs/heads/blocked');
    await expect(refs.update({ name: blocked, oid: first, ...change('') })).rejects.toThrow(
      /logs\/refs\/heads\/blocked holds reflogs of refs that are gone/,
    );
    expect(await refs.read(blocked)).toBe(null);
    await fsck(gitDir);
  });

  test('a packed ref is deleted, a directory in the place of its file or not', async () => {
    await run('update-ref', topic, first);
    await run('pack-refs', '--all', '--prune');
    await mkdir(join(gitDir, 'refs/heads/topic/empty'), { recursive: true });
    await mkdir(join(gitDir, 'logs/refs/heads/topic'), { recursive: true });
    await refs.update({ name: topic, oid: null, expected: first, ...change('gone') });
    expect(await all()).toBe('');
  });

  test('a broken ref is repaired or deleted only by those who do not care what it was', async () => {
    await writeFile(join(gitDir, 'refs/heads/topic'), '');
    const expecting = refs.update({ name: topic, oid: first, expected: null, ...change('x') });
    await expect(expecting).rejects.toMatchObject({ code: 'REF_CORRUPT', ref: 'refs/heads/topic' });
    await refs.update({ name: topic, oid: first, ...change('repaired') });
    expect(await all()).toBe(`refs/heads/topic ${first}\n`);
    await writeFile(join(gitDir, 'refs/heads/topic'), 'rubbish');
    await refs.update({ name: topic, oid: null, ...change('deleted') });
    expect(await all()).toBe('');
  });

  test('names that are no UTF-8 reach git as they are', async () => {
    const name = parseRefName('refs/heads/\udcffü');
    await refs.update({ name, oid: first, ...change('bytes \udcff') });
    const listed = await refs.list('refs/heads/');
    expect(listed).toEqual([{ name, oid: first }]);
    const output = (await gitResult(['--git-dir', gitDir, 'for-each-ref', '--format=%(refname)']))
      .stdout;
    expect(output.toString('latin1')).toBe(`${name}\n`);
    expect(await refs.reflog(name)).toMatchObject([{ message: 'bytes \udcff' }]);
    await fsck(gitDir);
  });
});

describe('reflogs', () => {
  test.each([
    ['never', []],
    ['normal', ['HEAD', 'refs/heads/main']],
    ['always', ['HEAD', 'refs/heads/main', 'refs/other/x']],
  ] as const)('policy %s', async (reflogPolicy, expected) => {
    const store = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy });
    const names = ['refs/heads/main', 'refs/other/x'].map(parseRefName);
    for (const name of names) await store.update({ name, oid: first, ...change('x') });
    const kept = [];
    for (const name of [headRef, ...names]) {
      if ((await store.reflog(name)).length > 0) kept.push(name);
    }
    expect(kept).toEqual(expected);
    await run(
      'config',
      'core.logAllRefUpdates',
      { never: 'false', normal: 'true', always: 'always' }[reflogPolicy],
    );
    await run('update-ref', 'refs/heads/new', first);
    await run('update-ref', 'refs/other/new', first);
    const theirs = ['refs/heads/new', 'refs/other/new'].map(parseRefName);
    const had = await Promise.all(theirs.map(async (name) => (await store.reflog(name)).length));
    expect(had).toEqual(theirs.map((_, index) => (expected.length > index + 1 ? 1 : 0)));
  });

  test('a log that exists is kept up, and one can be asked for', async () => {
    const store = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'never' });
    await store.update({ name: topic, oid: first, createReflog: true, ...change('one') });
    await store.update({ name: topic, oid: second, ...change('two') });
    expect(await reflog('topic')).toMatch(/two\n.*one\n$/);
  });

  test('a last line that was cut off stays apart from the next one', async () => {
    await refs.update({ name: topic, oid: first, ...change('one') });
    const path = join(gitDir, 'logs/refs/heads/topic');
    await writeFile(path, (await readFile(path, 'utf8')) + `${first} 0123`);
    await refs.update({ name: topic, oid: second, ...change('two') });
    expect((await refs.reflog(topic)).map((record) => record.message)).toEqual(['one', 'two']);
    expect(await reflog('topic')).toMatch(/two\n.*one\n$/);
  });
});

describe('rename', () => {
  test.each([
    ['refs/heads/topic', 'refs/heads/renamed/far'],
    ['refs/heads/topic', 'refs/heads/topic/a/b'],
    ['refs/heads/topic/a', 'refs/heads/topic'],
  ])('%s to %s keeps the reflog, and HEAD follows', async (from, to) => {
    for (const packed of [false, true]) {
      const [source, target] = [parseRefName(from), parseRefName(to)];
      await refs.update({ name: source, oid: first, ...change('one') });
      await refs.update({ name: source, oid: second, ...change('two') });
      await refs.setSymbolic(headRef, source, change('checkout'));
      if (packed) await run('pack-refs', '--all', '--prune');
      await refs.rename(source, target, change(`renamed ${from}`));
      expect(await all()).toBe(`${to} ${second}\n`);
      expect(await run('symbolic-ref', 'HEAD')).toBe(`${to}\n`);
      const records = await refs.reflog(target);
      expect(records.map((record) => record.message)).toEqual(['one', 'two', `renamed ${from}`]);
      expect(await reflog(to)).toContain(`renamed ${from}`);
      expect(await refs.reflog(source)).toEqual([]);
      await fsck(gitDir);
      await refs.update({ name: target, oid: null, expected: second, ...change('again') });
      expect(await readdir(join(gitDir, 'logs/refs/heads'))).toEqual([]);
      expect(await readdir(join(gitDir, 'refs/heads'))).toEqual([]);
    }
  });

  test('a tag of which packed-refs knows nothing is still peeled by git', async () => {
    await run('tag', '-a', '-m', 'annotated', 'v1', first);
    await run('tag', '-a', '-m', 'annotated', 'v0', second);
    await run('pack-refs', '--all');
    await run('tag', '-f', '-a', '-m', 'another', 'v1', second);
    await refs.rename(parseRefName('refs/tags/v1'), parseRefName('refs/tags/v2'), change('x'));
    expect(await run('show-ref', '-d')).toMatch(
      new RegExp(
        `v0\\n${second} refs/tags/v0\\^\\{\\}\\n.* refs/tags/v2\\n${second} refs/tags/v2\\^\\{\\}\\n$`,
      ),
    );
    await fsck(gitDir);
  });

  test('worktrees that are on the branch go with it, and others stay', async () => {
    for (const name of ['main', 'topic']) await run('update-ref', `refs/heads/${name}`, first);
    const [on, beside] = [join(gitDir, '../on'), join(gitDir, '../beside')];
    await run('worktree', 'add', '--quiet', on, 'topic');
    await run('worktree', 'add', '--quiet', '--detach', beside, 'topic');
    await run('symbolic-ref', 'HEAD', 'refs/heads/topic');
    await refs.rename(topic, parseRefName('refs/heads/topic/inner'), change('renamed'));
    const head = (cwd: string): Promise<string> => git(['symbolic-ref', '-q', 'HEAD'], { cwd });
    expect(await head(on)).toBe('refs/heads/topic/inner\n');
    expect(await head(gitDir)).toBe('refs/heads/topic/inner\n');
    await expect(head(beside)).rejects.toThrow();
    expect(await git(['status', '--porcelain'], { cwd: on })).toBe('');
    // Out of the worktree the bare repository is the other one.
    const inWorktree = join(gitDir, 'worktrees/on');
    const policy = { algorithm: 'sha1', reflogPolicy: 'always' } as const;
    const store = new RefStore({ gitDir: inWorktree, commonDir: gitDir, ...policy });
    await store.rename(parseRefName('refs/heads/topic/inner'), topic, change('back'));
    expect([await head(on), await head(gitDir)]).toEqual([
      'refs/heads/topic\n',
      'refs/heads/topic\n',
    ]);
    await writeFile(join(inWorktree, 'HEAD.lock'), '');
    const quick = new RefStore({ gitDir, ...policy, lockTimeoutMs: 50 });
    await expect(
      quick.rename(topic, parseRefName('refs/heads/locked'), change('no')),
    ).rejects.toThrow('HEAD.lock exists');
    expect(await all()).toBe(`refs/heads/main ${first}\nrefs/heads/topic ${first}\n`);
    await fsck(gitDir);
  });

  test('nothing is renamed over another ref, or beside one that excludes it', async () => {
    for (const name of ['main', 'topic', 'x/y']) {
      await refs.update({ name: parseRefName(`refs/heads/${name}`), oid: first, ...change('x') });
    }
    for (const to of ['main', 'x', 'main/z', 'x/y/z']) {
      const rename = refs.rename(topic, parseRefName(`refs/heads/${to}`), change('no'));
      await expect(rename, to).rejects.toThrow(RefConflictError);
    }
    const nothing = parseRefName('refs/heads/nothing');
    await expect(refs.rename(nothing, topic, change('no'))).rejects.toThrow('no ref');
    expect(await all()).toBe(
      ['main', 'topic', 'x/y'].map((name) => `refs/heads/${name} ${first}\n`).join(''),
    );
    expect(await refs.reflog(topic)).toHaveLength(1);
  });
});
