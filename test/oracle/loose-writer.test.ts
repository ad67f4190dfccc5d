import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { readdir, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { deflateSync } from 'node:zlib';
import * as isomorphicGit from 'isomorphic-git';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { OpenFile } from '../../src/git/open-file.ts';
import { hashObject } from '../../src/git/object.ts';
import { UnsyncedFiles } from '../../src/git/odb/durable.ts';
import { writeLooseFiles, writeLooseObjects } from '../../src/git/odb/loose-writer.ts';
import type { LooseObject, LooseWriterOptions } from '../../src/git/odb/loose-writer.ts';
import type { HashAlgorithm, Oid } from '../../src/git/oid.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git, gitBytes } from '../helpers/git.ts';
import {
  failWrite,
  openFileMethods,
  originalOf,
  repositoryForStaging,
  systemError,
} from '../helpers/staging.ts';

afterEach(() => vi.restoreAllMocks());

function blob(algorithm: HashAlgorithm, data: Buffer): LooseObject {
  return { oid: hashObject(algorithm, 'blob', data), type: 'blob', data };
}

async function looseRepository(algorithm: HashAlgorithm = 'sha1'): Promise<{
  gitDir: string;
  options: LooseWriterOptions;
  pathOf: (oid: Oid) => string;
}> {
  const { gitDir, options } = await repositoryForStaging(algorithm);
  const pathOf = (oid: Oid): string =>
    join(options.objectsDirectory, oid.slice(0, 2), oid.slice(2));
  return { gitDir, options: { ...options, fsync: false }, pathOf };
}

const contents = [
  Buffer.alloc(0),
  Buffer.from('content'),
  randomBytes(100_000),
  Buffer.alloc(1_000_000, 'shrinks '),
  Buffer.concat([randomBytes(1_500_000), Buffer.alloc(1_500_000, 'shrinks ')]),
];

describe.each<HashAlgorithm>(['sha1', 'sha256'])(
  'loose objects in a %s repository',
  (algorithm) => {
    test.each([true, false])('are read by git, with fsync %s', async (fsync) => {
      const { gitDir, options, pathOf } = await looseRepository(algorithm);
      const objects = contents.map((data) => blob(algorithm, data));
      const tree = { oid: hashObject(algorithm, 'tree', Buffer.alloc(0)), type: 'tree' as const };
      await writeLooseObjects([...objects, { ...tree, data: Buffer.alloc(0) }], {
        ...options,
        fsync,
      });
      for (const { oid, data } of objects) {
        expect((await gitBytes(['cat-file', 'blob', oid], { cwd: gitDir })).equals(data)).toBe(
          true,
        );
        expect((await stat(pathOf(oid))).mode & 0o777).toBe(0o444);
      }
      expect(await git(['cat-file', '-t', tree.oid], { cwd: gitDir })).toBe('tree\n');
      await fsck(gitDir);
    });
  },
);

test('loose objects are read by isomorphic-git', async () => {
  const { gitDir: gitdir, options } = await looseRepository();
  const objects = contents.map((data) => blob('sha1', data));
  await writeLooseObjects(objects, options);
  for (const { oid, data } of objects) {
    const found = await isomorphicGit.readBlob({ fs, gitdir, oid });
    expect(Buffer.from(found.blob).equals(data)).toBe(true);
  }
});

test('an object that is there is touched, not written', async () => {
  const { options, pathOf } = await looseRepository();
  const object = blob('sha1', Buffer.from('content'));
  await writeLooseObjects([object], options);
  const path = pathOf(object.oid);
  await utimes(path, 1, 1);
  const before = await stat(path);
  await writeLooseObjects([object], { ...options, fsync: true });
  const after = await stat(path);
  expect(after.ino).toBe(before.ino);
  expect(Date.now() - after.mtimeMs).toBeLessThan(60_000);
});

test('content is compressed at the level that is asked for, unless it does not shrink', async () => {
  const { options, pathOf } = await looseRepository();
  const object = blob('sha1', Buffer.alloc(20_000, 'shrinks '));
  await writeLooseObjects([object], { ...options, compressionLevel: 0 });
  expect((await stat(pathOf(object.oid))).size).toBeGreaterThan(20_000);
  const other = blob('sha1', Buffer.alloc(20_001, 'shrinks '));
  await writeLooseObjects([other], { ...options, compressionLevel: 9 });
  expect((await stat(pathOf(other.oid))).size).toBeLessThan(200);
});

describe('when the disk fails', () => {
  test.each(['write', 'sync'] as const)('at %s, nothing is left behind', async (call) => {
    const { gitDir, options, pathOf } = await looseRepository();
    const object = blob('sha1', randomBytes(5000));
    vi.spyOn(openFileMethods, call).mockRejectedValueOnce(systemError('ENOSPC'));
    await expect(writeLooseObjects([object], { ...options, fsync: true })).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    expect(await readdir(join(pathOf(object.oid), '..'))).toEqual([]);
    await writeLooseObjects([object], { ...options, fsync: true });
    expect(await readdir(join(pathOf(object.oid), '..'))).toEqual([object.oid.slice(2)]);
    await fsck(gitDir);
  });

  test('the others are written or not, none half', async () => {
    const { gitDir, options } = await looseRepository();
    const objects = Array.from({ length: 20 }, () => blob('sha1', randomBytes(500)));
    failWrite(9, 'EIO');
    await expect(writeLooseObjects(objects, options)).rejects.toMatchObject({ code: 'EIO' });
    vi.restoreAllMocks();
    expect(await git(['count-objects', '-v'], { cwd: gitDir })).toContain('garbage: 0\n');
    await fsck(gitDir);
    await writeLooseObjects(objects, options);
    expect(await git(['count-objects'], { cwd: gitDir })).toMatch(/^20 objects/);
    await fsck(gitDir);
  });

  test('a directory that cannot be written to is told', async () => {
    const { options } = await looseRepository();
    const object = blob('sha1', randomBytes(10));
    const nowhere = { ...options, objectsDirectory: join(options.objectsDirectory, 'no', 'such') };
    await expect(writeLooseObjects([object], nowhere)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

test('git prune at work does not keep objects from being written', async () => {
  const { gitDir, options } = await looseRepository();
  const objects = Array.from({ length: 150 }, () => blob('sha1', randomBytes(200)));
  let done = false;
  const pruning = (async () => {
    while (!done) await git(['prune', '--expire=now'], { cwd: gitDir });
  })();
  try {
    for (const object of objects) await writeLooseObjects([object], options);
  } finally {
    done = true;
    await pruning;
  }
  await writeLooseObjects(objects, options);
  expect(await git(['count-objects'], { cwd: gitDir })).toMatch(/^150 objects/);
  await fsck(gitDir);
});

test('a disk that fails is told of, and leaves no file under either name', async () => {
  const { options } = await looseRepository();
  const sync = vi.spyOn(openFileMethods, 'sync').mockRejectedValueOnce(systemError('EIO'));
  const { oid, data } = blob('sha1', Buffer.from('content'));
  const stream = (): Buffer[][] => [[deflateSync(data)]];
  const writing = writeLooseFiles([{ oid, stream }], { ...options, fsync: true });
  await expect(writing).rejects.toMatchObject({ code: 'EIO' });
  expect(sync).toHaveBeenCalledTimes(1);
  const names = await readdir(options.objectsDirectory, { recursive: true });
  expect(names.filter((name) => name.includes(oid.slice(2)) || name.includes('tmp_'))).toEqual([]);
  // Nor is anything kept open, also not what was just being opened.
  const isOpen = (): boolean =>
    fs.readdirSync('/proc/self/fd').some((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith(options.objectsDirectory);
      } catch {
        // The one that this list was read from.
        return false;
      }
    });
  await eventually(() => expect(isOpen()).toBe(false));
});

describe('files that are not synced yet', () => {
  async function countSyncs(work: () => Promise<void>): Promise<number> {
    const sync = vi.spyOn(openFileMethods, 'sync');
    await work();
    const calls = sync.mock.calls.length;
    sync.mockRestore();
    return calls;
  }

  test('are synced by the next write that has to last, once', async () => {
    const { options } = await looseRepository();
    const [first, second, third] = ['1', '2', '3'].map((text) => blob('sha1', Buffer.from(text)));
    const syncs = async (object: LooseObject | undefined, fsync: boolean): Promise<number> =>
      countSyncs(() => writeLooseObjects(object ? [object] : [], { ...options, fsync }));
    expect(await syncs(first, false)).toBe(0);
    // The object, its directory, and the one above.
    expect(await syncs(second, true)).toBe(3 + 3);
    expect(await syncs(third, true)).toBe(3);
    expect(await syncs(undefined, true)).toBe(0);
  });

  test('may be gone, and are noted again when the disk fails', async () => {
    const { options, pathOf } = await looseRepository();
    const [gone, there] = ['1', '2'].map((text) => blob('sha1', Buffer.from(text)));
    await writeLooseObjects([gone!, there!], options);
    await fs.promises.rm(pathOf(gone!.oid));
    vi.spyOn(openFileMethods, 'sync').mockRejectedValueOnce(systemError('EIO'));
    await expect(options.unsynced.sync()).rejects.toMatchObject({ code: 'EIO' });
    vi.restoreAllMocks();
    expect(await countSyncs(() => options.unsynced.sync())).toBeGreaterThan(0);
    expect(await countSyncs(() => options.unsynced.sync())).toBe(0);
  });

  test('are synced unasked before they are too many to remember', async () => {
    const unsynced = new UnsyncedFiles('/nowhere');
    const paths = Array.from({ length: 1024 }, (_, index) => `/nowhere/${index}`);
    expect(await countSyncs(() => unsynced.add(paths))).toBe(0);
    expect(await countSyncs(() => unsynced.add(['/dev']))).toBeGreaterThan(0);
  });
});

test('whoever syncs while others do so waits for them', async () => {
  const { options, pathOf } = await looseRepository();
  const objects = Array.from({ length: 40 }, (_, index) => blob('sha1', Buffer.from(`${index}`)));
  await writeLooseObjects(objects, options);
  const synced = vi.spyOn(openFileMethods, 'sync');
  const first = options.unsynced.sync();
  await options.unsynced.sync();
  expect(synced.mock.calls.length).toBeGreaterThanOrEqual(objects.length);
  await first;
  expect(fs.existsSync(pathOf(objects[0]!.oid))).toBe(true);
});

test('what was there already when others failed is synced by the next attempt', async () => {
  const { options, pathOf } = await looseRepository();
  const objects = ['first', 'second'].map((text) => blob('sha1', Buffer.from(text)));
  failWrite(2, 'EIO');
  await expect(writeLooseObjects(objects, { ...options, fsync: true })).rejects.toThrow('EIO');
  vi.restoreAllMocks();
  const [there, ...others] = objects.filter(({ oid }) => fs.existsSync(pathOf(oid)));
  expect(others).toEqual([]);
  const synced: string[] = [];
  const sync = originalOf('sync');
  vi.spyOn(openFileMethods, 'sync').mockImplementation(function (this: OpenFile) {
    synced.push(fs.readlinkSync(`/proc/self/fd/${this.fd}`));
    return sync.call(this);
  });
  await options.unsynced.sync();
  expect(synced).toContain(pathOf(there!.oid));
  expect(synced).toContain(dirname(pathOf(there!.oid)));
});
