import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidConfigError } from '../../../src/errors.ts';
import { parseConfig } from '../../../src/git/config-parser.ts';
import { GitConfig } from '../../../src/git/config.ts';
import { gitResult } from '../../helpers/git.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

const values = (text: string): [string, string | null][] =>
  parseConfig(text, 'config').map(({ key, value }) => [key, value]);

describe('the syntax', () => {
  test('sections, subsections and names', () => {
    const text = `
      [Core] Bare = true ; a comment
      [remote "Up \\"st\\\\ream\\x"]
        URL = x#y
      [branch.Old.Form] merge
      # the end`;
    expect(values(text)).toEqual([
      ['core.bare', 'true'],
      ['remote.Up "st\\reamx.url', 'x'],
      ['branch.old.form.merge', null],
    ]);
  });

  test('values: space, quotes, escapes, continued lines', () => {
    expect(values('[a]\nb =  x  y \t# c\r\nc = " x # y "z;\nd = "\\t\\n\\b\\\\"\\"\n')).toEqual([
      ['a.b', 'x  y'],
      ['a.c', ' x # y z'],
      ['a.d', '\t\n\b\\"'],
    ]);
    expect(values('\ufeff[a] b = x \\\n  y\nc = \\')).toEqual([
      ['a.b', 'x   y'],
      ['a.c', ''],
    ]);
  });

  test.each([
    ['[a]\nb = 1\n[c\n', 3],
    ['= 1', 1],
    ['[a]\n\nb = "x\nc = 1', 3],
    ['[a]\nb = \\x', 2],
    ['[a "b]\n', 1],
    ['[a] b c', 1],
    ['[a] 1b = c', 1],
  ])('%j is refused, and the line is named', (text, line) => {
    const parse = (): unknown => parseConfig(text, '/repo/config');
    expect(parse).toThrow(InvalidConfigError);
    expect(parse).toThrow(`line ${line} of /repo/config`);
  });

  test('git reads the same out of any text', async () => {
    const file = join(await temporaryDirectory(), 'config');
    const piece = fc.constantFrom(
      ...['[a]', '[A "b"]', '[a.B]', '\n', '\r\n', ' ', 'key', 'k-1', '=', '"', '\\', '\\n', '\\"'],
      ...['#', ';', '\\\n', 'ü', '.', ']', 'true', '['],
    );
    const line = fc.oneof(
      fc.constantFrom('[a]\n', '[A "bC"]\n', 'key = value\n', 'k = "a;b" # c\n', 'flag\n'),
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
    );
    const text = fc.array(line, { maxLength: 6 }).map((lines) => lines.join(''));
    await fc.assert(
      fc.asyncProperty(text, async (content) => {
        await writeFile(file, content);
        const theirs = await gitResult(['config', '--file', file, '--list', '-z']);
        let ours: string | null = '';
        try {
          for (const [key, value] of values(content)) {
            ours += value === null ? `${key}\0` : `${key}\n${value}\0`;
          }
        } catch {
          ours = null;
        }
        expect(ours).toBe(theirs.exitCode === 0 ? theirs.stdout.toString() : null);
      }),
      { numRuns: 300 },
    );
  });
});

describe('values', () => {
  const config = new GitConfig(
    parseConfig(
      '[x]\nyes\nno = no\nsize = 2k\nbig = 3G\nminus = -1\nempty =\nword = word\none = 1\none = 0x\n[X "Sub"] v=1\nv=2',
      '/repo/config',
    ),
  );

  test('strings: the last one, or all', () => {
    expect(config.get('X.Sub.V')).toBe('2');
    expect(config.getAll('x.Sub.v')).toEqual(['1', '2']);
    expect(config.get('x.sub.v')).toBeUndefined();
    expect(config.get('x.yes')).toBe('');
  });

  test('booleans and numbers', () => {
    expect(
      ['yes', 'no', 'size', 'empty', 'none'].map((name) => config.getBool(`x.${name}`)),
    ).toEqual([true, false, true, false, undefined]);
    expect(['size', 'big', 'minus', 'none'].map((name) => config.getInt(`x.${name}`))).toEqual([
      2048,
      3 * 2 ** 30,
      -1,
      undefined,
    ]);
    expect(() => config.getBool('x.word')).toThrow('line 8 of /repo/config');
    expect(() => config.getInt('x.one')).toThrow('line 10 of /repo/config');
    expect(() => config.getInt('x.yes')).toThrow(InvalidConfigError);
  });
});

describe('files', () => {
  test('later files win, and what they include is read in place', async () => {
    const directory = await temporaryDirectory();
    const home = join(directory, 'home');
    const gitDir = join(directory, 'repo');
    await mkdir(join(home, '.config/git'), { recursive: true });
    await mkdir(gitDir);
    const write = (path: string, text: string): Promise<void> =>
      writeFile(join(directory, path), text);
    await write(
      'system',
      '[a] one = system\ntwo = system\nthree = system\nfour = system\nfive = system',
    );
    await write('home/.config/git/config', '[a] two = xdg\nthree = xdg');
    await write('home/.gitconfig', '[a] three = user\n[include] path = included\n path = missing');
    await write('home/included', '[a] four = included');
    await write(
      'repo/config',
      '[extensions] worktreeConfig\n[a] five = local\n[include] path = ~/more',
    );
    await write('home/more', '[a] six = more');
    await write('repo/config.worktree', '[a] seven = worktree');
    const env = { HOME: home, GIT_CONFIG_SYSTEM: join(directory, 'system') };
    const all = (config: GitConfig): unknown[] =>
      ['one', 'two', 'three', 'four', 'five', 'six', 'seven'].map((name) =>
        config.get(`a.${name}`),
      );
    expect(all(await GitConfig.load({ gitDir, env }))).toEqual([
      'system',
      'xdg',
      'user',
      'included',
      'local',
      'more',
      'worktree',
    ]);
    const bare = { HOME: home, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' };
    const count = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'A.One', GIT_CONFIG_VALUE_0: 'given' };
    expect(all(await GitConfig.load({ gitDir, env: { ...bare, ...count } }))).toEqual([
      'given',
      undefined,
      undefined,
      undefined,
      'local',
      'more',
      'worktree',
    ]);
  });

  test('a file that includes itself is refused', async () => {
    const gitDir = await temporaryDirectory();
    await writeFile(join(gitDir, 'config'), '[include] path = config');
    await expect(GitConfig.load({ gitDir, env: {} })).rejects.toThrow('included by itself');
  });
});
