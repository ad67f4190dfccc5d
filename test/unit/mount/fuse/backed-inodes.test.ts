import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { BackedInodes } from '../../../../src/mount/fuse/backed-inodes.ts';
import type { BackingDevice } from '../../../../src/mount/fuse/backing-device.ts';
import { Log } from '../../../../src/mount/observe/log.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';

const [one, two] = [1 as Ino, 2 as Ino];
const none = (): undefined => undefined;

/** A kernel that counts what it was given. */
class FakeDevice implements BackingDevice {
  readonly held = new Map<number, number>();
  error: Error | undefined;
  #next = 1;

  open(descriptor: number): number {
    if (this.error !== undefined) throw this.error;
    this.held.set(this.#next, descriptor);
    return this.#next++;
  }

  close(id: number): void {
    expect(this.held.delete(id)).toBe(true);
  }
}

interface Backed {
  readonly inodes: BackedInodes;
  readonly device: FakeDevice;
  readonly lines: string[];
}

/** One that has its device already, as after the first big file. */
async function backed(): Promise<Backed> {
  const device = new FakeDevice();
  const lines: string[] = [];
  const log = new Log({ write: (line) => void lines.push(line) }, 'debug');
  const inodes = new BackedInodes(() => Promise.resolve(device), log);
  expect(inodes.opened(one, () => 7)).toBeUndefined();
  inodes.released(one);
  await nextTurn();
  expect(device.held.size).toBe(0);
  return { inodes, device, lines };
}

test('all handles of an inode share one file, which is closed with the last', async () => {
  const { inodes, device } = await backed();
  const id = inodes.opened(one, () => 7);
  expect(id).toBeDefined();
  // By now another file may hold the content.
  expect(inodes.opened(one, () => 8)).toBe(id);
  expect(inodes.opened(one, none)).toBe(id);
  expect([...device.held]).toEqual([[id, 7]]);
  for (let count = 0; count < 2; count++) inodes.released(one);
  expect(device.held.size).toBe(1);
  inodes.released(one);
  expect(device.held.size).toBe(0);
  expect(inodes.opened(one, () => 9)).not.toBe(id);
});

test('an inode that was opened without a file stays without until all have closed it', async () => {
  const { inodes, device } = await backed();
  expect(inodes.opened(one, none)).toBeUndefined();
  expect(inodes.opened(one, () => 7)).toBeUndefined();
  inodes.released(one);
  expect(inodes.opened(one, () => 7)).toBeUndefined();
  expect(inodes.opened(two, () => 8)).toBeDefined();
  inodes.released(one);
  inodes.released(one);
  expect(inodes.opened(one, () => 7)).toBeDefined();
  expect([...device.held.values()]).toEqual([8, 7]);
});

test('handles of other inodes are none of its business', async () => {
  const { inodes, device } = await backed();
  inodes.released(two);
  expect(inodes.opened(two, () => 7)).toBeDefined();
  expect(device.held.size).toBe(1);
});

test('after a refusal nothing is handed over, and what was is still closed', async () => {
  const { inodes, device, lines } = await backed();
  inodes.opened(one, () => 7);
  device.error = new Error('ioctl: EPERM');
  expect(inodes.opened(two, () => 8)).toBeUndefined();
  expect(lines.join('\n')).toContain('EPERM');
  device.error = undefined;
  inodes.released(two);
  expect(inodes.opened(two, () => 8)).toBeUndefined();
  inodes.released(one);
  expect(device.held.size).toBe(0);
});

test('without koffi everything is read as ever', async () => {
  const lines: string[] = [];
  const log = new Log({ write: (line) => void lines.push(line) }, 'debug');
  let loads = 0;
  const inodes = new BackedInodes(() => {
    loads += 1;
    return Promise.reject(new Error('no koffi'));
  }, log);
  for (let count = 0; count < 3; count++) {
    expect(inodes.opened(one, () => 7)).toBeUndefined();
    inodes.released(one);
    await nextTurn();
  }
  expect(loads).toBe(1);
  expect(lines.join('\n')).toContain('no koffi');
});
