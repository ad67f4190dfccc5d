import { openSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { notices, opcodes } from '../../../src/mount/fuse/opcodes.ts';
import { KernelMount } from '../../../src/mount/kernel-mount.ts';
import { NotifierRelay } from '../../../src/mount/notifier-relay.ts';
import { Metrics } from '../../../src/mount/observe/metrics.ts';
import { rootIno } from '../../../src/mount/vfs/operations.ts';
import { eventually } from '../../helpers/eventually.ts';
import { FakeFuseChannel } from '../../helpers/fake-fuse-channel.ts';
import { pack, packRequest } from '../../helpers/fuse-structs.ts';
import { fakeVfs, memoryLog } from './helpers/fake-nodes.ts';

// The moments between a mount and its being ready are short; here they last as long as the test says.

const channel = new FakeFuseChannel();
let becomeReady: () => void = () => undefined;

vi.mock('../../../src/mount/fuse/channel.ts', () => ({ openChannel: () => channel }));
vi.mock('../../../src/mount/fuse/mounting.ts', async (original) => ({
  ...(await original<object>()),
  chooseMounter: () =>
    Promise.resolve({ mount: () => Promise.resolve({ fd: openSync('/dev/null', 'r') }) }),
}));
vi.mock('../../../src/mount/mount-table.ts', async (original) => ({
  ...(await original<object>()),
  mountAt: () => Promise.resolve({ device: '0:0', options: [] }),
}));
vi.mock('../../../src/mount/read-ahead.ts', () => ({
  readFurtherAhead: () => new Promise<void>((resolve) => (becomeReady = resolve)),
}));

test('what changes after the kernel has begun to ask is told to it', async () => {
  const { vfs } = fakeVfs();
  const notifier = new NotifierRelay();
  const request = { mountpoint: '/mnt/x', source: '/repo' };
  const opening = KernelMount.open(request, vfs, memoryLog().log, new Metrics(), {
    notifier,
    passthrough: false,
  });
  const init = pack('init_in', { major: 7, minor: 45, max_readahead: 4096, flags: 0 });
  await eventually(() => {
    const answers = channel.deliver(packRequest({ opcode: opcodes.init, body: [init] }));
    expect(answers[0]?.error).toBe(0);
  });
  channel.sent.length = 0;
  notifier.invalidateInode(rootIno);
  await eventually(() => {
    expect(channel.sent.map(({ error }) => error)).toEqual([notices.invalidateInode]);
  });
  becomeReady();
  await opening;
});
