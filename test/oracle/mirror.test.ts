import { chmod, cp, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import http from 'isomorphic-git/http/node';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { GitStore, GitStoreError, mirrorDiffInSync, mirrorDiffTotal } from '../../src/index.ts';
import type { MirrorDiff, MirrorProgress, RestoreOptions } from '../../src/index.ts';
import { cuttingProxy, gitDaemon, gitHttpServer } from '../helpers/git-servers.ts';
import type { GitServer } from '../helpers/git-servers.ts';
import { fsck, git, gitEnvironment } from '../helpers/git.ts';
import { noise, text } from '../helpers/git-objects.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// What the library runs git with is what this process has.
const { HOME, ...environment } = gitEnvironment;
Object.assign(process.env, environment, { NO_PROXY: '*', no_proxy: '*', HOME });

const credentials = { user: 'ada', password: 's3cr3t/&' };
const secret = /s3cr3t/;

interface Servers {
  readonly root: string;
  readonly daemon: GitServer;
  readonly http: GitServer;
  readonly locked: GitServer;
}

let servers: Servers;
let template: string;

beforeAll(async () => {
  const root = await temporaryDirectory();
  servers = {
    root,
    daemon: await gitDaemon(root),
    http: await gitHttpServer(root),
    locked: await gitHttpServer(root, credentials),
  };
  template = join(await temporaryDirectory(), 'template.git');
  const store = await GitStore.open(template);
  let main = await store.branches.get('main');
  main = await main.apply({ noise: noise(400_000, 7), 'docs/text': text(20_000, 1) }, []);
  await store.branches.set('feature/ünï', main);
  await store.tags.set('light', main);
  for (let change = 0; change < 3; change++) {
    main = await main.writeText('docs/text', `${text(20_000, 1).toString()}${change}\n`);
  }
  await store.notes.commits.set(main, 'a note');
  await store.close();
  await git(['tag', '-a', 'v1', '-m', 'a tag', 'main'], { cwd: template });
  await git(['update-ref', 'refs/custom/thing', 'main~2'], { cwd: template });
});

interface Transport {
  readonly name: string;
  readonly url: (repository: string) => string;
  readonly withoutGit?: true;
  readonly options?: RestoreOptions;
  readonly runsHooks?: false;
}

const asUser = `${credentials.user}:${encodeURIComponent(credentials.password)}@`;
const transports: readonly Transport[] = [
  { name: 'a path', url: (name) => join(servers.root, name) },
  { name: 'git daemon', url: (name) => `git://127.0.0.1:${servers.daemon.port}/${name}` },
  { name: 'http', url: (name) => `http://127.0.0.1:${servers.http.port}/${name}` },
  {
    name: 'http with a password',
    url: (name) => `http://${asUser}127.0.0.1:${servers.locked.port}/${name}`,
  },
  {
    name: 'a path, without git',
    url: (name) => join(servers.root, name),
    withoutGit: true,
    runsHooks: false,
  },
  {
    name: 'http, without git',
    url: (name) => `http://127.0.0.1:${servers.http.port}/${name}`,
    withoutGit: true,
  },
  {
    name: 'http with a password, without git',
    url: (name) => `http://${asUser}127.0.0.1:${servers.locked.port}/${name}`,
    withoutGit: true,
  },
  {
    name: 'http with a password that is asked for',
    url: (name) => `http://127.0.0.1:${servers.locked.port}/${name}`,
    options: {
      onAuth: () => ({ username: credentials.user, password: credentials.password }),
    },
  },
];

let repositories = 0;

interface Fixture {
  readonly store: GitStore;
  readonly gitDir: string;
  /** The other repository, on its disk. */
  readonly otherDir: string;
  readonly url: string;
  readonly backup: GitStore['backup'];
  readonly restore: GitStore['restore'];
}

/** A copy of the template, and an empty repository behind the transport. */
async function fixture(transport: Transport): Promise<Fixture> {
  const name = `other-${++repositories}.git`;
  const otherDir = join(servers.root, name);
  const gitDir = join(await temporaryDirectory(), 'ours.git');
  await cp(template, gitDir, { recursive: true });
  await git(['init', '--quiet', '--bare', otherDir]);
  const store = await GitStore.open(gitDir);
  onTestFinished(() => store.close());
  const url = transport.url(name);
  return {
    store,
    gitDir,
    otherDir,
    url,
    backup: (to, options) =>
      onPath(transport, () => store.backup(to, { ...transport.options, ...options })),
    restore: (from, options) =>
      onPath(transport, () => store.restore(from, { ...transport.options, ...options })),
  };
}

async function onPath<T>({ withoutGit }: Transport, work: () => Promise<T>): Promise<T> {
  const path = process.env['PATH'];
  if (withoutGit === true) process.env['PATH'] = '/nonexistent';
  try {
    return await work();
  } finally {
    process.env['PATH'] = path;
  }
}

async function refsOf(gitDir: string): Promise<Record<string, string>> {
  const output = await git(['for-each-ref', '--format=%(refname) %(objectname)'], { cwd: gitDir });
  const lines = output.split('\n').filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => line.split(' ') as [string, string]));
}

function names(diff: MirrorDiff): Record<keyof MirrorDiff, string[]> {
  const refs = (kind: keyof MirrorDiff): string[] => diff[kind].map(({ ref }) => ref);
  return { add: refs('add'), update: refs('update'), delete: refs('delete') };
}

async function failure(work: Promise<unknown>): Promise<GitStoreError> {
  const error = await work.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(GitStoreError);
  // Nothing of it may hold the password, the cause included.
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    expect(at.message).not.toMatch(secret);
    expect(JSON.stringify(at)).not.toMatch(secret);
  }
  return error as GitStoreError;
}

test('a file url is a path, which is made when nothing is there', async () => {
  const { store, gitDir } = await fixture(transports[0]!);
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
  const { store, gitDir, otherDir, url } = await fixture(transports[2]!);
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

test('a wrong password is told, but not shown', async () => {
  const { store, backup, otherDir } = await fixture(transports[2]!);
  for (const options of [{}, { onAuth: () => ({ username: 'ada', password: 's3cr3t' }) }]) {
    const to = `http://ada:s3cr3t-not@127.0.0.1:${servers.locked.port}/${basename(otherDir)}`;
    expect((await failure(backup(to, options))).message).toMatch(/denies access|Authentication/);
  }
  const cancelled = store.backup(`http://127.0.0.1:${servers.locked.port}/${basename(otherDir)}`, {
    onAuth: () => ({ cancel: true }),
  });
  await expect(cancelled).rejects.toThrow(/cancelled/);
});

describe.each(transports.filter(({ name }) => !name.includes('password')))(
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

  // How one gets in makes no difference to the rest.
  if (transport.name.includes('password')) return;

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

const limits = [
  ['what is sent', { toServerBytes: 200_000 }],
  ['what is fetched', { toClientBytes: 200_000 }],
] as const;

describe.each(transports.filter(({ name }) => /http$|http,/.test(name)))(
  'a connection by $name',
  (transport) => {
    test.each(limits)('that is cut off in %s changes no ref', async (what, limit) => {
      const { backup, gitDir, otherDir, url } = await fixture(transport);
      const target = Number(new URL(url).port);
      const proxy = await cuttingProxy(target, limit);
      const throughProxy = url.replace(String(target), String(proxy.port));
      const store = await GitStore.open(join(await temporaryDirectory(), 'a.git'), {
        branch: null,
      });
      onTestFinished(() => store.close());
      if (what === 'what is sent') {
        await failure(backup(throughProxy));
        expect(await refsOf(otherDir)).toEqual({});
      } else {
        await backup(url);
        await failure(onPath(transport, () => store.restore(throughProxy)));
        expect(await store.branches.list()).toEqual([]);
        // It works once the connection does.
        await onPath(transport, () => store.restore(url));
      }
      await backup(url);
      expect(await refsOf(otherDir)).toEqual(await refsOf(gitDir));
      await proxy.close();
    });
  },
);
