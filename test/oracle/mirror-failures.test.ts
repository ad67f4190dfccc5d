import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { GitStore } from '../../src/index.ts';
import { fetchClient } from '../../src/transfer/http-client.ts';
import type { HttpClient } from '../../src/transfer/http-client.ts';
import { cuttingProxy } from '../helpers/git-servers.ts';
import { git, gitBytes } from '../helpers/git.ts';
import {
  byHttp,
  failure,
  fixture,
  onPath,
  refsOf,
  servers,
  startServers,
  transports,
} from '../helpers/mirror-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

beforeAll(startServers);

test('a wrong password is told, but not shown', async () => {
  const { store, backup, otherDir } = await fixture(byHttp);
  for (const options of [{}, { onAuth: () => ({ username: 'ada', password: 's3cr3t' }) }]) {
    const to = `http://ada:s3cr3t-not@127.0.0.1:${servers.locked.port}/${basename(otherDir)}`;
    expect((await failure(backup(to, options))).message).toMatch(/denies access|Authentication/);
  }
  const cancelled = store.backup(`http://127.0.0.1:${servers.locked.port}/${basename(otherDir)}`, {
    onAuth: () => ({ cancel: true }),
  });
  await expect(cancelled).rejects.toThrow(/cancelled/);
});

const limits = [
  ['what is sent', { toServerBytes: 200_000 }],
  ['what is fetched', { toClientBytes: 200_000 }],
] as const;

describe.each(transports.filter(({ name }) => /daemon|an ssh url|http$|http,/.test(name)))(
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

const ownHttp = transports.filter(({ name }) => name === 'http, without git');

describe.each(ownHttp)('a list of refs by $name', (transport) => {
  test('that is cut short is not taken for the whole one', async () => {
    const { backup, restore, gitDir, url } = await fixture(transport);
    await backup(url);
    const before = await refsOf(gitDir);
    await git(['update-ref', '-d', 'refs/tags/v1'], { cwd: gitDir });
    const target = Number(new URL(url).port);
    const listing = await fetch(`${url}/info/refs?service=git-upload-pack`);
    const headBytes = 250;
    const sizeBytes = headBytes + (await listing.arrayBuffer()).byteLength;
    for (let toClientBytes = headBytes; toClientBytes < sizeBytes; toClientBytes += 40) {
      const proxy = await cuttingProxy(target, { toClientBytes });
      const throughProxy = url.replace(String(target), String(proxy.port));
      await failure(restore(throughProxy));
      await proxy.close();
    }
    expect(Object.keys(await refsOf(gitDir))).not.toContain('refs/tags/v1');
    await restore(url);
    expect(await refsOf(gitDir)).toEqual(before);
  });

  test('keeps names that are no UTF-8', async () => {
    const { backup, restore, gitDir, otherDir, url } = await fixture(transport);
    const name = Buffer.from('refs/heads/\xff\xe3\x80\x80', 'latin1');
    const input = Buffer.concat([Buffer.from('create '), name, Buffer.from(' refs/heads/main\n')]);
    await git(['update-ref', '--stdin'], { cwd: gitDir, input });
    await backup(url);
    const listing = ['for-each-ref', '--format=%(refname)'];
    const theirs = await gitBytes(listing, { cwd: otherDir });
    expect(theirs.equals(await gitBytes(listing, { cwd: gitDir }))).toBe(true);
    expect(await restore(url)).toEqual({ add: [], update: [], delete: [] });
  });
});

test('credentials are not sent on to a server that another one redirects to', async () => {
  const { store, gitDir, otherDir, url } = await fixture(byHttp);
  const redirecting = createServer((request, response) => {
    const location = `http://127.0.0.1:${servers.http.port}${request.url ?? ''}`;
    response.writeHead(302, { location }).end();
  });
  redirecting.listen(0, '127.0.0.1');
  await once(redirecting, 'listening');
  onTestFinished(() => void redirecting.close());
  const { port } = redirecting.address() as AddressInfo;
  const asked: [string | undefined, string, boolean][] = [];
  const http: HttpClient = {
    request: (request) => {
      const hasCredentials = JSON.stringify(request.headers).includes('Basic');
      asked.push([request.method, new URL(request.url).port, hasCredentials]);
      return fetchClient.request(request);
    },
  };
  const from = url.replace(String(servers.http.port), String(port)).replace('//', '//ada:s3cr3t@');
  await store.backup(from, { http });
  expect(await refsOf(otherDir)).toEqual(await refsOf(gitDir));
  expect(asked).toEqual([
    ['GET', String(port), true],
    ['POST', String(servers.http.port), false],
  ]);
});
