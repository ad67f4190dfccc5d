import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { GitStore, GitStoreError } from '../../src/index.ts';
import type { MirrorDiff, RestoreOptions } from '../../src/index.ts';
import { gitDaemon, gitHttpServer } from './git-servers.ts';
import type { GitServer } from './git-servers.ts';
import { noise, text } from './git-objects.ts';
import { git, gitEnvironment } from './git.ts';
import { sshServer } from './ssh-server.ts';
import type { SshServer } from './ssh-server.ts';
import { temporaryDirectory } from './temporary-directory.ts';

// What the library runs git with is what this process has.
const { HOME, ...environment } = gitEnvironment;
Object.assign(process.env, environment, { NO_PROXY: '*', no_proxy: '*', HOME });

/** What the locked server asks for. */
export const credentials = { user: 'ada', password: 's3cr3t/&' };
/** Found in what shows a password. */
export const secret = /s3cr3t/;

/** Where the repositories that tests mirror to are, and what serves them. */
export interface Servers {
  readonly root: string;
  readonly daemon: GitServer;
  readonly http: GitServer;
  readonly locked: GitServer;
  readonly ssh: SshServer;
  /** A repository that tests begin with a copy of. */
  readonly template: string;
}

/** Set by `startServers`. */
export let servers: Servers;

/** Called before all tests of a file. */
export async function startServers(): Promise<void> {
  const root = await temporaryDirectory();
  servers = {
    root,
    daemon: await gitDaemon(root),
    http: await gitHttpServer(root),
    locked: await gitHttpServer(root, credentials),
    ssh: await sshServer(),
    template: await makeTemplate(),
  };
  process.env['GIT_SSH_COMMAND'] = servers.ssh.command;
}

async function makeTemplate(): Promise<string> {
  const template = join(await temporaryDirectory(), 'template.git');
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
  return template;
}

/** A way to another repository. */
export interface Transport {
  readonly name: string;
  /** Of the repository with this name. */
  readonly url: (repository: string) => string;
  /** No git program is found on the `PATH` meanwhile. */
  readonly withoutGit?: true;
  readonly options?: RestoreOptions;
  readonly runsHooks?: false;
  /** Version 0 of the protocol is spoken, which tells of no symbolic ref but `HEAD`. */
  readonly hidesSymbolicRefs?: true;
  /** Only how one gets in differs from another one. */
  readonly isVariant?: true;
}

/** A directory, git doing the talking. */
export const byPath: Transport = { name: 'a path', url: (name) => join(servers.root, name) };
/** Plain http, git doing the talking. */
export const byHttp: Transport = {
  name: 'http',
  url: (name) => `http://127.0.0.1:${servers.http.port}/${name}`,
};

const asUser = `${credentials.user}:${encodeURIComponent(credentials.password)}@`;
/** All that are tested. */
export const transports: readonly Transport[] = [
  byPath,
  { name: 'git daemon', url: (name) => `git://127.0.0.1:${servers.daemon.port}/${name}` },
  {
    name: 'an ssh url',
    url: (name) => `ssh://127.0.0.1:${servers.ssh.port}${servers.root}/${name}`,
    hidesSymbolicRefs: true,
  },
  {
    name: 'an scp-like url',
    url: (name) => `${servers.ssh.alias}:${servers.root}/${name}`,
    isVariant: true,
  },
  byHttp,
  {
    name: 'http with a password',
    url: (name) => `http://${asUser}127.0.0.1:${servers.locked.port}/${name}`,
    isVariant: true,
  },
  { ...byPath, name: 'a path, without git', withoutGit: true, runsHooks: false },
  { ...byHttp, name: 'http, without git', withoutGit: true, hidesSymbolicRefs: true },
  {
    name: 'http with a password, without git',
    url: (name) => `http://${asUser}127.0.0.1:${servers.locked.port}/${name}`,
    isVariant: true,
    withoutGit: true,
  },
  {
    name: 'http with a password that is asked for',
    url: (name) => `http://127.0.0.1:${servers.locked.port}/${name}`,
    isVariant: true,
    options: {
      onAuth: () => ({ username: credentials.user, password: credentials.password }),
    },
  },
];

let repositories = 0;

/** Two repositories, and what goes from one to the other. */
export interface Fixture {
  readonly store: GitStore;
  readonly gitDir: string;
  /** The other repository, on its disk. */
  readonly otherDir: string;
  readonly url: string;
  readonly backup: GitStore['backup'];
  readonly restore: GitStore['restore'];
}

/** A copy of the template, and an empty repository behind the transport. */
export async function fixture(transport: Transport): Promise<Fixture> {
  const name = `other-${++repositories}.git`;
  const otherDir = join(servers.root, name);
  const gitDir = join(await temporaryDirectory(), 'ours.git');
  await cp(servers.template, gitDir, { recursive: true });
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

/** Does some work with or without git, as the transport says. */
export async function onPath<T>({ withoutGit }: Transport, work: () => Promise<T>): Promise<T> {
  const path = process.env['PATH'];
  if (withoutGit === true) process.env['PATH'] = '/nonexistent';
  try {
    return await work();
  } finally {
    process.env['PATH'] = path;
  }
}

/** The refs of a repository, as git tells them. */
export async function refsOf(gitDir: string): Promise<Record<string, string>> {
  const output = await git(['for-each-ref', '--format=%(refname) %(objectname)'], { cwd: gitDir });
  const lines = output.split('\n').filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => line.split(' ') as [string, string]));
}

/** The names of the refs that change. */
export function names(diff: MirrorDiff): Record<keyof MirrorDiff, string[]> {
  const refs = (kind: keyof MirrorDiff): string[] => diff[kind].map(({ ref }) => ref);
  return { add: refs('add'), update: refs('update'), delete: refs('delete') };
}

/** The error that some work ends with, which shows no password. */
export async function failure(work: Promise<unknown>): Promise<GitStoreError> {
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
