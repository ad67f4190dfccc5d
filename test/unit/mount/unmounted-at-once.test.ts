import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { guard } from '../../../src/cli/guardian.ts';
import { KernelMount } from '../../../src/mount/kernel-mount.ts';
import { LibfuseMount } from '../../../src/mount/libfuse/libfuse-mount.ts';
import { opcodes } from '../../../src/mount/fuse/opcodes.ts';
import { NotifierRelay } from '../../../src/mount/notifier-relay.ts';
import { Metrics } from '../../../src/mount/observe/metrics.ts';
import { ResumeJournal } from '../../../src/mount/resume/resume-journal.ts';
import { eventually } from '../../helpers/eventually.ts';
import { FakeFuseChannel } from '../../helpers/fake-fuse-channel.ts';
import { pack, packRequest } from '../../helpers/fuse-structs.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';
import { fakeVfs, memoryLog } from './helpers/fake-nodes.ts';

// Mounts that somebody else takes away in the moment after they were made, and kernels that are too
// old: neither can be had for a test, so what is spoken to is replaced.

const channel = new FakeFuseChannel();

vi.mock('../../../src/mount/libfuse/fuse-native.ts', () => ({
  nativeMount: () => ({ mount: (done: (error: null) => void) => done(null) }),
}));
vi.mock('../../../src/mount/fuse/channel.ts', () => ({ openChannel: () => channel }));
vi.mock('../../../src/mount/fuse/mounting.ts', async (original) => ({
  ...(await original<object>()),
  chooseMounter: () =>
    Promise.resolve({ mount: () => Promise.resolve({ fd: openSync('/dev/null', 'r') }) }),
}));

test('a mount that was taken away at once is told of', async () => {
  const mountpoint = await temporaryDirectory();
  const { vfs, context } = fakeVfs();
  const request = { mountpoint, source: '/repo' };
  await expect(LibfuseMount.open(request, vfs, memoryLog().log, new Metrics())).rejects.toThrow(
    `${mountpoint} was unmounted at once`,
  );
  const repository = join(await temporaryDirectory(), 'repo');
  const guarded = guard(
    { verb: 'mount', repository, mountpoint, foreground: true, resilient: true, options: {} },
    () => undefined,
  );
  await expect(guarded).rejects.toThrow(`${mountpoint} was unmounted at once`);
  expect(context.inodes.size).toBe(1);
});

test('a kernel that cannot go on with another daemon is told of', async () => {
  const mountpoint = await temporaryDirectory();
  const { vfs, context } = fakeVfs();
  const journal = ResumeJournal.open(join(mountpoint, 'journal'));
  const fd = openSync('/dev/null', 'r');
  const resumed = KernelMount.resume(
    {
      ...{ request: { mountpoint, source: '/repo' }, fd, journal },
      ...{ inodes: context.inodes, notifier: new NotifierRelay() },
    },
    vfs,
    memoryLog().log,
    new Metrics(),
  );
  const init = pack('init_in', { major: 7, minor: 43, max_readahead: 4096, flags: 0 });
  const isRefused = expect(resumed).rejects.toThrow('--resilient needs Linux 6.16 or later');
  await eventually(() => {
    const answers = channel.deliver(packRequest({ opcode: opcodes.init, body: [init] }));
    expect(answers).toHaveLength(1);
  });
  await isRefused;
  expect(channel.isClosed).toBe(true);
  journal.close();
  closeSync(fd);
});
