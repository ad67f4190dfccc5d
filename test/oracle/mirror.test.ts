import { chmod, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import http from 'isomorphic-git/http/node';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { GitStore, mirrorDiffInSync, mirrorDiffTotal } from '../../src/index.ts';
import type { MirrorDiff, MirrorProgress } from '../../src/index.ts';
import { noise } from '../helpers/git-objects.ts';
import { fsck, git } from '../helpers/git.ts';
import {
  byHttp,
  byPath,
  failure,
  fixture,
  names,
  onPath,
  refsOf,
  startServers,
  transports,
} from '../helpers/mirror-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

beforeAll(startServers);

test('a file url is a path, which is made when nothing is there', async () => {
  const { store, gitDir } = await fixture(byPath);
  const path = join(await temporaryDirectory(), 'made', 'new one.git');
  const url = pathToFileURL(path).href;
  await store.backup(url, { dryRun: true });
  await expect(GitStore.open(path, { create: false })).rejects.toMatchObject({ code: 'ENOENT' });
  await store.backup(url);
  expect(await refsOf(path)).toEqual(await refsOf(gitDir));
  expect(await git(['symbolic-ref', 'HEAD'], { cwd: path })).toBe('refs/heads/main\n');
  expect(await git(['rev-parse', '--is-bare-repository'], { cwd: path })).toBe('true\n');
  await fsck(path);
});

test('an HTTP client of isomorphic-git can be used', async () => {
  const { store, gitDir, otherDir, url } = await fixture(byHttp);
  await store.backup(url, { http });
  expect(await refsOf(otherDir)).toEqual(await refsOf(gitDir));
  await git(['update-ref', '-d', 'refs/tags/v1'], { cwd: gitDir });
  expect(names(await store.restore(url, { http })).add).toEqual(['refs/tags/v1']);
  // An object that is missing here is told, and ends only this transfer.
  const broken = await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: 'gone' });
  const tree = await git(['mktree'], { cwd: gitDir, input: `100644 blob ${broken.trim()}\tf\n` });
  const commit = await git(['commit-tree', '-m', 'x', tree.trim()], { cwd: gitDir });
  await git(['update-ref', 'refs/heads/broken', commit.trim()], { cwd: gitDir });
  await rm(join(gitDir, 'objects', broken.slice(0, 2)), { recursive: true });
  await expect(store.backup(url, { http })).rejects.toMatchObject({ oid: broken.trim() });
  await expect(store.backup(url, { onAuth: () => ({}) })).rejects.toMatchObject({
    oid: broken.trim(),
  });
  expect(Object.keys(await refsOf(otherDir))).not.toContain('refs/heads/broken');
});

describe.each(transports.filter(({ isVariant }) => isVariant !== true))(
  'a transfer by $name',
  (transport) => {
    test('tells how far it is, and can be aborted', async () => {
      const { backup, otherDir, url } = await fixture(transport);
      const controller = new AbortController();
      controller.abort(new Error('enough'));
      await expect(backup(url, { signal: controller.signal })).rejects.toThrow();
      expect(await refsOf(otherDir)).toEqual({});
      const seen: MirrorProgress[] = [];
      await backup(url, { progress: (progress) => seen.push(progress) });
      expect(seen.length).toBeGreaterThan(0);
      const { loaded, total } = seen.findLast((progress) => progress.total !== undefined)!;
      expect(loaded).toBe(total);
      const sizesSeen = seen.flatMap(({ bytes = 0 }) => bytes);
      // What is noise has the same size in a pack.
      expect(Math.max(...sizesSeen)).toBeGreaterThan(400_000);
    });
  },
);

describe.each(transports)('a mirror by $name', (transport) => {
  test('gets all refs, loses those that are gone here, and then has nothing to do', async () => {
    const { backup, gitDir, otherDir, url } = await fixture(transport);
    const ours = await refsOf(gitDir);
    expect(Object.keys(ours)).toHaveLength(6);
    const expected = Object.entries(ours).map(([ref, newTarget]) => ({ ref, newTarget }));
    const planned = await backup(url, { dryRun: true });
    expect(planned).toEqual({ add: expected, update: [], delete: [] });
    expect(await refsOf(otherDir)).toEqual({});
    expect(await backup(url)).toEqual(planned);
    expect(await refsOf(otherDir)).toEqual(ours);
    expect(mirrorDiffInSync(await backup(url))).toBe(true);

    await git(['update-ref', '-d', 'refs/heads/feature/ünï'], { cwd: gitDir });
    await git(['update-ref', 'refs/heads/feature', 'main'], { cwd: gitDir });
    await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: gitDir });
    const diff = await backup(url);
    expect(names(diff)).toEqual({
      add: ['refs/heads/feature'],
      update: ['refs/heads/main'],
      delete: ['refs/heads/feature/ünï'],
    });
    expect(mirrorDiffTotal(diff)).toBe(3);
    expect(await refsOf(otherDir)).toEqual(await refsOf(gitDir));
    await fsck(otherDir);
  });

  test('is restored: refs are added and updated, none is lost, HEAD stays', async () => {
    const { store, restore, backup, gitDir, otherDir, url } = await fixture(transport);
    await backup(url);
    await git(['update-ref', 'refs/heads/main', 'refs/tags/light'], { cwd: gitDir });
    await git(['update-ref', '-d', 'refs/notes/commits'], { cwd: gitDir });
    await git(['update-ref', 'refs/heads/mine', 'main'], { cwd: gitDir });
    await git(['symbolic-ref', 'HEAD', 'refs/heads/mine'], { cwd: gitDir });
    const before = await refsOf(gitDir);
    const planned = await restore(url, { dryRun: true });
    expect(names(planned)).toEqual({
      add: ['refs/notes/commits'],
      update: ['refs/heads/main'],
      delete: [],
    });
    expect(await refsOf(gitDir)).toEqual(before);
    expect(await restore(url)).toEqual(planned);
    const theirs = await refsOf(otherDir);
    expect(await refsOf(gitDir)).toEqual({
      ...theirs,
      'refs/heads/mine': before['refs/heads/mine'],
    });
    expect((await store.branches.reflog('main')).at(-1)).toMatchObject({
      committer: 'vost <vost@localhost>',
      message: expect.stringMatching(/^restore(?!.*(?:127|other))/) as string,
    });
    expect(mirrorDiffInSync(await restore(url))).toBe(true);
    expect(await git(['symbolic-ref', 'HEAD'], { cwd: gitDir })).toBe('refs/heads/mine\n');

    await restore(url, { refs: { main: 'theirs' } });
    expect((await store.branches.get('theirs')).commitHash).toBe(theirs['refs/heads/main']);
    await fsck(gitDir);
  });

  if (transport.isVariant === true) return;

  test('gets the refs that are chosen, under new names, and loses none', async () => {
    const { backup, gitDir, otherDir, url } = await fixture(transport);
    const ours = await refsOf(gitDir);
    await backup(url, { refs: ['main', 'v1'] });
    const refs = { main: 'copy/of-main', 'refs/tags/light': 'refs/heads/light' };
    expect(names(await backup(url, { refs }))).toEqual({
      add: ['refs/heads/copy/of-main', 'refs/heads/light'],
      update: [],
      delete: [],
    });
    expect(await refsOf(otherDir)).toEqual({
      'refs/heads/main': ours['refs/heads/main'],
      'refs/tags/v1': ours['refs/tags/v1'],
      'refs/heads/copy/of-main': ours['refs/heads/main'],
      'refs/heads/light': ours['refs/tags/light'],
    });
    await expect(backup(url, { refs: ['nothing'] })).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
    });
    await fsck(otherDir);
  });

  test('keeps its copy of a ref that is broken here, which is told', async () => {
    const { store, backup, restore, gitDir, otherDir, url } = await fixture(transport);
    const hash = (await git(['rev-parse', 'main~1'], { cwd: gitDir })).trim();
    await git(['update-ref', 'refs/heads/precious', hash], { cwd: gitDir });
    await git(['symbolic-ref', 'refs/heads/alias', 'refs/heads/precious'], { cwd: gitDir });
    await backup(url);
    const theirs = await refsOf(otherDir);
    await writeFile(join(gitDir, 'refs/heads/precious'), '');
    await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: gitDir });
    const refusal = { code: 'REF_CORRUPT', ref: 'refs/heads/precious' };
    for (const options of [{}, { dryRun: true }, { refs: ['alias'] }, { refs: ['precious'] }]) {
      await expect(backup(url, options)).rejects.toMatchObject(refusal);
    }
    expect(await refsOf(otherDir)).toEqual(theirs);
    // What is not broken can be sent, and what is comes back.
    expect(names(await backup(url, { refs: ['main'] })).update).toEqual(['refs/heads/main']);
    await store.branches.delete('precious');
    await restore(url, { refs: ['precious'] });
    expect((await store.branches.get('precious')).commitHash).toBe(hash);
    expect(mirrorDiffInSync(await backup(url))).toBe(true);
    await fsck(otherDir);
  });

  test('is restored where refs are symbolic: they stay so, and move with what they lead to', async () => {
    const { backup, restore, gitDir, otherDir, url } = await fixture(transport);
    await git(['update-ref', 'refs/heads/alias', 'main'], { cwd: gitDir });
    await git(['update-ref', 'refs/heads/gone', 'main'], { cwd: gitDir });
    await git(['update-ref', 'refs/remotes/origin/HEAD', 'main'], { cwd: gitDir });
    await backup(url);
    const theirs = await refsOf(otherDir);
    await git(['symbolic-ref', 'refs/heads/alias', 'refs/heads/main'], { cwd: gitDir });
    await git(['symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/heads/gone'], { cwd: gitDir });
    await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: gitDir });
    await git(['update-ref', '-d', 'refs/heads/gone'], { cwd: gitDir });
    const diff = { add: ['refs/heads/gone'], update: ['refs/heads/main'], delete: [] };
    expect(names(await restore(url))).toEqual(diff);
    expect(await refsOf(gitDir)).toEqual(theirs);
    expect(mirrorDiffInSync(await restore(url))).toBe(true);

    // When they differ there, the ref that it leads to decides, unless both are chosen.
    await git(['update-ref', 'refs/heads/alias', 'main~2'], { cwd: otherDir });
    await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: otherDir });
    const before = await refsOf(gitDir);
    const both = restore(url, { refs: ['alias', 'main'] });
    await expect(both).rejects.toMatchObject({ code: 'REF_CONFLICT', ref: 'refs/heads/alias' });
    expect(await refsOf(gitDir)).toEqual(before);
    expect(names(await restore(url)).update).toEqual(['refs/heads/main']);
    const after = await refsOf(gitDir);
    expect(after['refs/heads/alias']).toBe(after['refs/heads/main']);
    expect(after['refs/heads/main']).toBe((await refsOf(otherDir))['refs/heads/main']);
    // One that is chosen alone is written through, as by git.
    await restore(url, { refs: ['alias'] });
    expect((await refsOf(gitDir))['refs/heads/main']).toBe(
      (await refsOf(otherDir))['refs/heads/alias'],
    );
    expect(await git(['symbolic-ref', 'refs/heads/alias'], { cwd: gitDir })).toBe(
      'refs/heads/main\n',
    );
    await fsck(gitDir);
  });

  test('keeps the refs that it hides from pushes, which are its own', async () => {
    const { backup, gitDir, otherDir, url } = await fixture(transport);
    await backup(url);
    await git(['update-ref', 'refs/pull/1/head', 'main'], { cwd: otherDir });
    await git(['update-ref', 'refs/pull/shown/head', 'main'], { cwd: otherDir });
    await git(['update-ref', 'refs/pull-not/1', 'main'], { cwd: otherDir });
    await git(['config', '--add', 'receive.hideRefs', 'refs/pull/'], { cwd: otherDir });
    await git(['config', '--add', 'receive.hideRefs', '!refs/pull/shown'], { cwd: otherDir });
    const pull = await git(['rev-parse', 'refs/pull/1/head'], { cwd: otherDir });
    await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: gitDir });
    const planned = await backup(url, { dryRun: true });
    expect(names(planned)).toEqual({
      add: [],
      update: ['refs/heads/main'],
      delete: ['refs/pull-not/1', 'refs/pull/shown/head'],
    });
    expect(await backup(url)).toEqual(planned);
    const expected = { ...(await refsOf(gitDir)), 'refs/pull/1/head': pull.trim() };
    expect(await refsOf(otherDir)).toEqual(expected);
    expect(mirrorDiffInSync(await backup(url))).toBe(true);
    await fsck(otherDir);
    // Our own http takes what is not listed for a push for missing, as `git push --mirror` does.
    if (transport.name === 'http, without git') return;
    await git(['config', '--add', 'receive.hideRefs', 'refs'], { cwd: otherDir });
    await git(['update-ref', '-d', 'refs/notes/commits'], { cwd: gitDir });
    expect(mirrorDiffInSync(await backup(url))).toBe(true);
    expect(await refsOf(otherDir)).toEqual(expected);
  });

  test('fills an empty repository, and then brings only what is new', async () => {
    const { backup, gitDir, url } = await fixture(transport);
    await backup(url);
    const path = join(await temporaryDirectory(), 'empty.git');
    const store = await GitStore.open(path, { branch: null });
    onTestFinished(() => store.close());
    const restore = (): Promise<MirrorDiff> =>
      onPath(transport, () => store.restore(url, transport.options));
    await restore();
    expect(await refsOf(path)).toEqual(await refsOf(gitDir));
    await git(['repack', '-adq'], { cwd: path });
    const main = await store.branches.get('main');
    expect((await main.read('noise')).equals(noise(400_000, 7))).toBe(true);

    const again = await GitStore.open(gitDir);
    onTestFinished(() => again.close());
    await (await again.branches.get('main')).writeText('new.txt', 'new');
    await backup(url);
    expect(names(await restore())).toEqual({ add: [], update: ['refs/heads/main'], delete: [] });
    expect(await (await store.branches.get('main')).readText('new.txt')).toBe('new');
    // A commit, a tree and a blob, and what a thin pack is completed with; not the history again.
    // (git itself unpacks so few to loose objects.)
    const [smallest = 0] = await packSizes(path);
    const loose = Number.parseInt(await git(['count-objects'], { cwd: path }), 10);
    expect(loose > 0 ? loose : smallest).toBeLessThan(10);
    await fsck(path);
  });

  if (transport.hidesSymbolicRefs !== true) {
    test('keeps its symbolic refs, and loses nothing that they lead to', async () => {
      const { backup, gitDir, otherDir, url } = await fixture(transport);
      await backup(url);
      for (const name of ['refs/heads/alias', 'refs/remotes/origin/HEAD']) {
        await git(['symbolic-ref', name, 'refs/heads/main'], { cwd: otherDir });
      }
      expect(mirrorDiffInSync(await backup(url))).toBe(true);
      await git(['update-ref', 'refs/heads/alias', 'main~1'], { cwd: gitDir });
      await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: gitDir });
      const diff = { add: [], update: ['refs/heads/main'], delete: [] };
      expect(names(await backup(url))).toEqual(diff);
      const ours = await refsOf(gitDir);
      const main = ours['refs/heads/main'];
      expect(await refsOf(otherDir)).toEqual({ ...ours, 'refs/remotes/origin/HEAD': main });
      expect(mirrorDiffInSync(await backup(url))).toBe(true);

      await git(['update-ref', 'refs/heads/alias', 'main~1'], { cwd: gitDir });
      const before = await refsOf(otherDir);
      await expect(backup(url)).rejects.toMatchObject({ code: 'REF_CONFLICT' });
      expect(await refsOf(otherDir)).toEqual(before);
      await fsck(otherDir);
    });
  }

  if (transport.runsHooks === false) return;

  test('that refuses one ref keeps all of them', async () => {
    const { backup, gitDir, otherDir, url } = await fixture(transport);
    await backup(url, { refs: ['main'] });
    const hook = join(otherDir, 'hooks/update');
    await writeFile(hook, '#!/bin/sh\necho "no entry" >&2\ntest "$1" != refs/heads/main\n');
    await chmod(hook, 0o755);
    await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: gitDir });
    const before = await refsOf(otherDir);
    const error = await failure(backup(url));
    expect(error.message).toMatch(/refuse|reject|declined/);
    expect(await refsOf(otherDir)).toEqual(before);
  });
});

/** How many objects each pack holds, fewest first. */
async function packSizes(gitDir: string): Promise<number[]> {
  const directory = join(gitDir, 'objects/pack');
  const counts: number[] = [];
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.idx')) continue;
    const lines = await git(['verify-pack', '-v', join(directory, name)]);
    counts.push(lines.split('\n').filter((line) => /^[0-9a-f]{40} /.test(line)).length);
  }
  return counts.sort((a, b) => a - b);
}
