import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MemoryBudget } from '../../../../src/mount/branch/memory-budget.ts';
import { SpoolFile } from '../../../../src/mount/branch/spool-file.ts';
import { BufferPool } from '../../../../src/mount/vfs/buffer-pool.ts';
import { noise } from '../../../helpers/git-objects.ts';
import { systemError } from '../../../helpers/staging.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const mebibyte = 1024 * 1024;
const content = noise(3 * mebibyte, 1);

let file: FileHandle;
let memory: MemoryBudget;
let spool: SpoolFile;

beforeEach(async () => {
  file = await open(join(await temporaryDirectory(), 'spool'), 'w+');
  memory = new MemoryBudget(100 * mebibyte);
  spool = new SpoolFile(file, { memory, copies: new BufferPool(mebibyte, 2) });
});

afterEach(async () => {
  vi.restoreAllMocks();
  await spool.close();
  expect(memory.usedBytes).toBe(0);
});

/** The disk takes nothing, until what this gives is called. */
function fillDisk(): () => void {
  const full = vi.spyOn(file, 'write').mockRejectedValue(systemError('ENOSPC'));
  return () => {
    full.mockRestore();
  };
}

async function read(offset: number, length: number): Promise<Buffer> {
  const target = Buffer.alloc(length, 'x');
  await spool.readInto(target, offset);
  return target;
}

describe('a spool file', () => {
  test('takes bytes that are lent, and has them in the order in which they came', async () => {
    const lent = Buffer.from(content.subarray(0, mebibyte));
    expect(spool.accept(10, [lent.subarray(0, 5), lent.subarray(5)])).toBe(true);
    lent.fill('later');
    expect(spool.accept(20, [lent.subarray(0, 5)])).toBe(true);
    const expected = Buffer.concat([Buffer.alloc(10), content.subarray(0, mebibyte)]);
    expected.set(Buffer.from('later'), 20);
    expect((await read(0, expected.length)).equals(expected)).toBe(true);
    await spool.write(15, Buffer.from('last'));
    expected.set(Buffer.from('last'), 15);
    expect((await read(0, expected.length)).equals(expected)).toBe(true);
  });

  test('takes four mebibytes before the disk has to catch up, and no more than there is memory', async () => {
    for (let at = 0; at < 4; at++)
      expect(spool.accept(at * mebibyte, [content.subarray(0, mebibyte)])).toBe(true);
    expect(memory.usedBytes).toBe(4 * mebibyte);
    expect(spool.accept(0, [content.subarray(0, 1)])).toBe(false);
    await spool.write(0, content.subarray(0, 1));
    expect(memory.usedBytes).toBe(0);
    memory.take(100 * mebibyte - 5);
    expect(spool.accept(0, [content.subarray(0, 6)])).toBe(false);
    expect(spool.accept(0, [content.subarray(0, 5)])).toBe(true);
    await spool.truncate(1);
    memory.give(100 * mebibyte - 5);
  });

  test('is cut behind what came before', async () => {
    spool.accept(0, [content.subarray(0, mebibyte)]);
    await spool.truncate(100);
    expect(
      (await read(0, 200)).equals(Buffer.concat([content.subarray(0, 100), Buffer.alloc(100)])),
    ).toBe(true);
  });

  test('keeps what the disk does not take, says so to the next call, and tries again', async () => {
    const makeRoom = fillDisk();
    expect(spool.accept(0, [content.subarray(0, mebibyte)])).toBe(true);
    expect(spool.accept(mebibyte, [content.subarray(mebibyte, 2 * mebibyte)])).toBe(true);
    await expect(spool.write(2 * mebibyte, content.subarray(2 * mebibyte))).rejects.toThrow(
      'ENOSPC',
    );
    expect(spool.accept(2 * mebibyte, [content.subarray(2 * mebibyte)])).toBe(false);
    expect(
      (await read(100, 2 * mebibyte))
        .subarray(0, 2 * mebibyte - 100)
        .equals(content.subarray(100, 2 * mebibyte)),
    ).toBe(true);
    await expect(spool.truncate(0)).rejects.toThrow('ENOSPC');
    makeRoom();
    await spool.write(2 * mebibyte, content.subarray(2 * mebibyte, -5));
    expect(memory.usedBytes).toBe(0);
    expect(spool.accept(3 * mebibyte - 5, [content.subarray(-5)])).toBe(true);
    expect((await read(0, content.length)).equals(content)).toBe(true);
  });

  test('is let go of with what the disk did not take', async () => {
    fillDisk();
    expect(spool.accept(0, [content.subarray(0, mebibyte)])).toBe(true);
    await spool.close();
    expect(memory.usedBytes).toBe(0);
  });
});
