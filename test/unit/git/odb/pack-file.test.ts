import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Disk } from '../../../../src/git/disk.ts';
import { OpenFile } from '../../../../src/git/open-file.ts';
import { PackFile } from '../../../../src/git/odb/pack-file.ts';
import { ThreadPace } from '../../../../src/git/thread-pace.ts';
import { systemError } from '../../../helpers/staging.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const headerBytes = 12;
const part = (index: number): Buffer => Buffer.from(`part ${index} `.padEnd(1000, '.'));
let directory = '';
let file: PackFile;

beforeEach(async () => {
  // However slow the disk is just now.
  vi.spyOn(ThreadPace.prototype, 'takeNext').mockReturnValue(true);
  directory = await temporaryDirectory();
  file = new PackFile(directory, headerBytes, new Disk(true));
});

afterEach(async () => {
  vi.restoreAllMocks();
  await file.close();
});

/** The file, with a first part in it. */
async function begin(): Promise<string> {
  await file.append([part(0)]);
  file.advanceTo(headerBytes + part(0).length);
  const [name = ''] = await readdir(directory);
  return join(directory, name);
}

test('there is no room in a file that is not there', () => {
  expect(file.holdInRoom([part(0)])).toBe(false);
});

test('small parts that it has room for are written together, and can be read before', async () => {
  const path = await begin();
  const write = vi.spyOn(OpenFile.prototype, 'writevHere');
  const count = 300;
  for (let index = 1; index < count; index++) expect(file.holdInRoom([part(index)])).toBe(true);
  // Some 65 of them fit into the room that one write makes.
  expect(write).toHaveBeenCalledTimes(5);
  // The disk has room for what is held.
  expect((await stat(path)).size).toBeGreaterThanOrEqual(file.endOffset);
  for (const index of [0, 1, 64, 65, 66, count - 1]) {
    const bytes = await file.readAt(headerBytes + 1000 * index, 1000);
    expect(bytes.equals(part(index))).toBe(true);
  }
  await file.cutOffTail();
  const all = Array.from({ length: count }, (_, index) => part(index));
  const content = await readFile(path);
  expect(content.subarray(headerBytes).equals(Buffer.concat(all))).toBe(true);
});

test('what comes when the tail was cut off gets room of its own', async () => {
  const path = await begin();
  expect(file.holdInRoom([part(1)])).toBe(true);
  await file.cutOffTail();
  expect((await stat(path)).size).toBe(file.endOffset);
  expect(file.holdInRoom([part(2)])).toBe(true);
  expect((await stat(path)).size).toBeGreaterThan(file.endOffset);
});

test('what is larger than the room is written behind what is held', async () => {
  const path = await begin();
  expect(file.holdInRoom([part(1)])).toBe(true);
  const large = Buffer.alloc(100_000, 'x');
  expect(file.holdInRoom([large])).toBe(false);
  expect(file.appendHere([large])).toBe(true);
  file.advanceTo(file.endOffset + large.length);
  expect(file.holdInRoom([part(2)])).toBe(true);
  await file.cutOffTail();
  const content = await readFile(path);
  const expected = Buffer.concat([part(0), part(1), large, part(2)]);
  expect(content.subarray(headerBytes).equals(expected)).toBe(true);
});

test('a disk without room holds nothing more, and what it holds is there', async () => {
  const path = await begin();
  let held = 1;
  for (; held < 60; held++) expect(file.holdInRoom([part(held)])).toBe(true);
  const full = vi.spyOn(OpenFile.prototype, 'writevHere').mockImplementation(() => {
    throw systemError('ENOSPC');
  });
  // Those for which there was room before.
  while (file.holdInRoom([part(held)])) held += 1;
  expect(held).toBeLessThan(70);
  await expect((async () => file.append([part(held)]))()).rejects.toThrow('ENOSPC');
  // Others do not get the room that was made for what is held.
  await file.dropTail();
  expect((await stat(path)).size).toBe(file.endOffset);
  full.mockRestore();
  const last = await file.readAt(headerBytes + 1000 * (held - 1), 1000);
  expect(last.equals(part(held - 1))).toBe(true);
  await file.cutOffTail();
  expect((await readFile(path)).length).toBe(headerBytes + 1000 * held);
});
