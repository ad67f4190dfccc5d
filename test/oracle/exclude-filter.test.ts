import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FileNotFoundError } from '../../src/errors.ts';
import { ExcludeFilter } from '../../src/transfer/exclude-filter.ts';
import { git, gitResult } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const name = fc.constantFrom('a', 'b', 'ab', 'bb', 'foo.c', '.x', 'A', '*', '!a', 'ä', '[', 'a b');
const segment = fc.constantFrom(
  ...['a', 'b', 'ab', '*', '?', 'a*', '*b', '[ab]', '[!a]', 'a?', '**', 'foo.c', '*.c', '\\*'],
  ...['\\a', '[a-c]b', 'a**b', '.x', '*.*', 'A', '[[:alpha:]]', '\\!a', 'a ', 'a\\ ', 'ä', '??'],
);
const pattern = fc
  .tuple(
    fc.constantFrom('', '!'),
    fc.constantFrom('', '', '/'),
    fc.array(segment, { minLength: 1, maxLength: 3 }),
    fc.constantFrom('', '', '/'),
  )
  .map(([not, start, segments, end]) => not + start + segments.join('/') + end);
const patterns = fc.array(fc.oneof(pattern, fc.constantFrom('', '# note', '\\#x')), {
  maxLength: 4,
});
const path = fc.array(name, { minLength: 1, maxLength: 4 });

/** Every file path, and each directory on the way to one; a path that is both counts as a directory. */
function treeOf(paths: readonly string[][]): { directories: Set<string>; files: Set<string> } {
  const directories = new Set<string>();
  const files = new Set<string>();
  for (const segments of paths) {
    for (let depth = 1; depth < segments.length; depth++) {
      directories.add(segments.slice(0, depth).join('/'));
    }
    files.add(segments.join('/'));
  }
  for (const directory of directories) files.delete(directory);
  return { directories, files };
}

test('nested .gitignore files and patterns of the caller decide as git ls-files does', async () => {
  const base = await temporaryDirectory();
  let round = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(path, { minLength: 3, maxLength: 12 }),
      fc.array(fc.tuple(fc.nat(20), patterns), { maxLength: 3 }),
      patterns,
      async (paths, ignoreFiles, ofCaller) => {
        const root = join(base, `round-${round++}`);
        await git(['init', '-q', '--template=', root]);
        const { directories, files } = treeOf(paths);
        for (const directory of directories)
          await mkdir(join(root, directory), { recursive: true });
        for (const file of files) {
          await mkdir(dirname(join(root, file)), { recursive: true });
          await writeFile(join(root, file), '');
        }
        const places = ['', ...directories].sort();
        for (const [index, lines] of ignoreFiles) {
          const place = places[index % places.length] ?? '';
          await writeFile(join(root, place, '.gitignore'), `${lines.join('\n')}\n`);
        }
        // On git's command line nothing is a comment, and spaces at the end count.
        const given = ofCaller.filter((line) => /^[^#].*[^ ]$|^[^# ]$/.test(line));
        const onCommandLine = given.flatMap((line) => ['-x', line]);
        const filter = new ExcludeFilter({ patterns: given, gitignore: true });
        for (const place of places) filter.enterDirectory(join(root, place), place);
        const answer = await gitResult(
          // -x ranks above .gitignore, as the caller's patterns do; -o lists what is left.
          ['ls-files', '-o', '-z', '--exclude-per-directory=.gitignore', ...onCommandLine],
          { cwd: root },
        );
        expect(answer.stderr.toString()).toBe('');
        const kept = new Set(answer.stdout.toString().split('\0'));
        for (const file of files) {
          expect([file, filter.isExcludedInWalk(file)]).toEqual([file, !kept.has(file)]);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test.each(['!', '!/', '!//', '! ', '!/ ', '! /', '/', '//', '///', '/ ', ' ', '!**', '**/', '\\'])(
  'a line %j means what it means to git, in a nested .gitignore as at the root',
  async (line) => {
    const root = await temporaryDirectory();
    await git(['init', '-q', root]);
    const files = ['x', 'd/x', 'd/y/x', 'd/ /x'];
    for (const file of files) {
      await mkdir(dirname(join(root, file)), { recursive: true });
      await writeFile(join(root, file), '');
    }
    for (const [outer, inner] of [
      ['x', line],
      ['y', line],
      [line, line],
      [`y\n${line}`, ''],
    ] as const) {
      await writeFile(join(root, '.gitignore'), `${outer}\n`);
      await writeFile(join(root, 'd/.gitignore'), `${inner}\n`);
      const filter = new ExcludeFilter({ gitignore: true });
      for (const place of ['', 'd', 'd/y', 'd/ ']) filter.enterDirectory(join(root, place), place);
      const answer = await gitResult(['check-ignore', '--no-index', '--stdin', '-z'], {
        cwd: root,
        input: files.map((file) => `${file}\0`).join(''),
      });
      const ignored = new Set(answer.stdout.toString().split('\0'));
      for (const file of files) {
        const isExcluded = filter.isExcludedInWalk(file);
        expect([outer, inner, file, isExcluded]).toEqual([outer, inner, file, ignored.has(file)]);
      }
    }
  },
);

test('without nested files, isExcluded agrees with git check-ignore', async () => {
  const repository = await temporaryDirectory();
  await git(['init', '-q', repository]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(path, { minLength: 1, maxLength: 20 }),
      patterns,
      async (all, rules) => {
        await writeFile(join(repository, '.gitignore'), `${rules.join('\n')}\n`);
        const asked = [...new Set(all.map((segments) => segments.join('/')))];
        const answer = await gitResult(['check-ignore', '--no-index', '--stdin', '-z'], {
          cwd: repository,
          input: asked.map((rel) => `${rel}\0`).join(''),
        });
        const ignored = new Set(answer.stdout.toString().split('\0'));
        const filter = new ExcludeFilter({ patterns: rules });
        for (const rel of asked) {
          expect([rel, filter.isExcluded(rel)]).toEqual([rel, ignored.has(rel)]);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('a missing pattern file is named, a readable one is used', async () => {
  const directory = await temporaryDirectory();
  expect(() => new ExcludeFilter({ excludeFrom: join(directory, 'none') })).toThrow(
    expect.objectContaining({ code: 'ENOENT', path: join(directory, 'none') }),
  );
  await writeFile(join(directory, 'patterns'), '\ufeff*.log\r\n!keep.log\r\n');
  const filter = new ExcludeFilter({ excludeFrom: join(directory, 'patterns') });
  expect(filter.active).toBe(true);
  expect([filter.isExcluded('x/a.log'), filter.isExcluded('x/keep.log')]).toEqual([true, false]);
  expect(new ExcludeFilter().active).toBe(false);
  filter.addPatterns(['!x/']);
  expect(() => filter.loadFromFile(join(directory, 'none'))).toThrow(FileNotFoundError);
  await writeFile(join(directory, 'more'), 'keep.*\n');
  filter.loadFromFile(join(directory, 'more'));
  expect([filter.isExcluded('x/keep.log'), filter.isExcluded('x', true)]).toEqual([true, false]);
});
