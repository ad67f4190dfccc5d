import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { bytesFromText } from '../../../src/git/byte-string.ts';
import { SyncedDirectories } from '../../../src/git/synced-directories.ts';
import { openFileMethods, systemError } from '../../helpers/staging.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

afterEach(() => vi.restoreAllMocks());

async function tops(): Promise<{ top: string; syncs: (...paths: string[]) => Promise<number> }> {
  const top = await temporaryDirectory();
  await mkdir(join(top, 'a/b/c'), { recursive: true });
  const directories = new SyncedDirectories(bytesFromText(top));
  const sync = vi.spyOn(openFileMethods, 'sync');
  const syncs = async (...paths: string[]): Promise<number> => {
    const before = sync.mock.calls.length;
    await directories.sync(paths.map((path) => bytesFromText(join(top, path))));
    return sync.mock.calls.length - before;
  };
  return { top, syncs };
}

test('directories are synced with those above them the first time', async () => {
  const { syncs } = await tops();
  expect(await syncs('a/b')).toBe(3);
  expect(await syncs('a/b')).toBe(1);
  expect(await syncs('a/b/c', 'a/b', 'a/b')).toBe(2);
  expect(await syncs('.')).toBe(1);
});

test('one that took the place of another is a new one', async () => {
  const { top, syncs } = await tops();
  await syncs('a/b');
  await mkdir(join(top, 'other'));
  await rename(join(top, 'a/b'), join(top, 'gone'));
  await rename(join(top, 'other'), join(top, 'a/b'));
  expect(await syncs('a/b')).toBe(2);
  expect(await syncs('a/b')).toBe(1);
});

test('that one is gone is news for the directory above', async () => {
  const { top, syncs } = await tops();
  await syncs('a/b/c');
  await rm(join(top, 'a/b'), { recursive: true });
  expect(await syncs('a/b/c')).toBe(1);
});

test('a failure is told, and what is above is synced the next time', async () => {
  const { syncs } = await tops();
  vi.spyOn(openFileMethods, 'sync')
    .mockResolvedValueOnce(undefined)
    .mockRejectedValueOnce(systemError('EIO'));
  await expect(syncs('a/b')).rejects.toMatchObject({ code: 'EIO' });
  expect(await syncs('a/b')).toBe(3);
});
