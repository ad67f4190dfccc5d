import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ForgetQueue } from '../../../../src/mount/fuse/forget-queue.ts';
import { opcodes } from '../../../../src/mount/fuse/opcodes.ts';
import { MalformedRequestError, RequestReader } from '../../../../src/mount/fuse/request-reader.ts';
import { pack, packRequest } from '../../../helpers/fuse-structs.ts';

function batchOf(count: number, claimed: number = count): RequestReader {
  const pairs = Buffer.alloc(count * 16);
  for (let index = 0; index < count; index++) {
    pairs.writeUInt32LE(index + 1, index * 16);
    pairs.writeUInt32LE(1, index * 16 + 8);
  }
  const body = [pack('batch_forget_in', { count: claimed, dummy: 0 }), pairs];
  const bytes = packRequest({ opcode: opcodes.batchforget, body });
  const reader = new RequestReader(bytes);
  reader.begin(bytes.length);
  return reader;
}

describe('ForgetQueue', () => {
  it('takes a large batch in slices, other work in between, and all of it', async () => {
    let forgotten = 0;
    const queue = new ForgetQueue((_ino, lookups) => (forgotten += lookups));
    const count = 65_000;
    queue.add(batchOf(count));
    let turns = 0;
    for (; queue.length > 0; turns++) {
      expect(forgotten).toBe(count - queue.length);
      await nextTurn();
    }
    expect(turns).toBeGreaterThan(20);
    expect(forgotten).toBe(count);
  });

  it('goes on behind a number that nobody has given', async () => {
    const forgotten = new Set<number>();
    const queue = new ForgetQueue((ino) => forgotten.add(ino));
    const pairs = Array.from({ length: 5000 }, (_, index) =>
      pack('forget_one', { nodeid: index === 4000 ? 2n ** 63n : index + 1, nlookup: 1 }),
    );
    const bytes = packRequest({
      opcode: opcodes.batchforget,
      body: [pack('batch_forget_in', { count: pairs.length }), ...pairs],
    });
    const reader = new RequestReader(bytes);
    reader.begin(bytes.length);
    queue.add(reader);
    while (queue.length > 0) await nextTurn();
    expect(forgotten.has(5000)).toBe(true);
    expect(forgotten.size).toBe(5000);
  });

  it('does not let more wait than its limit', () => {
    const queue = new ForgetQueue(() => undefined);
    for (let batch = 0; batch < 10; batch++) queue.add(batchOf(60_000));
    expect(queue.length).toBeGreaterThan(200_000);
    expect(queue.length).toBeLessThanOrEqual(1 << 18);
  });

  it('refuses a batch that is shorter than it says, before it has an effect', () => {
    let forgotten = 0;
    const queue = new ForgetQueue(() => (forgotten += 1));
    for (const claimed of [11, 100_000, 0xffff_ffff]) {
      expect(() => queue.add(batchOf(10, claimed))).toThrow(MalformedRequestError);
    }
    expect([forgotten, queue.length]).toEqual([0, 0]);
  });
});
