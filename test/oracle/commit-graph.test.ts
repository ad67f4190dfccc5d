import { cp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { textFromBytes } from '../../src/git/byte-string.ts';
import { ChangedPathQuery } from '../../src/git/odb/changed-paths.ts';
import { Repository } from '../../src/git/repository.ts';
import type { HashAlgorithm, Oid } from '../../src/git/oid.ts';
import { GitStore } from '../../src/index.ts';
import {
  askedPaths,
  historyCommands,
  knownCommits,
  touches,
} from '../helpers/generated-history.ts';
import type { KnownCommit } from '../helpers/generated-history.ts';
import { git } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

const single = 'objects/info/commit-graph';
const chain = 'objects/info/commit-graphs';

interface History {
  readonly algorithm: HashAlgorithm;
  readonly gitDir: string;
  readonly firstParents: readonly KnownCommit[];
  readonly all: readonly KnownCommit[];
}

const writeGraph = (gitDir: string, ...args: string[]): Promise<string> =>
  git(['commit-graph', 'write', '--reachable', ...args], { cwd: gitDir });

async function grow(gitDir: string, first: number, count: number): Promise<void> {
  const input = historyCommands(first + 1, first, count);
  await git(['fast-import', '--quiet', '--force'], { cwd: gitDir, input });
}

/** Three stretches of history, with what `between` does after each. */
async function generate(
  algorithm: HashAlgorithm,
  between: (gitDir: string, stretch: number) => Promise<unknown> = () => Promise.resolve(),
): Promise<string> {
  const gitDir = join(await temporaryDirectory(), 'history.git');
  await git(['init', '--quiet', '--bare', `--object-format=${algorithm}`, gitDir]);
  for (const [stretch, count] of [50, 30, 15].entries()) {
    await grow(gitDir, [0, 50, 80][stretch]!, count);
    await between(gitDir, stretch);
  }
  return gitDir;
}

const histories = new Map<HashAlgorithm, Promise<History>>();
function historyOf(algorithm: HashAlgorithm): Promise<History> {
  let made = histories.get(algorithm);
  if (made === undefined) {
    made = generate(algorithm).then(async (gitDir) => ({
      algorithm,
      gitDir,
      firstParents: await knownCommits(gitDir, '--first-parent', 'main'),
      all: await knownCommits(gitDir, '--all'),
    }));
    histories.set(algorithm, made);
  }
  return made;
}

async function copyOf({ gitDir }: History): Promise<string> {
  const copy = join(await temporaryDirectory(), 'copy.git');
  await cp(gitDir, copy, { recursive: true });
  return copy;
}

async function expectLogs(gitDir: string, { firstParents }: History): Promise<void> {
  const store = await GitStore.open(gitDir, { create: false });
  const fs = await store.branches.get('main');
  for (const path of askedPaths) {
    const found: string[] = [];
    for await (const { commitHash } of fs.log({ path: textFromBytes(path) }))
      found.push(commitHash);
    const expected = firstParents.filter((commit) => touches(commit, path));
    expect([path, found]).toEqual([path, expected.map(({ oid }) => oid)]);
  }
  const before = new Date(1000 * (firstParents[20]!.timeSec + 1));
  const found: string[] = [];
  for await (const { commitHash } of fs.log({ before })) found.push(commitHash);
  expect(found).toEqual(firstParents.slice(20).map(({ oid }) => oid));
  await store.close();
}

async function reseal(path: string, algorithm: HashAlgorithm, edit: (file: Buffer) => unknown) {
  const file = await readFile(path);
  edit(file);
  const size = algorithm === 'sha1' ? 20 : 32;
  const content = file.subarray(0, file.length - size);
  createHash(algorithm)
    .update(content)
    .digest()
    .copy(file, file.length - size);
  await rm(path);
  await writeFile(path, file);
}

const flipBit = async (path: string, offset: number): Promise<void> => {
  const file = await readFile(path);
  file[offset]! ^= 0x10;
  await rm(path);
  await writeFile(path, file);
};

function chunkOffset(file: Buffer, id: string): number {
  return Number(file.readBigUInt64BE(file.indexOf(id, 8, 'latin1') + 4));
}

describe.each(['sha1', 'sha256'] as const)('a history with %s', (algorithm) => {
  test('is generated with all that is hard', async () => {
    const { gitDir, firstParents, all } = await historyOf(algorithm);
    expect(firstParents).toHaveLength(95);
    expect(Math.max(...all.map(({ parents }) => parents.length))).toBeGreaterThan(3);
    expect(firstParents.some(({ changed }) => changed.length > 512)).toBe(true);
    expect(firstParents.some(({ changed }) => changed.length === 0)).toBe(true);
    for (const path of ['a', 'ünï', 'a/b', 'dir']) {
      const log = await git(['log', '--first-parent', '--format=%H', 'main', '--', path], {
        cwd: gitDir,
      });
      const query = Buffer.from(path).toString('latin1');
      const expected = firstParents.filter((commit) => touches(commit, query as never));
      expect(log.split('\n').slice(0, -1)).toEqual(expected.map(({ oid }) => oid));
      expect(expected.length).toBeGreaterThan(2);
    }
  });

  test.each([
    ['no commit-graph', [], null],
    ['a commit-graph without filters', ['--no-changed-paths'], single],
    ['a commit-graph with filters', ['--changed-paths'], single],
    ['one with filters for a part', ['--changed-paths', '--max-new-filters=40'], single],
  ])('is logged by path with %s', async (_, args, made) => {
    const history = await historyOf(algorithm);
    const gitDir = await copyOf(history);
    if (made !== null) await writeGraph(gitDir, ...args);
    await expectLogs(gitDir, history);
  });

  test('is logged by path with a chain of files that ends before it, whole or not', async () => {
    const history = await historyOf(algorithm);
    const gitDir = await generate(algorithm, async (grown, stretch) => {
      if (stretch < 2) await writeGraph(grown, '--changed-paths', '--split=no-merge');
    });
    const files = (await readdir(join(gitDir, chain))).filter((name) => name.endsWith('.graph'));
    expect(files).toHaveLength(2);
    const repository = await Repository.open(gitDir);
    expect((await repository.odb.commitGraph())?.size).toBeLessThan(history.all.length);
    await repository.close();
    await expectLogs(gitDir, history);
    const top = (await readFile(join(gitDir, chain, 'commit-graph-chain'), 'utf8')).split('\n')[1]!;
    await flipBit(join(gitDir, chain, `graph-${top}.graph`), 1500);
    const damaged = await Repository.open(gitDir);
    expect((await damaged.odb.commitGraph())?.size).toBeGreaterThan(49);
    await damaged.close();
    await expectLogs(gitDir, history);
    await rm(join(gitDir, chain, `graph-${top}.graph`));
    await expectLogs(gitDir, history);
  });

  test('has its commits in the graph as they are', async () => {
    const history = await historyOf(algorithm);
    const gitDir = await copyOf(history);
    await writeGraph(gitDir, '--changed-paths');
    const repository = await Repository.open(gitDir);
    const graph = (await repository.odb.commitGraph())!;
    expect(graph.size).toBe(history.all.length);
    let [ruledOut, untouched] = [0, 0];
    for (const commit of history.all) {
      const oid = commit.oid as Oid;
      const at = (await graph.answer(() => graph.find(oid)))!;
      expect(graph.oidAt(at)).toBe(oid);
      expect(graph.treeAt(at)).toBe(commit.tree);
      expect(graph.parentsAt(at).map((parent) => graph.oidAt(parent))).toEqual(commit.parents);
      expect(graph.timeSecAt(at)).toBe(commit.timeSec);
      const levels = graph.parentsAt(at).map((parent) => graph.levelAt(parent));
      expect(graph.levelAt(at)).toBe(1 + Math.max(0, ...levels));
      const links = { tree: commit.tree, parent: commit.parents[0] ?? null };
      expect(graph.linksAt(graph.find(oid)!)).toEqual({ ...links, timeSec: commit.timeSec });
      for (const path of askedPaths) {
        const answer = graph.changedPathAt(at, new ChangedPathQuery(path));
        if (touches(commit, path)) expect([path, answer]).toEqual([path, 'maybe']);
        else untouched += 1;
        ruledOut += answer === 'no' ? 1 : 0;
      }
    }
    expect(ruledOut / untouched).toBeGreaterThan(0.95);
    expect(graph.find('0'.repeat(history.all[0]!.oid.length) as Oid)).toBeUndefined();
    await repository.close();
  });

  test('is not misread from a file that was damaged', async () => {
    const history = await historyOf(algorithm);
    const gitDir = await copyOf(history);
    await writeGraph(gitDir, '--changed-paths');
    const path = join(gitDir, single);
    const whole = await readFile(path);
    for (const id of ['OIDF', 'OIDL', 'CDAT', 'EDGE', 'BIDX', 'BDAT']) {
      await rm(path);
      await writeFile(path, whole);
      await flipBit(path, chunkOffset(whole, id) + 21);
      const repository = await Repository.open(gitDir);
      expect(await repository.odb.commitGraph()).toBeUndefined();
      await repository.close();
    }
    await expectLogs(gitDir, history);
    for (const length of [0, 7, 100, whole.length - 1]) {
      await rm(path);
      await writeFile(path, whole.subarray(0, length));
      const repository = await Repository.open(gitDir);
      expect(await repository.odb.commitGraph()).toBeUndefined();
      await repository.close();
    }
    await expectLogs(gitDir, history);
  });
});

describe('a file whose checksum is right', () => {
  test.each([
    ['chunks beyond its end', (file: Buffer): unknown => file.writeUInt32BE(0xff, 12 + 12)],
    ['another version', (file: Buffer): unknown => file.writeUInt8(2, 4)],
    ['parents that are not there', (file: Buffer): void => setParents(file, 0x6fffffff)],
    ['lists of parents that are not there', (file: Buffer): void => setParents(file, 0xffffffff)],
    [
      'filters out of order',
      (file: Buffer): unknown => file.fill(0xff, chunkOffset(file, 'BIDX') + 40),
    ],
  ])('with %s is not misread', async (_, edit) => {
    const history = await historyOf('sha1');
    const gitDir = await copyOf(history);
    await writeGraph(gitDir, '--changed-paths');
    await reseal(join(gitDir, single), 'sha1', edit);
    await expectLogs(gitDir, history);
  });

  function setParents(file: Buffer, word: number): void {
    const rowSize = 20 + 16;
    const start = chunkOffset(file, 'CDAT');
    for (let row = 0; row < 40; row++) {
      file.writeUInt32BE(word, start + (row + 1) * rowSize - 16);
      file.writeUInt32BE(word, start + (row + 1) * rowSize - 12);
    }
  }
});

describe('the filters', () => {
  const versioned = async (version: number): Promise<string> => {
    const gitDir = await copyOf(await historyOf('sha1'));
    await writeGraph(gitDir, '--changed-paths');
    await reseal(join(gitDir, single), 'sha1', (file) =>
      file.writeUInt32BE(version, chunkOffset(file, 'BDAT')),
    );
    return gitDir;
  };
  const answer = async (gitDir: string, path: string): Promise<number> => {
    const { all } = await historyOf('sha1');
    const repository = await Repository.open(gitDir);
    const graph = (await repository.odb.commitGraph())!;
    const query = new ChangedPathQuery(path as never);
    let count = 0;
    for (const { oid } of all) {
      const found = await graph.answer(() =>
        graph.changedPathAt(graph.find(oid as Oid) ?? -1, query),
      );
      count += found === 'no' ? 1 : 0;
    }
    await repository.close();
    return count;
  };

  test('of version 2 hold ASCII paths as those of version 1, of others nothing is known', async () => {
    const [first, second, third] = [await versioned(1), await versioned(2), await versioned(3)];
    expect(await answer(first, 'a/b')).toBeGreaterThan(50);
    expect(await answer(second, 'a/b')).toBe(await answer(first, 'a/b'));
    expect(await answer(third, 'a/b')).toBe(0);
    await expectLogs(third, await historyOf('sha1'));
  });

  test('keep commits and trees from being read', async () => {
    const history = await historyOf('sha1');
    const gitDir = await copyOf(history);
    await writeGraph(gitDir, '--changed-paths');
    const repository = await Repository.open(gitDir);
    const store = await GitStore.open(gitDir, { create: false });
    const fs = await store.branches.get('main');
    const { odb } = fs.context.repository;
    const [read, tree] = [vi.spyOn(odb, 'read'), vi.spyOn(odb, 'tree')];
    for await (const commit of fs.log({ path: 'dir/none' })) expect(commit).toBeUndefined();
    expect(read.mock.calls.length + tree.mock.calls.length).toBeLessThan(15);
    await store.close();
    await repository.close();
  });
});

test('a graph that is written, replaced and taken away meanwhile is noticed', async () => {
  const history = await historyOf('sha1');
  const gitDir = await copyOf(history);
  const store = await GitStore.open(gitDir, { create: false });
  const { odb } = (await store.branches.get('main')).context.repository;
  expect(await odb.commitGraph()).toBeUndefined();
  await writeGraph(gitDir);
  const plain = (await odb.commitGraph())!;
  expect(plain.size).toBe(history.all.length);
  expect(await odb.commitGraph()).toBe(plain);
  const fs = await store.branches.get('main');
  const walk = fs.log({ path: 'a' });
  const found = [(await walk.next()).value?.commitHash];
  await writeGraph(gitDir, '--split=replace', '--changed-paths');
  expect(await odb.commitGraph()).not.toBe(plain);
  expect(plain.isUsable).toBe(false);
  for await (const { commitHash } of walk) found.push(commitHash);
  const expected = history.firstParents.filter((commit) => touches(commit, 'a' as never));
  expect(found).toEqual(expected.map(({ oid }) => oid));
  await rm(join(gitDir, chain), { recursive: true });
  expect(await odb.commitGraph()).toBeUndefined();
  await store.close();
});

test('the graph of a repository that is borrowed from serves', async () => {
  const history = await historyOf('sha1');
  const lender = await copyOf(history);
  await writeGraph(lender, '--changed-paths');
  const gitDir = join(await temporaryDirectory(), 'borrower.git');
  await git(['clone', '--quiet', '--bare', '--shared', lender, gitDir]);
  const repository = await Repository.open(gitDir);
  expect((await repository.odb.commitGraph())?.size).toBe(history.all.length);
  await repository.close();
  await expectLogs(gitDir, history);
});

test('directories without files are no change, with filters or without', async () => {
  const gitDir = join(await temporaryDirectory(), 'empty.git');
  await git(['init', '--quiet', '--bare', gitDir]);
  const run = async (input: string, ...args: string[]): Promise<string> =>
    (await git(args, { cwd: gitDir, input })).trim();
  const empty = await run('', 'mktree');
  const blob = await run('x', 'hash-object', '-w', '--stdin');
  const nested = await run(`040000 tree ${empty}\tinner\n`, 'mktree');
  const roots = [
    `100644 blob ${blob}\tfile\n`,
    `040000 tree ${nested}\tdir\n100644 blob ${blob}\tfile\n`,
    `040000 tree ${await run(`100644 blob ${blob}\tf\n040000 tree ${nested}\tg\n`, 'mktree')}\tdir\n`,
    `040000 tree ${await run(`100644 blob ${blob}\tf\n`, 'mktree')}\tdir\n`,
    `100644 blob ${blob}\tdir\n`,
  ];
  let tip = '';
  for (const root of roots) {
    const parents = tip === '' ? [] : ['-p', tip];
    tip = await run('', 'commit-tree', await run(root, 'mktree'), ...parents);
  }
  await run('', 'update-ref', 'refs/heads/main', tip);
  for (const args of [[], ['--no-changed-paths'], ['--changed-paths']]) {
    if (args.length > 0) await writeGraph(gitDir, ...args);
    const store = await GitStore.open(gitDir, { create: false });
    const fs = await store.branches.get('main');
    for (const path of ['dir', 'dir/inner', 'dir/f', 'dir/g', 'file', 'dir/g/inner']) {
      const found: string[] = [];
      for await (const { commitHash } of fs.log({ path })) found.push(commitHash);
      const log = await run('', 'log', '--format=%H', 'main', '--', path);
      expect([path, found]).toEqual([path, log === '' ? [] : log.split('\n')]);
    }
    await store.close();
  }
});
