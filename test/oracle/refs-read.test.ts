import { appendFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { CorruptRefError } from '../../src/errors.ts';
import type { Oid } from '../../src/git/oid.ts';
import { headRef, parseRefName, refNameText, type RefName } from '../../src/git/refs/ref-name.ts';
import { RefStore } from '../../src/git/refs/ref-store.ts';
import { git, gitResult } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// What we see of the refs and reflogs that git writes.

let gitDir = '';
let first = '' as Oid;
let second = '' as Oid;
let refs: RefStore;

const run = (...args: string[]): Promise<string> => git(['--git-dir', gitDir, ...args]);
const identity = { name: 'A', email: 'a@example.com' };

beforeEach(async () => {
  gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '--quiet', '--bare', gitDir]);
  await run('config', 'core.logAllRefUpdates', 'always');
  const tree = (await run('mktree')).trim();
  first = (await run('commit-tree', tree, '-m', 'first')).trim() as Oid;
  second = (await run('commit-tree', tree, '-m', 'second', '-p', first)).trim() as Oid;
  refs = new RefStore({ gitDir, algorithm: 'sha1', reflogPolicy: 'always' });
});

async function listing(prefix: string): Promise<string> {
  const lines = (await refs.list(prefix)).map(({ name, oid }) => `${refNameText(name)} ${oid}\n`);
  return lines.join('');
}

const theirListing = (...patterns: string[]): Promise<string> =>
  run('for-each-ref', '--format=%(refname) %(objectname)', ...patterns);

describe('loose and packed', () => {
  test('the same refs are seen while git packs, moves, packs again and deletes', async () => {
    const names = ['a', 'a-b', 'a/b', 'z', 'ä', 'n/o/p', 'n.o'].map(
      (name) => `refs/heads/x${name}/y`,
    );
    const steps: (() => Promise<unknown>)[] = [
      () => run('symbolic-ref', 'HEAD', 'refs/heads/main'),
      () => Promise.all(names.map((name) => run('update-ref', name, first))),
      () => run('update-ref', 'HEAD', second),
      () => run('tag', '-a', '-m', 'annotated', 'v1', first),
      () => run('tag', 'light', first),
      () => run('pack-refs', '--all', '--prune'),
      () => run('update-ref', 'refs/heads/xa/y', second),
      () => run('update-ref', '-d', 'refs/heads/xz/y'),
      () => run('symbolic-ref', 'refs/heads/symbolic', 'refs/heads/xa/y'),
      () => run('symbolic-ref', 'refs/heads/dangling', 'refs/heads/none'),
      () => run('pack-refs', '--all'),
      () => run('update-ref', '-d', 'refs/heads/xa/y'),
    ];
    for (const step of steps) {
      await step();
      expect(await listing('refs/')).toBe(await theirListing());
      expect(await listing('refs/heads/x')).toBe(await theirListing('refs/heads/x*/**'));
      expect(await listing('refs/tags/')).toBe(await theirListing('refs/tags/'));
      for (const line of (await theirListing()).trim().split('\n')) {
        const [name = '', oid] = line.split(' ');
        if (name !== '') expect((await refs.resolve(parseRefName(name)))?.oid).toBe(oid);
      }
    }
    expect((await refs.resolve(headRef))?.oid).toBe(second);
    expect(await refs.read(headRef)).toEqual({ kind: 'symbolic', target: 'refs/heads/main' });
    expect(await refs.read(parseRefName('refs/heads/xz/y'))).toBeNull();
    expect(await refs.list('refs/heads/none/')).toEqual([]);
  });

  test('packed-refs tells what annotated tags lead to', async () => {
    await run('tag', '-a', '-m', 'annotated', 'v1', first);
    await run('tag', 'light', first);
    const tag = (await run('rev-parse', 'v1')).trim();
    const light = { name: 'refs/tags/light', oid: first };
    const v1 = { name: 'refs/tags/v1', oid: tag };
    expect(await refs.list('refs/tags/')).toEqual([light, v1]);
    await run('pack-refs', '--all', '--prune');
    expect(await refs.list('refs/tags/')).toEqual([
      { ...light, peeled: first },
      { ...v1, peeled: first },
    ]);
  });

  test('a symbolic link is an old form of a symbolic ref', async () => {
    await run('update-ref', 'refs/heads/main', first);
    await rm(join(gitDir, 'HEAD'));
    await symlink('refs/heads/main', join(gitDir, 'HEAD'));
    expect(await run('rev-parse', 'HEAD')).toBe(`${first}\n`);
    expect(await refs.read(headRef)).toEqual({ kind: 'symbolic', target: 'refs/heads/main' });
    await refs.update({ name: headRef, oid: second, expected: first, message: 'm', identity });
    expect(await run('rev-parse', 'HEAD', 'refs/heads/main')).toBe(`${second}\n`.repeat(2));
  });
});

describe('what is broken', () => {
  test.each([
    '',
    'rubbish',
    `${'0'.repeat(40)}\n`,
    `${'1'.repeat(39)}\n`,
    'ref: ../config\n',
    'ref:\n',
  ])('a file that holds %j concerns its ref alone', async (content) => {
    await run('update-ref', 'refs/heads/good', first);
    await run('update-ref', 'refs/heads/bad', first);
    await run('pack-refs', '--all', '--prune');
    await writeFile(join(gitDir, 'refs/heads/bad'), content);
    const bad = parseRefName('refs/heads/bad');
    await expect(refs.read(bad)).rejects.toThrow(CorruptRefError);
    await expect(refs.resolve(bad)).rejects.toMatchObject({ ref: 'refs/heads/bad' });
    const broken: unknown[] = [];
    const onBroken = (error: CorruptRefError): unknown => broken.push(error.ref);
    expect(await refs.list('refs/', { onBroken })).toHaveLength(1);
    expect(broken).toEqual(['refs/heads/bad']);
    const theirs = await gitResult(['--git-dir', gitDir, 'for-each-ref', '--format=%(refname)']);
    expect(theirs.stdout.toString()).toBe('refs/heads/good\n');
    // It says nothing of symbolic ones.
    const warning = content.startsWith('ref:') ? '' : 'broken ref refs/heads/bad';
    expect(theirs.stderr.toString()).toContain(warning);
  });

  test('what git reads beside an id or a name is read, too', async () => {
    for (const content of [
      first,
      `${first.toUpperCase()}\n`,
      `${first} and more`,
      `${first}\t\n\n`,
    ]) {
      await writeFile(join(gitDir, 'refs/heads/main'), content);
      expect(await run('rev-parse', 'refs/heads/main')).toBe(`${first}\n`);
      expect(await refs.read(parseRefName('refs/heads/main'))).toEqual({ kind: 'oid', oid: first });
    }
    for (const content of ['ref:refs/heads/main', 'ref: \t refs/heads/main \n\n']) {
      await writeFile(join(gitDir, 'refs/heads/other'), content);
      expect(await run('rev-parse', 'refs/heads/other')).toBe(`${first}\n`);
      expect((await refs.resolve(parseRefName('refs/heads/other')))?.oid).toBe(first);
    }
  });

  test('a chain of symbolic refs may be as long as git allows, and no circle', async () => {
    const link = (index: number): RefName => parseRefName(`refs/heads/link${index}`);
    await run('update-ref', 'refs/heads/link0', first);
    for (let index = 1; index <= 6; index++) {
      await writeFile(join(gitDir, link(index)), `ref: ${link(index - 1)}\n`);
      const theirs = await gitResult([
        '--git-dir',
        gitDir,
        'rev-parse',
        '-q',
        '--verify',
        link(index),
      ]);
      const ours = await refs.resolve(link(index)).catch((error: unknown) => error);
      if (theirs.exitCode === 0) expect(ours).toEqual({ name: link(0), oid: first });
      else expect(ours).toBeInstanceOf(CorruptRefError);
    }
    await writeFile(join(gitDir, link(0)), `ref: ${link(1)}\n`);
    await expect(refs.resolve(link(0))).rejects.toThrow('circle');
    const update = { name: link(0), oid: second, message: '', identity };
    await expect(refs.update(update)).rejects.toThrow('circle');
    expect(await refs.list('refs/')).toEqual([]);
  });

  test('locks, odd names and empty directories are no refs', async () => {
    await run('update-ref', 'refs/heads/good', first);
    for (const name of ['good.lock', '.hidden', 'with space', 'a..b', 'end.']) {
      await writeFile(join(gitDir, 'refs/heads', name), `${first}\n`);
    }
    await mkdir(join(gitDir, 'refs/heads/empty/directory'), { recursive: true });
    expect(await listing('refs/')).toBe(`refs/heads/good ${first}\n`);
  });

  test.each([
    ['cut off', (text: string) => text.slice(0, -1)],
    ['with a foreign header', (text: string) => text.replace('pack-refs', 'something')],
    ['with a damaged line', (text: string) => text.replace(/^[0-9a-f]{3}/m, 'xyz')],
  ])('a packed-refs file %s is told', async (_, damage) => {
    await run('update-ref', 'refs/heads/main', first);
    await run('pack-refs', '--all', '--prune');
    const path = join(gitDir, 'packed-refs');
    await writeFile(path, damage(await readFile(path, 'utf8')));
    await expect(refs.read(parseRefName('refs/heads/main'))).rejects.toThrow(CorruptRefError);
    await expect(refs.list('refs/')).rejects.toThrow(/packed-refs is damaged/);
    const update = { name: parseRefName('refs/heads/x'), oid: first, message: '', identity };
    await expect(refs.update(update)).rejects.toThrow(CorruptRefError);
  });
});

describe('reflogs', () => {
  test('are read as git shows them, in both directions, after git has expired some', async () => {
    const name = parseRefName('refs/heads/main');
    for (let index = 0; index < 12; index++) {
      const env = {
        GIT_COMMITTER_DATE: `${1_700_000_000 + index} ${index % 2 ? '-0330' : '+1400'}`,
      };
      const oid = index % 2 ? second : first;
      await git(['--git-dir', gitDir, 'update-ref', '-m', `move ${index} ü`, name, oid], { env });
    }
    await appendFile(join(gitDir, 'logs', name), 'damaged line\n');
    const check = async (): Promise<void> => {
      const format = '--format=%H|%gn <%ge>|%gd|%gs';
      const theirs = await run('log', '-g', format, '--date=raw', 'refs/heads/main');
      const zone = (minutes: number): string => (minutes === 840 ? '+1400' : '-0330');
      const records = await refs.reflog(name);
      const ours = records
        .map(
          (record) =>
            `${record.newOid}|${record.identity}|main@{${record.timeSec} ` +
            `${zone(record.zoneMinutes)}}|${record.message}\n`,
        )
        .reverse();
      expect(ours.join('')).toBe(theirs);
      const newestFirst = [];
      for await (const record of refs.reflogNewestFirst(name)) newestFirst.push(record);
      expect(newestFirst.reverse()).toEqual(records);
    };
    await check();
    await run('reflog', 'expire', '--expire=1700000008', '--updateref', 'refs/heads/main');
    await check();
    expect(await refs.reflog(name)).toHaveLength(4);
  });
});
