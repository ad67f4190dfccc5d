import { cp, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { GitStore } from '../../src/index.ts';
import { fsck, git } from '../helpers/git.ts';
import { importHistory, seededRandom, text } from '../helpers/git-objects.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

async function open(path: string): Promise<GitStore> {
  const store = await GitStore.open(path, { branch: null });
  onTestFinished(() => store.close());
  return store;
}

const templates = new Map<string, Promise<string>>();

async function makeTemplate(algorithm: string): Promise<string> {
  const gitDir = join(await temporaryDirectory(), 'template.git');
  await git(['init', '--quiet', '--bare', `--object-format=${algorithm}`, gitDir]);
  await importHistory(gitDir, { files: 8, commits: 4 });
  await git(['branch', 'side', 'main~2'], { cwd: gitDir });
  return gitDir;
}

/** A repository that git wrote, its store, and the directory that it is alone in. */
async function fixture(
  algorithm = 'sha1',
): Promise<{ gitDir: string; store: GitStore; directory: string }> {
  const template = templates.get(algorithm) ?? makeTemplate(algorithm);
  templates.set(algorithm, template);
  const directory = await temporaryDirectory();
  const gitDir = join(directory, 'ours.git');
  await cp(await template, gitDir, { recursive: true });
  return { gitDir, store: await open(gitDir), directory };
}

async function refsOf(gitDir: string): Promise<string> {
  return git(['for-each-ref', '--format=%(objectname) %(refname)'], { cwd: gitDir });
}

async function headsOf(bundle: string, gitDir: string): Promise<string> {
  return git(['bundle', 'list-heads', bundle], { cwd: gitDir });
}

describe('a bundle that we write', () => {
  test.each(['sha1', 'sha256'])(
    'of %s is one that git verifies, clones and fetches',
    async (kind) => {
      const { gitDir, store, directory } = await fixture(kind);
      const bundle = join(directory, 'all.bundle');
      const seen: number[] = [];
      const progress = ({ loaded }: { loaded: number }): unknown => seen.push(loaded);
      await store.bundleExport(bundle, { progress });
      expect(seen.at(-1)).toBeGreaterThan(10);
      const head = await git(['rev-parse', 'main'], { cwd: gitDir });
      expect(await headsOf(bundle, gitDir)).toBe(`${head.trim()} HEAD\n${await refsOf(gitDir)}`);
      expect(await git(['bundle', 'verify', bundle], { cwd: gitDir })).toMatch(/complete history/);
      const clone = join(directory, 'clone');
      await git(['clone', '--quiet', bundle, clone]);
      expect(await readdir(clone)).toContain('large');
      await fsck(join(clone, '.git'));
      const other = join(directory, 'fetched.git');
      await git(['init', '--quiet', '--bare', `--object-format=${kind}`, other]);
      await git(['fetch', '--quiet', bundle, 'refs/*:refs/*'], { cwd: other });
      expect(await refsOf(other)).toBe(await refsOf(gitDir));
      expect(await readdir(directory)).toEqual(['all.bundle', 'clone', 'fetched.git', 'ours.git']);
    },
  );

  test('holds the refs that are chosen, under new names', async () => {
    const { gitDir, store, directory } = await fixture();
    const bundle = join(directory, 'some.bundle');
    const diff = await store.backup(bundle, { refs: { side: 'copy', v1: 'refs/heads/tagged' } });
    const [side, v1] = (await git(['rev-parse', 'side', 'v1'], { cwd: gitDir })).split('\n');
    expect(diff.add).toEqual([
      { ref: 'refs/heads/copy', newTarget: side },
      { ref: 'refs/heads/tagged', newTarget: v1 },
    ]);
    expect(await headsOf(bundle, gitDir)).toBe(
      `${side} refs/heads/copy\n${v1} refs/heads/tagged\n`,
    );
  });

  test('can be squashed to one commit of the same tree for each ref', async () => {
    const { gitDir, store, directory } = await fixture();
    const bundle = join(directory, 'slim.bundle');
    const planned = await store.backup(bundle, { squash: true, dryRun: true });
    await expect(stat(bundle)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await store.backup(bundle, { squash: true })).toEqual(planned);
    const clone = join(directory, 'clone.git');
    await git(['clone', '--quiet', '--mirror', bundle, clone]);
    for (const ref of ['refs/heads/main', 'refs/heads/side', 'refs/tags/v1']) {
      const tree = ['rev-parse', `${ref}^{tree}`];
      expect(await git(tree, { cwd: clone })).toBe(await git(tree, { cwd: gitDir }));
      expect(await git(['rev-list', '--count', ref], { cwd: clone })).toBe('1\n');
      const message = ['log', '-1', '--format=%B%an%ae%at', ref];
      expect(await git(message, { cwd: clone })).toBe(await git(message, { cwd: gitDir }));
    }
    await fsck(clone);
    await fsck(gitDir);
    await expect(store.backup(clone, { squash: true })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  test('is not written without a ref that is broken', async () => {
    const { gitDir, store, directory } = await fixture();
    const bundle = join(directory, 'x.bundle');
    await store.bundleExport(bundle);
    const before = await readFile(bundle);
    await writeFile(join(gitDir, 'refs/heads/side'), '');
    for (const refs of [undefined, ['side']]) {
      const refusal = { code: 'REF_CORRUPT', ref: 'refs/heads/side' };
      await expect(store.bundleExport(bundle, { refs })).rejects.toMatchObject(refusal);
    }
    expect((await readFile(bundle)).equals(before)).toBe(true);
    await store.bundleExport(bundle, { refs: ['main'] });
    expect(await headsOf(bundle, gitDir)).toMatch(/^\w+ refs\/heads\/main\n$/);
  });

  test('replaces another one only when it is complete', async () => {
    const { store, directory } = await fixture();
    const bundle = join(directory, 'x.bundle');
    await writeFile(bundle, 'before');
    await expect(store.bundleExport(bundle, { refs: ['nothing'] })).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
    });
    const controller = new AbortController();
    const progress = ({ phase }: { phase: string }): void => {
      if (phase === 'Writing objects') controller.abort(new Error('enough'));
    };
    await expect(
      store.bundleExport(bundle, { progress, signal: controller.signal }),
    ).rejects.toThrow('enough');
    expect(await readFile(bundle, 'utf8')).toBe('before');
    expect(await readdir(directory)).toEqual(['ours.git', 'x.bundle']);
    await expect(store.bundleExport(join(directory, 'no/x.bundle'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await expect((await open(join(directory, 'e.git'))).bundleExport(bundle)).rejects.toMatchObject(
      {
        code: 'INVALID_ARGUMENT',
      },
    );
  });
});

test.each(['b-10:30.bundle', '-b.bundle', 'a\nb', 'https:x', 'a%20b?c#d'])(
  'a bundle is written to and read from the path %j, whatever a url would mean by it',
  async (name) => {
    const { gitDir, store, directory } = await fixture();
    const path = join(directory, 'new.git');
    const other = await open(path);
    await inDirectory(directory, async () => {
      await store.bundleExport(name);
      await other.bundleImport(name);
    });
    expect(await readdir(directory)).toContain(name);
    expect(await refsOf(path)).toBe(await refsOf(gitDir));
    for (const none of ['', 'a\0b']) {
      const refusal = { code: 'INVALID_ARGUMENT' };
      await expect(store.bundleExport(none)).rejects.toMatchObject(refusal);
      await expect(store.bundleImport(none)).rejects.toMatchObject(refusal);
    }
  },
);

async function inDirectory(directory: string, work: () => Promise<void>): Promise<void> {
  const before = process.cwd();
  process.chdir(directory);
  try {
    await work();
  } finally {
    process.chdir(before);
  }
}

describe('a bundle that git wrote', () => {
  test.each(['sha1', 'sha256'])('of %s is taken in', async (kind) => {
    const { gitDir, directory } = await fixture(kind);
    const bundle = join(directory, 'git.bundle');
    await git(['bundle', 'create', '--quiet', bundle, '--all'], { cwd: gitDir });
    const path = join(directory, 'new.git');
    await git(['init', '--quiet', '--bare', `--object-format=${kind}`, path]);
    const store = await open(path);
    await store.bundleImport(bundle);
    expect(await refsOf(path)).toBe(await refsOf(gitDir));
    await fsck(path);
    expect(await store.restore(bundle)).toEqual({ add: [], update: [], delete: [] });
  });

  test('in a repository with linked worktrees is taken in', async () => {
    const { gitDir, directory } = await fixture();
    const worktree = join(directory, 'linked');
    await git(['worktree', 'add', '--quiet', '--detach', worktree, 'side'], { cwd: gitDir });
    const bundle = join(directory, 'git.bundle');
    await git(['bundle', 'create', '--quiet', bundle, '--all'], { cwd: gitDir });
    expect(await headsOf(bundle, gitDir)).toContain(' worktrees/linked/HEAD\n');
    const path = join(directory, 'new.git');
    const store = await open(path);
    await store.bundleImport(bundle);
    expect(await refsOf(path)).toBe(await refsOf(gitDir));
    await fsck(path);
  });

  test('is taken in where a ref that it holds is symbolic', async () => {
    const { gitDir, store, directory } = await fixture();
    await git(['update-ref', 'refs/heads/alias', 'main'], { cwd: gitDir });
    const bundle = join(directory, 'git.bundle');
    await git(['bundle', 'create', '--quiet', bundle, '--all'], { cwd: gitDir });
    const expected = await refsOf(gitDir);
    await git(['symbolic-ref', 'refs/heads/alias', 'refs/heads/main'], { cwd: gitDir });
    await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: gitDir });
    await store.bundleImport(bundle);
    expect(await refsOf(gitDir)).toBe(expected);
    expect(await git(['symbolic-ref', 'refs/heads/alias'], { cwd: gitDir })).toBe(
      'refs/heads/main\n',
    );
  });

  test('with thin deltas is completed from what is here, and refused without', async () => {
    const { gitDir, directory } = await fixture();
    const bundle = join(directory, 'thin.bundle');
    await git(['bundle', 'create', '--quiet', bundle, 'main', 'v1', '^main~2'], { cwd: gitDir });
    const path = join(directory, 'new.git');
    await git(['clone', '--quiet', '--bare', '--single-branch', '-b', 'side', gitDir, path]);
    const store = await open(path);
    await store.bundleImport(bundle, { refs: { main: 'newer' } });
    const newer = await git(['rev-parse', 'newer'], { cwd: path });
    expect(newer).toBe(await git(['rev-parse', 'main'], { cwd: gitDir }));
    await fsck(path);

    const empty = await open(join(directory, 'empty.git'));
    const missing = (await git(['rev-parse', 'main~2'], { cwd: gitDir })).trim();
    await expect(empty.bundleImport(bundle)).rejects.toMatchObject({
      code: 'BUNDLE_INVALID',
      oid: missing,
    });
    expect(await empty.branches.list()).toEqual([]);
  });

  test('that is damaged or cut off changes nothing', async () => {
    const { gitDir, directory } = await fixture();
    const bundle = join(directory, 'git.bundle');
    await git(['bundle', 'create', '--quiet', bundle, '--all'], { cwd: gitDir });
    const bytes = await readFile(bundle);
    const store = await open(join(directory, 'new.git'));
    const damaged = join(directory, 'damaged.bundle');
    const random = seededRandom(5);
    for (let round = 0; round < 30; round++) {
      const at = Math.floor(random() * bytes.length);
      const copy = Buffer.from(bytes);
      copy.writeUInt8(copy.readUInt8(at) ^ (1 << Math.floor(random() * 8)), at);
      await writeFile(damaged, round % 3 === 0 ? bytes.subarray(0, at) : copy);
      await expect(store.bundleImport(damaged)).rejects.toThrow();
      expect(await store.branches.list()).toEqual([]);
    }
    expect(await readdir(join(directory, 'new.git/objects/pack'))).toEqual([]);
    await fsck(join(directory, 'new.git'));
  });

  test.each([
    ['no bundle', 'something else\n\n'],
    ['of another version', '# v4 git bundle\n\n'],
    ['without an end to its header', '# v2 git bundle\n'],
    ['with a capability that we lack', '# v3 git bundle\n@filter=blob:none\n\n'],
    ['with a name that is none', `# v2 git bundle\n${'1'.repeat(40)} refs/heads/../x\n\n`],
    ['with no name at all', `# v2 git bundle\n${'1'.repeat(40)} \n\n`],
    ['with an id that is none', '# v2 git bundle\nabc refs/heads/x\n\n'],
    ['of another hash', `# v3 git bundle\n@object-format=sha256\n\n`],
  ])('a file that is %s is refused', async (_, content) => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'x.bundle');
    await writeFile(path, content);
    const store = await open(join(directory, 'a.git'));
    await expect(store.restore(path)).rejects.toMatchObject({ code: 'BUNDLE_INVALID' });
    await expect(store.restore(join(directory, 'no.bundle'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });
});

// VOST_TEST_ROUNDS makes it longer: that many times the cases.
const rounds = 200 * Number(process.env['VOST_TEST_ROUNDS'] ?? 1);
const roundsInOneRepository = 10;

test(`what goes through a bundle is the same afterwards, ${rounds} times`, async () => {
  const random = seededRandom(11);
  for (let round = 0; round < rounds; round += roundsInOneRepository) {
    await exchangeOften(random, round);
  }
});

async function exchangeOften(random: () => number, seed: number): Promise<void> {
  const directory = await temporaryDirectory();
  const ours = await GitStore.open(join(directory, 'ours.git'), { branch: 'b0' });
  const theirs = await GitStore.open(join(directory, 'theirs.git'), { branch: null });
  const bundle = join(directory, 'x.bundle');
  const below = (count: number): number => Math.floor(random() * count);
  for (let round = 0; round < roundsInOneRepository; round++) {
    const branches = await ours.branches.list();
    let branch = await ours.branches.get(branches[below(branches.length)] ?? 'b0');
    if (random() < 0.4) branch = await ours.branches.setAndGet(`b${below(4)}`, branch);
    const path = `d${below(4)}/f${below(6)}`;
    const content = text(below(3000), seed + round);
    await branch.apply({ [path]: content, [`g${below(9)}`]: String(round) }, []);
    const squash = random() < 0.1;
    await ours.bundleExport(bundle, { squash });
    await theirs.bundleImport(bundle);
    for (const name of await ours.branches.list()) {
      const [from, to] = [await ours.branches.get(name), await theirs.branches.get(name)];
      expect(to.treeHash).toBe(from.treeHash);
      if (!squash) expect(to.commitHash).toBe(from.commitHash);
    }
  }
  await ours.close();
  await theirs.close();
  await fsck(join(directory, 'theirs.git'));
}
