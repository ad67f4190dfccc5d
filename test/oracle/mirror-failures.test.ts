import { basename, join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { GitStore } from '../../src/index.ts';
import { cuttingProxy } from '../helpers/git-servers.ts';
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
