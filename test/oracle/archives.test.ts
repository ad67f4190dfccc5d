import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, link, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileType, archiveIn, archiveOut } from '../../src/index.ts';
import type {
  ArchiveFormatName,
  FS,
  GitStore,
  TransferProgress,
  WriteValue,
} from '../../src/index.ts';
import {
  archiveFiles,
  archiveStore,
  freshDirectory,
  gitTreeOf,
} from '../helpers/archive-fixture.ts';
import { fsck, git } from '../helpers/git.ts';
import { program, shell } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const formats: ArchiveFormatName[] = ['zip', 'tar', 'tar.gz', 'tgz', 'tar.bz2', 'tar.xz'];
// VOST_TEST_ROUNDS makes it longer: that many times the cases.
const rounds = 200 * Number(process.env['VOST_TEST_ROUNDS'] ?? 1);

let store: GitStore;
let gitDir: string;
let empty: FS;

beforeAll(async () => {
  ({ store, gitDir, main: empty } = await archiveStore());
});

afterAll(async () => {
  await store.close();
  await fsck(gitDir);
});

let branches = 0;

/** A branch with these files and nothing else. */
async function branchWith(files: Record<string, WriteValue>): Promise<FS> {
  const fs = await emptyBranch();
  return Object.keys(files).length === 0 ? fs : fs.apply(files);
}

async function emptyBranch(): Promise<FS> {
  branches += 1;
  return store.branches.setAndGet(`branch${branches}`, empty);
}

const usual: Record<string, WriteValue> = {
  'README.md': 'text\n',
  'bin/run.sh': { data: '#!/bin/sh\n', mode: FileType.EXECUTABLE },
  'bin/link': { target: '../README.md' },
  'ünï/cödé ☃.txt': 'UTF-8',
  'not utf-8 \udcff\udc80': 'bytes',
  'both ü\udcff': { target: 'ü\udcff' },
  [`${'d'.repeat(120)}/${'n'.repeat(120)}/${'f'.repeat(200)}`]: 'a long path',
  'long link': { target: 'x/'.repeat(100) },
  empty: '',
  'big.bin': new Uint8Array(1_300_000).map((_, at) => (at * 7919) >> 5),
};

test(`what was put into an archive comes out of it, ${rounds} times`, async () => {
  const directory = await temporaryDirectory();
  await fc.assert(
    fc.asyncProperty(archiveFiles, fc.constantFrom(...formats), async (files, format) => {
      const fs = await branchWith(files);
      const path = join(directory, `archive.${format}`);
      await archiveOut(fs, path);
      const back = await archiveIn(await emptyBranch(), path);
      expect(back.treeHash).toBe(fs.treeHash);
    }),
    { numRuns: rounds },
  );
});

const extractors: Record<string, (archive: string, directory: string) => Promise<string>> = {
  tar: (archive, directory) => program('tar', ['-xf', archive, '-C', directory]),
  bsdtar: (archive, directory) => program('bsdtar', ['-xf', archive, '-C', directory]),
  unzip: (archive, directory) => program('unzip', ['-q', archive, '-d', directory]),
};

describe.each(formats)('an archive called .%s', (format) => {
  const programs = format === 'zip' ? ['unzip', 'bsdtar'] : ['tar', 'bsdtar'];

  test.each(programs)('is opened by %s', async (name) => {
    // The others convert names to the locale, in which such bytes mean nothing.
    const isReadable = ([path]: [string, WriteValue]): boolean =>
      name === 'tar' || !path.includes('\udcff');
    const files = Object.fromEntries(Object.entries(usual).filter(isReadable));
    const fs = await branchWith(files);
    const archive = join(await temporaryDirectory(), `a.${format}`);
    await archiveOut(fs, archive);
    const directory = await freshDirectory('out');
    await extractors[name]?.(archive, directory);
    expect(await gitTreeOf(directory, gitDir)).toBe(fs.treeHash);
  });

  test('goes through streams', async () => {
    const fs = await branchWith(usual);
    const stream = new PassThrough();
    const collected = buffer(stream);
    await archiveOut(fs, stream, { format });
    const archive = join(await temporaryDirectory(), 'archive');
    await writeFile(archive, await collected);
    const back = await archiveIn(await emptyBranch(), createReadStream(archive), { format });
    expect(back.treeHash).toBe(fs.treeHash);
  });
});

/** A directory as people have it. */
async function sourceDirectory(): Promise<string> {
  const directory = await freshDirectory('source');
  for (const [path, value] of Object.entries(usual)) {
    if (/[\udc80-\udcff]/.test(path)) continue;
    const at = join(directory, path);
    await mkdir(dirname(at), { recursive: true });
    const entry =
      typeof value === 'object' && !(value instanceof Uint8Array) ? value : { data: value };
    if (entry.target !== undefined) await symlink(entry.target, at);
    else await writeFile(at, entry.data as string | Uint8Array);
    if (entry.mode !== undefined) await chmod(at, 0o755);
  }
  return directory;
}

const makers: [string, string, string][] = [
  ['tar', 'gnu.tar', 'tar --format=gnu -cf "$0" .'],
  ['tar', 'pax.tar.gz', 'tar --format=pax -czf "$0" .'],
  ['tar', 'pax.tar.bz2', 'tar --format=posix -cjf "$0" *'],
  ['tar', 'gnu.tar.xz', 'tar -cJf "$0" .'],
  ['bsdtar', 'bsd.tar', 'bsdtar -cf "$0" .'],
  ['bsdtar', 'bsd.tgz', 'bsdtar --format=pax -czf "$0" *'],
  // With the sizes behind the contents.
  ['bsdtar', 'bsd.zip', 'bsdtar --format=zip -cf "$0" .'],
  ['zip', 'info.zip', 'zip -qry "$0" .'],
  ['zip', 'stored.zip', 'zip -qry -0 "$0" .'],
  ['zip', 'zip64.zip', 'zip -qry -fz "$0" .'],
  ['git archive', 'git.tar.gz', 'git --git-dir="$1" archive -o "$0" "$2"'],
  ['git archive', 'git.zip', 'git --git-dir="$1" archive -o "$0" "$2"'],
];

test.each(makers)('what %s wrote is read: %s', async (_, fileName, command) => {
  const directory = await sourceDirectory();
  const tree = await gitTreeOf(directory, gitDir);
  const archive = join(await temporaryDirectory(), fileName);
  await program('bash', ['-euo', 'pipefail', '-c', command, archive, gitDir, tree], {
    cwd: directory,
  });
  expect((await archiveIn(await emptyBranch(), archive)).treeHash).toBe(tree);
});

test('hard links become the file that they are, devices and FIFOs are left out', async () => {
  const directory = await sourceDirectory();
  await link(join(directory, 'bin/run.sh'), join(directory, 'zz-same'));
  const tree = await gitTreeOf(directory, gitDir);
  const archive = join(await temporaryDirectory(), 'a.tar');
  await shell(`mkfifo fifo && tar -cf ${archive} --sort=name .`, { cwd: directory });
  const fs = await archiveIn(await emptyBranch(), archive);
  expect(fs.treeHash).toBe(tree);
  expect(fs.changes?.warnings.map(({ path }) => path)).toEqual(['./fifo']);
});

test('it is one commit with the operation in its message, on what is there already', async () => {
  const from = await branchWith({ a: 'new', 'd/b': 'new', c: 'new' });
  const archive = join(await temporaryDirectory(), 'a.zip');
  await archiveOut(from, archive);
  const before = await branchWith({ a: 'old', 'd/kept': 'old' });
  const after = await archiveIn(before, archive);
  expect(await after.getMessage()).toBe('Batch ar: +2 ~1');
  expect((await after.getParent())?.commitHash).toBe(before.commitHash);
  expect(await after.readText('d/kept')).toBe('old');
  const told = await archiveIn(before.writable ? await emptyBranch() : before, archive, {
    message: 'from {op}',
  });
  expect(await told.getMessage()).toBe('from ar');
  expect((await archiveIn(after, archive)).commitHash).toBe(after.commitHash);
});

test('submodules become empty directories, and the same snapshot the same bytes', async () => {
  const fs = await branchWith({ file: 'x' });
  const entries = `100644 blob ${await fs.objectHash('file')}\tfile\n160000 commit ${fs.commitHash}\tsub\n`;
  const tree = (await git(['mktree'], { cwd: gitDir, input: entries })).trim();
  const commit = (await git(['commit-tree', '-m', 'sub', tree], { cwd: gitDir })).trim();
  const withSubmodule = await store.fs(commit);
  for (const format of formats) {
    const directory = await temporaryDirectory();
    const paths = [join(directory, `a.${format}`), join(directory, `b.${format}`)];
    for (const path of paths) await archiveOut(withSubmodule, path);
    const [one, other] = await Promise.all(paths.map((path) => readFile(path)));
    expect(one?.equals(other as Buffer)).toBe(true);
    const out = await freshDirectory('out');
    await program('bsdtar', ['-xf', paths[0] as string, '-C', out]);
    expect((await readdir(out)).sort()).toEqual(['file', 'sub']);
  }
});

test.each(formats)('progress is told for .%s both ways, and can end it', async (format) => {
  const fs = await branchWith(usual);
  const paths = Object.keys(usual).sort();
  const archive = join(await temporaryDirectory(), `a.${format}`);
  const seen: TransferProgress[] = [];
  const progress = (at: TransferProgress): unknown => seen.push(at);
  const checkSeen = (): void => {
    expect(seen.map(({ path }) => path).sort()).toEqual(paths);
    expect(seen.at(-1)).toMatchObject({ files: paths.length });
    expect(seen.at(-1)?.bytes).toBeGreaterThan(1_300_000);
    seen.length = 0;
  };
  await archiveOut(fs, archive, { progress });
  checkSeen();
  const target = await emptyBranch();
  const back = await archiveIn(target, archive, { progress });
  checkSeen();
  expect(back.treeHash).toBe(fs.treeHash);

  const again = await emptyBranch();
  const controller = new AbortController();
  const options = {
    signal: controller.signal,
    progress: ({ files }: TransferProgress): void => {
      if (files === 3) controller.abort(new Error('enough'));
    },
  };
  await expect(archiveIn(again, archive, options)).rejects.toThrow('enough');
  expect((await store.branches.get(again.refName ?? '')).commitHash).toBe(again.commitHash);
});

test('half an archive never stands under its name', async () => {
  const fs = await branchWith(usual);
  const directory = await temporaryDirectory();
  const controller = new AbortController();
  const path = join(directory, 'a.tar');
  await writeFile(path, 'as it was');
  controller.abort(new Error('enough'));
  await expect(archiveOut(fs, path, { signal: controller.signal })).rejects.toThrow('enough');
  const later = new AbortController();
  setImmediate(() => later.abort(new Error('enough')));
  await expect(archiveOut(fs, path, { signal: later.signal })).rejects.toThrow('enough');
  expect(await readFile(path, 'utf8')).toBe('as it was');
  expect(await readdir(directory)).toEqual(['a.tar']);
  const full = createWriteStream('/dev/full');
  await expect(archiveOut(fs, full, { format: 'tar' })).rejects.toMatchObject({ code: 'ENOSPC' });
});
