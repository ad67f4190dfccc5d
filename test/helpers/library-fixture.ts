import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FileType, GitStore } from '../../src/index.ts';
import type { FS, WriteValue } from '../../src/index.ts';
import { fsck, git } from './git.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** An open store for one test, and its repository. */
export interface LibraryFixture {
  readonly store: GitStore;
  readonly gitDir: string;
  /** The tip of `main`. */
  readonly main: FS;
  /** Runs git in the repository; the output without the newline that ends it. */
  readonly git: (...args: string[]) => Promise<string>;
  /** Another store on the same repository, closed after the test. */
  readonly reopen: () => Promise<GitStore>;
}

export const bigFile: Buffer = Buffer.from(
  Array.from({ length: 40_000 }, (_, index) => `line ${index}\n`).join(''),
);

/** What the first commit after the empty one puts on `main`, and `v1` and `annotated` name. */
export const fixtureFiles: Readonly<Record<string, WriteValue>> = {
  'README.md': 'first\n',
  'big.txt': bigFile,
  'run.sh': { data: '#!/bin/sh\n', mode: FileType.EXECUTABLE },
  link: { target: 'docs/guide.md' },
  '.hidden': 'a dot file',
  '.config/settings': 'in a dot directory',
  'docs/guide.md': 'guide',
  'docs/deep/er/page.md': 'page',
  'src/main.ts': 'main',
  'src/lib/util.ts': 'util',
  'src/lib/.eslintrc': 'rules',
  'ünï/cödé ☃.txt': 'names are UTF-8',
};
/** The second commit, the tip of `main`. */
export const secondReadme = 'second\n';

const author = ['vost', 'vost@localhost'] as const;

async function writtenByVost(path: string): Promise<void> {
  const store = await GitStore.open(path);
  const empty = await store.branches.get('main');
  const first = await empty.apply(fixtureFiles, [], { message: 'first' });
  await store.tags.set('v1', first);
  await store.branches.set('feature/x', first);
  await first.writeText('README.md', secondReadme, { message: 'second' });
  await store.close();
  await git(['tag', '-a', 'annotated', '-m', 'a tag', 'v1'], { cwd: path });
}

async function packedByGit(path: string): Promise<void> {
  await writtenByVost(path);
  await git(['repack', '-adfq'], { cwd: path });
  await git(['pack-refs', '--all'], { cwd: path });
}

async function writtenByGit(path: string): Promise<void> {
  await git(['init', '--quiet', '--bare', path]);
  const stamp = `${author[0]} <${author[1]}> 1700000000 +0100`;
  const data = (content: string | Uint8Array): Buffer[] => {
    const bytes = Buffer.from(content as string);
    return [Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n')];
  };
  const lines: (string | Buffer)[] = [];
  const commit = (message: string): void => {
    lines.push(`commit refs/heads/main\nauthor ${stamp}\ncommitter ${stamp}\n`, ...data(message));
  };
  commit('Initialize main\n');
  commit('first\n');
  for (const [name, value] of Object.entries(fixtureFiles)) {
    const entry =
      typeof value === 'string' || value instanceof Uint8Array ? { data: value } : value;
    const mode = entry.target ? '120000' : entry.mode ? '100755' : '100644';
    const content = (entry.target ?? entry.data) as string | Uint8Array;
    lines.push(`M ${mode} inline "${name}"\n`, ...data(content));
  }
  for (const ref of ['refs/tags/v1', 'refs/heads/feature/x']) {
    lines.push(`reset ${ref}\nfrom refs/heads/main\n\n`);
  }
  lines.push(`tag annotated\nfrom refs/heads/main\ntagger ${stamp}\n`, ...data('a tag\n'));
  commit('second\n');
  lines.push('M 100644 inline README.md\n', ...data(secondReadme));
  const input = Buffer.concat(lines.map((line) => Buffer.from(line as string)));
  await git(['fast-import', '--quiet'], { cwd: path, input });
}

const kinds = [
  ['written by vost', writtenByVost],
  ['packed by git', packedByGit],
  ['written by git', writtenByGit],
] as const;

/** A test of the library on a repository of its own; afterwards git finds no fault with that. */
export type LibraryTest = (name: string, body: (fixture: LibraryFixture) => Promise<void>) => void;

/** Runs the same tests on a repository that the library wrote, on one that git packed, and on one that git wrote. */
export function describeOnEveryRepository(name: string, define: (it: LibraryTest) => void): void {
  describe.each(kinds)(`${name}, in a repository %s`, (_, make) => {
    let template: Promise<string> | undefined;
    define((testName, body) => {
      test(testName, async () => {
        template ??= makeTemplate(make);
        const gitDir = join(await temporaryDirectory(), 'repository.git');
        await cp(await template, gitDir, { recursive: true });
        await runOn(gitDir, body);
      });
    });
  });
}

async function makeTemplate(make: (path: string) => Promise<void>): Promise<string> {
  const path = join(await temporaryDirectory(), 'template.git');
  await make(path);
  return path;
}

async function runOn(
  gitDir: string,
  body: (fixture: LibraryFixture) => Promise<void>,
): Promise<void> {
  const stores: GitStore[] = [];
  const open = async (): Promise<GitStore> => {
    const store = await GitStore.open(gitDir, { create: false });
    stores.push(store);
    return store;
  };
  try {
    const store = await open();
    const main = await store.branches.get('main');
    const run = async (...args: string[]): Promise<string> =>
      (await git(args, { cwd: gitDir })).replace(/\n$/, '');
    await body({ store, gitDir, main, git: run, reopen: open });
  } finally {
    for (const store of stores) await store.close();
  }
  await fsck(gitDir);
}

/** All files of a snapshot, `<mode> <hash> <path>` a line, as git lists them and as the library does. */
export async function gitListing(fixture: LibraryFixture, revision: string): Promise<string[]> {
  const output = await fixture.git('-c', 'core.quotePath=false', 'ls-tree', '-r', revision);
  if (output === '') return [];
  return output.split('\n').map((line) => line.replace(/^(\d+) \w+ (\w+)\t/, '$1 $2 '));
}

export async function libraryListing(fs: FS): Promise<string[]> {
  const lines: { path: string; line: string }[] = [];
  for await (const [directory, , entries] of fs.walk()) {
    for (const { name, oid, mode } of entries) {
      const path = directory === '' ? name : `${directory}/${name}`;
      lines.push({ path, line: `${mode} ${oid} ${path}` });
    }
  }
  lines.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  return lines.map(({ line }) => line);
}

/** Everything from an async iterable. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Compares bytes; `toEqual` takes seconds for what is large. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  expect(Buffer.compare(actual, expected)).toBe(0);
}
