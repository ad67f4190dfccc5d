import { readdir } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { listenAt } from '../../../src/cli/control-server.ts';
import type { MountHandle } from '../../../src/mount/index.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

test('a daemon that ends late leaves the socket of the next mount with its device number alone', async () => {
  const directory = await temporaryDirectory();
  const path = join(directory, '0:40.sock');
  // Nothing is asked of it.
  const handle = {} as MountHandle;
  const ending = await listenAt(path, handle);
  const next = await listenAt(path, handle);
  await ending.close();
  const socket = createConnection(path);
  await once(socket, 'connect');
  socket.destroy();
  await next.close();
  expect(await readdir(directory)).toEqual([]);
});
