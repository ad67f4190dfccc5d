import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import http from 'isomorphic-git/http/node';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { GitStore } from '../../src/index.ts';
import type { BackupOptions } from '../../src/index.ts';
import { gitHttpServer } from '../helpers/git-servers.ts';
import type { GitServer } from '../helpers/git-servers.ts';
import { fsck, git } from '../helpers/git.ts';
import { credentials, failure, refsOf, secret } from '../helpers/mirror-fixture.ts';
import { program } from '../helpers/program.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

// Helpers are asked for https only, so there has to be a server that speaks it.
let server: GitServer;
let root: string;
let helper: string;
let asked: string;

beforeAll(async () => {
  root = await temporaryDirectory();
  const directory = await temporaryDirectory();
  const path = (name: string): string => join(directory, name);
  const request = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
  ];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const output = ['-days', '2', '-keyout', path('key'), '-out', path('cert')];
  await program('openssl', [...request, ...subject, ...output]);
  const [key, cert] = await Promise.all(
    ['key', 'cert'].map((name) => readFile(path(name), 'utf8')),
  );
  server = await gitHttpServer(root, credentials, { key: key ?? '', cert: cert ?? '' });
  helper = path('helper');
  asked = path('asked');
  await writeFile(path('config'), `[credential]\nhelper = ${helper}\n`);
  process.env['GIT_CONFIG_GLOBAL'] = path('config');
  process.env['GIT_SSL_CAINFO'] = path('cert');
  // Node learns of more certificates only at its start.
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
});

afterAll(() => {
  delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
});

/** A program that knows this password for everything, and notes what it is asked. */
async function writeHelper(password: string): Promise<void> {
  const answer = `echo username=${credentials.user}; echo 'password=${password}'`;
  const script = `#!/bin/sh\necho "$1" >> ${asked}\ncat >> ${asked}\ntest "$1" != get || { ${answer}; }\n`;
  await writeFile(helper, script, { mode: 0o755 });
  await writeFile(asked, '');
}

/** All that stands in the files of a directory. */
async function contentsOf(directory: string): Promise<string> {
  const contents: string[] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) contents.push(await readFile(join(entry.parentPath, entry.name), 'latin1'));
  }
  return contents.join('\n');
}

const ways: [string, BackupOptions][] = [
  ['by git', {}],
  ['by us', { http }],
];

test.each(ways)('credentials come from a helper, %s, and stay in no file', async (name, how) => {
  await writeHelper(credentials.password);
  const otherDir = join(root, `${name}.git`);
  await git(['init', '--quiet', '--bare', otherDir]);
  await git(['config', 'core.logAllRefUpdates', 'true'], { cwd: otherDir });
  const gitDir = join(await temporaryDirectory(), 'ours.git');
  const store = await GitStore.open(gitDir);
  onTestFinished(() => store.close());
  const main = await store.branches.get('main');
  await main.writeText('a', 'a');
  const shown: unknown[] = [];
  for (const stream of [process.stdout, process.stderr]) {
    const spy = vi.spyOn(stream, 'write').mockImplementation((text) => {
      shown.push(text);
      return true;
    });
    onTestFinished(() => spy.mockRestore());
  }
  const options: BackupOptions = { ...how, progress: (progress) => shown.push(progress) };
  const address = `127.0.0.1:${server.port}/${encodeURIComponent(name)}.git`;
  const url = `https://${address}`;
  const userAndPassword = `${credentials.user}:${encodeURIComponent(credentials.password)}`;
  const withPassword = `https://${userAndPassword}@${address}`;

  shown.push(await store.backup(url, options));
  expect(await refsOf(otherDir)).toEqual(await refsOf(gitDir));
  expect(await readFile(asked, 'utf8')).toMatch(/^get\n(?:.*\n)*host=127\.0\.0\.1:\d+\n/);
  await (await store.branches.get('main')).writeText('b', 'b');
  shown.push(await store.backup(withPassword, options));
  // What comes back is noted in reflogs.
  await git(['update-ref', 'refs/heads/main', 'main~1'], { cwd: gitDir });
  shown.push(await store.restore(withPassword, options));
  await git(['update-ref', '-d', 'refs/heads/main'], { cwd: gitDir });
  shown.push(await store.restore(url, options));
  expect(await refsOf(gitDir)).toEqual(await refsOf(otherDir));
  expect(await readFile(join(gitDir, 'logs/refs/heads/main'), 'utf8')).toContain('restore');

  for (const wrong of ['s3cr3t-but-wrong', '']) {
    await writeHelper(wrong);
    shown.push(await failure(store.backup(url, options)));
    shown.push(await failure(store.restore(withPassword.replace('%26', 'x'), options)));
    shown.push(await failure(store.backup(withPassword.replace('.git', '-no.git'), options)));
  }
  expect(JSON.stringify(shown) + shown.join('\n')).not.toMatch(secret);
  await writeFile(asked, '');
  expect(await contentsOf(gitDir)).not.toMatch(secret);
  expect(await contentsOf(otherDir)).not.toMatch(secret);
  await fsck(gitDir);
  await fsck(otherDir);
});
