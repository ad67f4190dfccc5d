import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { open, readdir, rm, stat } from 'node:fs/promises';
import type { OpenFile } from '../../src/git/open-file.ts';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { BatchClosedError, CorruptObjectError, ObjectNotFoundError } from '../../src/errors.ts';
import { hashObject } from '../../src/git/object.ts';
import { pieceBytes } from '../../src/git/odb/deflate.ts';
import { ObjectDatabase } from '../../src/git/odb/object-database.ts';
import { PackKeeps } from '../../src/git/odb/pack-keeps.ts';
import { StagedPack } from '../../src/git/odb/staged-pack.ts';
import { StagingArea } from '../../src/git/odb/staging-area.ts';
import type { Oid } from '../../src/git/oid.ts';
import { fsck, git } from '../helpers/git.ts';
import {
  countObjects,
  expectBlobInGit,
  failWrite,
  openFileMethods,
  originalOf,
  inChunks,
  newStagingArea,
  randomContents,
  repositoryForStaging,
  systemError,
  temporaryFiles,
  writeBlobs,
} from '../helpers/staging.ts';

afterEach(() => vi.restoreAllMocks());

async function temporaryBytes(gitDir: string): Promise<number> {
  let bytes = 0;
  for (const name of await temporaryFiles(gitDir)) {
    bytes += (await stat(join(gitDir, 'objects', name))).size;
  }
  return bytes;
}

test('what is still needed outlives that the file it was moved from cannot be closed', async () => {
  const { gitDir, area } = await newStagingArea();
  const [small] = await writeBlobs(area, [Buffer.from('needed')]);
  const waste = randomBytes(70 * 1024 * 1024);
  const oid = await area.writeStream('blob', waste.length, inChunks(waste, pieceBytes));
  vi.spyOn(StagedPack.prototype, 'drop').mockRejectedValueOnce(systemError('EIO'));
  await expect(area.release([oid])).rejects.toThrow('EIO');
  expect((await area.read(small!)).data.toString()).toBe('needed');
  await area.publish(undefined, { fsync: true });
  await expectBlobInGit(gitDir, small!, Buffer.from('needed'));
  await area.discard();
  await fsck(gitDir);
});

describe('beside git gc --prune=now', () => {
  const prune = (gitDir: string): Promise<string> =>
    git(['gc', '-q', '--prune=now'], { cwd: gitDir });

  test('staged content survives, though the temporary pack is removed', async () => {
    const { gitDir, area } = await newStagingArea();
    const contents = [...randomContents(50, 300), randomBytes(2 * pieceBytes)];
    const oids = await writeBlobs(area, contents);
    await prune(gitDir);
    expect(await temporaryFiles(gitDir)).toEqual([]);
    const later = randomBytes(1000);
    oids.push(await area.write('blob', later));
    expect((await area.read(oids[0]!)).data).toEqual(contents[0]);
    await area.publish(undefined, { fsync: true });
    for (const [index, oid] of oids.entries()) {
      await expectBlobInGit(gitDir, oid, [...contents, later][index]!);
    }
    expect((await area.read(oids[1]!)).data).toEqual(contents[1]);
    await area.discard();
    await fsck(gitDir);
  });

  test('what was published and then removed is put back', async () => {
    const { gitDir, area } = await newStagingArea();
    const contents = [...randomContents(50, 300), randomBytes(2 * pieceBytes)];
    const oids = await writeBlobs(area, contents);
    await area.publish(oids.slice(0, 5), { fsync: false });
    await area.publish(oids, { fsync: true });
    expect(await area.republishMissing(oids)).toEqual([]);
    await prune(gitDir);
    expect(await countObjects(gitDir)).toEqual({ loose: 0, packs: 0, packed: 0 });
    expect((await area.republishMissing(oids.slice(0, 3))).sort()).toEqual(oids.slice(0, 3).sort());
    expect(await countObjects(gitDir)).toEqual({ loose: 3, packs: 0, packed: 0 });
    expect((await area.republishMissing(oids)).sort()).toEqual(oids.slice(3).sort());
    for (const [index, oid] of oids.entries()) await expectBlobInGit(gitDir, oid, contents[index]!);
    await area.release(oids);
    await prune(gitDir);
    await expect(area.republishMissing(oids)).rejects.toThrow(ObjectNotFoundError);
    await area.discard();
    await fsck(gitDir);
  });

  test('what was published for a ref that did not move is protected again the next time', async () => {
    const { gitDir, area } = await newStagingArea();
    const oids = await writeBlobs(area, randomContents(40, 2000));
    const first = new PackKeeps();
    await area.publish(oids, { fsync: false, keeps: first });
    await first.letGo();
    const second = new PackKeeps();
    const needed = oids.slice(1);
    await area.publish(needed, { fsync: false, keeps: second });
    await git(['repack', '-adq'], { cwd: gitDir });
    const input = needed.join('\n');
    const found = await git(['cat-file', '--batch-check'], { cwd: gitDir, input });
    expect(found).toBe(needed.map((oid) => `${oid} blob 2000\n`).join(''));
    await second.letGo();
    await area.discard();
    await fsck(gitDir);
  });

  test('what is published again gets no name that a repack may be about to remove', async () => {
    const { gitDir, area } = await newStagingArea();
    const oids = await writeBlobs(area, randomContents(40, 2000));
    const first = new PackKeeps();
    await area.publish(oids, { fsync: false, keeps: first });
    await first.letGo();
    const packs = join(gitDir, 'objects/pack');
    // `git repack -ad` lists them when it begins, and does not look for a `.keep` when it removes them.
    const listed = (await readdir(packs)).filter((name) => name.startsWith('pack-'));
    const second = new PackKeeps();
    await area.publish(oids, { fsync: false, keeps: second });
    for (const name of listed) await rm(join(packs, name));
    const found = await git(['cat-file', '--batch-check'], { cwd: gitDir, input: oids.join('\n') });
    expect(found).toBe(oids.map((oid) => `${oid} blob 2000\n`).join(''));
    await second.letGo();
    await area.discard();
    await fsck(gitDir);
  });

  test('what came along in the pack of another commit is protected when it is wanted', async () => {
    const { gitDir, area } = await newStagingArea();
    // Most of what is staged, so that the whole temporary pack gets its name.
    const ours = await writeBlobs(area, randomContents(40, 2000));
    const others = await writeBlobs(area, randomContents(3, 1000));
    const first = new PackKeeps();
    await area.publish(ours, { fsync: false, keeps: first });
    await first.letGo();
    const second = new PackKeeps();
    await area.publish(others, { fsync: false, keeps: second });
    await git(['repack', '-adq'], { cwd: gitDir });
    const found = await git(['cat-file', '--batch-check'], {
      cwd: gitDir,
      input: others.join('\n'),
    });
    expect(found).toBe(others.map((oid) => `${oid} blob 1000\n`).join(''));
    await second.letGo();
    await area.discard();
    await fsck(gitDir);
  });

  test('what was published in vain and released is protected when it is staged again', async () => {
    const { gitDir, options } = await repositoryForStaging();
    const area = new StagingArea({ ...options, keepsAll: true });
    const contents = randomContents(40, 1000);
    const oids = await writeBlobs(area, contents);
    const first = new PackKeeps();
    await area.publish(oids, { fsync: false, keeps: first });
    await first.letGo();
    await area.release(oids);
    const second = new PackKeeps();
    await writeBlobs(area, contents.slice(1));
    const needed = oids.slice(1);
    await area.publish(needed, { fsync: false, keeps: second });
    // It began before, and knows of no ref that leads to them.
    await git(['repack', '-adq'], { cwd: gitDir });
    const found = await git(['cat-file', '--batch-check'], {
      cwd: gitDir,
      input: needed.join('\n'),
    });
    expect(found).toBe(needed.map((oid) => `${oid} blob 1000\n`).join(''));
    await second.letGo();
    await area.discard();
    await fsck(gitDir);
  });

  test('so is what was released, and came along in a pack that got its name later', async () => {
    const { gitDir, options } = await repositoryForStaging();
    const area = new StagingArea({ ...options, keepsAll: true });
    const inVain = randomContents(3, 1000);
    await area.release(await writeBlobs(area, inVain.slice(0, 2)));
    const others = await writeBlobs(area, randomContents(40, 2000));
    const released = await writeBlobs(area, inVain);
    await area.release(released);
    const first = new PackKeeps();
    await area.publish(others, { fsync: false, keeps: first });
    await first.letGo();
    const needed = await writeBlobs(area, inVain);
    const second = new PackKeeps();
    await area.publish(needed, { fsync: false, keeps: second });
    await git(['repack', '-adq'], { cwd: gitDir });
    const found = await git(['cat-file', '--batch-check'], {
      cwd: gitDir,
      input: needed.join('\n'),
    });
    expect(found).toBe(needed.map((oid) => `${oid} blob 1000\n`).join(''));
    await second.letGo();
    await area.discard();
    await fsck(gitDir);
  });

  test('publishing works in the middle of it', async () => {
    const { gitDir, area } = await newStagingArea();
    let done = false;
    const pruning = (async () => {
      while (!done) await git(['prune', '--expire=now'], { cwd: gitDir });
    })();
    const oids: Oid[] = [];
    try {
      for (let round = 0; round < 25; round++) {
        const some = await writeBlobs(area, randomContents(40, 2000));
        await area.publish(some, { fsync: false });
        oids.push(...some);
      }
    } finally {
      done = true;
      await pruning;
    }
    await area.republishMissing(oids);
    await area.discard();
    const input = oids.join('\n');
    const found = await git(['cat-file', '--batch-check'], { cwd: gitDir, input });
    expect(found).toBe(oids.map((oid) => `${oid} blob 2000\n`).join(''));
    await fsck(gitDir);
  });
});

describe('releasing', () => {
  const mebibytes = (count: number): Buffer => randomBytes(count * pieceBytes);

  test('gives the disk back, though something stays', async () => {
    const { gitDir, area } = await newStagingArea();
    const kept = mebibytes(1);
    const keptOid = await area.write('blob', kept);
    const small = await area.write('blob', Buffer.from('small'));
    for (let round = 0; round < 5; round++) {
      await area.release([await area.write('blob', mebibytes(30))]);
    }
    expect(await temporaryBytes(gitDir)).toBeLessThan(100 * pieceBytes);
    expect((await area.read(keptOid)).data.equals(kept)).toBe(true);
    await area.publish([keptOid, small], { fsync: false });
    await expectBlobInGit(gitDir, keptOid, kept);
    await area.release([keptOid, small]);
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await area.discard();
    await fsck(gitDir);
  });

  test('and discarding leave nothing behind, and wait for what is under way', async () => {
    const { gitDir, area } = await newStagingArea();
    const writing = writeBlobs(area, randomContents(50, 50_000));
    const discarding = area.discard();
    await area.discard();
    await expect(writing).resolves.toHaveLength(50);
    await discarding;
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await expect(area.write('blob', Buffer.from('late'))).rejects.toThrow(BatchClosedError);
    const late = area.writeStream('blob', 1, inChunks(Buffer.from('x'), 1));
    await expect(late).rejects.toThrow(BatchClosedError);
    expect(await countObjects(gitDir)).toEqual({ loose: 0, packs: 0, packed: 0 });
  });
});

describe('on a disk that is near', () => {
  async function nearArea(): Promise<{
    gitDir: string;
    area: StagingArea;
    end: () => Promise<void>;
  }> {
    const { gitDir } = await newStagingArea();
    const database = await ObjectDatabase.open({
      ...{ objectsDirectory: join(gitDir, 'objects'), algorithm: 'sha1', compressionLevel: 1 },
      isNear: true,
    });
    const area = database.stage({ keepsAll: true });
    const end = async (): Promise<void> => {
      await area.discard();
      await database.close();
    };
    return { gitDir, area, end };
  }

  test('content of every size is stored in between of each other, each once', async () => {
    const { gitDir, area, end } = await nearArea();
    const sizes = [0, 1, 100, 5000, 32 * 1024, 32 * 1024 + 1, 100_000, 2 * pieceBytes];
    const contents = Array.from({ length: 120 }, (_, index) =>
      Buffer.alloc(sizes[index % sizes.length]!, `${index % 50} `),
    );
    const stream = randomBytes(3 * pieceBytes);
    const streaming = area.writeStream('blob', stream.length, inChunks(stream, 100_000));
    const oids: Oid[] = [];
    for (const [index, data] of contents.entries()) {
      const writing = area.write('blob', data);
      // Some are waited for, and others come beside them.
      oids.push(await writing);
      if (index % 7 === 0) oids.push(...(await writeBlobs(area, [data, contents[0]!])).slice(1));
    }
    const staged = new Set([...oids, await streaming]);
    expect(new Set(area.stagedOids())).toEqual(staged);
    await area.publish(undefined, { fsync: false });
    for (const data of contents) {
      await expectBlobInGit(gitDir, hashObject('sha1', 'blob', data), data);
    }
    const { loose, packed } = await countObjects(gitDir);
    expect(loose + packed).toBe(staged.size);
    await end();
    await fsck(gitDir);
  });

  test('small content is stored before the write returns, as a rule', async () => {
    const { gitDir, area, end } = await nearArea();
    await area.write('blob', Buffer.from('opens the pack'));
    const oids: Oid[] = [];
    let atOnce = 0;
    // Where one write was slow, the next ones are another thread's.
    for (const data of randomContents(500, 100)) {
      const writing = area.write('blob', data);
      if (!(writing instanceof Promise)) atOnce += 1;
      oids.push(await writing);
    }
    expect(atOnce).toBeGreaterThan(0);
    await area.publish(oids, { fsync: false });
    await end();
    const { loose, packed } = await countObjects(gitDir);
    expect(loose + packed).toBe(501);
    await fsck(gitDir);
  });

  test('the write that finds it full says so, and leaves nothing', async () => {
    const { gitDir, area, end } = await nearArea();
    await area.write('blob', Buffer.from('before'));
    const bytesBefore = await temporaryBytes(gitDir);
    vi.spyOn(openFileMethods, 'writevHere').mockImplementation(() => {
      throw systemError('ENOSPC');
    });
    const data = randomBytes(1000);
    await expect((async () => area.write('blob', data))()).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    vi.restoreAllMocks();
    expect(await temporaryBytes(gitDir)).toBe(bytesBefore);
    const oids = await writeBlobs(area, [data, Buffer.from('after')]);
    await area.publish(oids, { fsync: false });
    await expectBlobInGit(gitDir, oids[0]!, data);
    await end();
    await fsck(gitDir);
  });

  test('half of a write that succeeds is written over', async () => {
    const { gitDir, area, end } = await nearArea();
    await area.write('blob', Buffer.from('before'));
    vi.spyOn(openFileMethods, 'writevHere').mockReturnValueOnce(3);
    const oids = await writeBlobs(area, [randomBytes(500), Buffer.from('after')]);
    vi.restoreAllMocks();
    await area.publish(oids, { fsync: false });
    await end();
    await expectBlobInGit(gitDir, oids[1]!, Buffer.from('after'));
    await fsck(gitDir);
  });
});

describe('when the disk fails', () => {
  test('small objects that could not be written can be written later', async () => {
    const { gitDir, area } = await newStagingArea();
    const contents = randomContents(200, 400);
    await area.write('blob', contents[0]!);
    failWrite(2, 'ENOSPC');
    const writes = await Promise.allSettled(contents.map(async (data) => area.write('blob', data)));
    vi.restoreAllMocks();
    const failed = writes.filter(({ status }) => status === 'rejected');
    expect(failed.length).toBeGreaterThan(0);
    expect(failed.length).toBeLessThan(contents.length);
    expect([...area.stagedOids()]).toHaveLength(contents.length - failed.length);
    const oids = await writeBlobs(area, contents);
    await area.publish(undefined, { fsync: false });
    for (const index of [0, 50, 199]) await expectBlobInGit(gitDir, oids[index]!, contents[index]!);
    await area.discard();
    await fsck(gitDir);
  });

  test.each([1, 2, 3, 4, 5])('at write %i of a stream, nothing of it is kept', async (count) => {
    const { gitDir, area } = await newStagingArea();
    await area.write('blob', Buffer.from('before'));
    const bytesBefore = await temporaryBytes(gitDir);
    const data = randomBytes(3 * pieceBytes);
    failWrite(count, 'ENOSPC');
    const stream = area.writeStream('blob', data.length, inChunks(data, 65_536));
    await expect(stream).rejects.toMatchObject({ code: 'ENOSPC' });
    vi.restoreAllMocks();
    expect(await temporaryBytes(gitDir)).toBe(bytesBefore);
    const small = await area.write('blob', Buffer.from('after'));
    const oid = await area.writeStream('blob', data.length, inChunks(data, 65_536));
    await area.publish(undefined, { fsync: false });
    await area.discard();
    await expectBlobInGit(gitDir, oid, data);
    await expectBlobInGit(gitDir, small, Buffer.from('after'));
    await fsck(gitDir);
  });

  test('while a stream without a size is spooled, nothing of it is kept', async () => {
    const { gitDir, area } = await newStagingArea();
    const data = randomBytes(3 * pieceBytes);
    failWrite(2, 'ENOSPC');
    const stream = area.writeStream('blob', undefined, inChunks(data, 65_536));
    await expect(stream).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await area.discard();
  });

  test('a source that breaks leaves nothing, and is told', async () => {
    const { gitDir, area } = await newStagingArea();
    async function* broken(givenBytes: number): AsyncGenerator<Buffer> {
      yield randomBytes(givenBytes);
      await Promise.reject(new Error('the source broke'));
    }
    for (const [sizeBytes, givenBytes] of [
      [3 * pieceBytes, 2 * pieceBytes],
      [undefined, 2 * pieceBytes],
      [undefined, 1],
      [5, 4],
    ] as const) {
      await expect(area.writeStream('blob', sizeBytes, broken(givenBytes))).rejects.toThrow(
        'broke',
      );
    }
    expect([...area.stagedOids()]).toEqual([]);
    expect(await temporaryBytes(gitDir)).toBeLessThan(100);
    await area.discard();
  });

  test.each([1, 2, 3, 4, 5, 6, 7])(
    'at write %i of publishing, it can be tried again',
    async (count) => {
      const { gitDir, area } = await newStagingArea();
      const contents = randomContents(60, 700);
      const oids = await writeBlobs(area, contents);
      failWrite(count, 'ENOSPC');
      await expect(area.publish(undefined, { fsync: false })).rejects.toMatchObject({
        code: 'ENOSPC',
      });
      vi.restoreAllMocks();
      expect(await countObjects(gitDir)).toEqual({ loose: 0, packs: 0, packed: 0 });
      expect(await temporaryFiles(gitDir)).toHaveLength(1);
      const more = randomContents(40, 700);
      oids.push(...(await writeBlobs(area, more)));
      expect((await area.read(oids[0]!)).data).toEqual(contents[0]);
      await area.publish(undefined, { fsync: true });
      for (const index of [0, 59, 60, 99]) {
        await expectBlobInGit(gitDir, oids[index]!, [...contents, ...more][index]!);
      }
      await area.discard();
      expect(await temporaryFiles(gitDir)).toEqual([]);
      await fsck(gitDir);
    },
  );

  test.each([1, 2, 3])('at sync %i of publishing, it can be tried again', async (count) => {
    const { gitDir, area } = await newStagingArea();
    const oids = await writeBlobs(area, randomContents(60, 700));
    const sync = vi.spyOn(openFileMethods, 'sync');
    for (let call = 1; call < count; call++) sync.mockResolvedValueOnce(undefined);
    sync.mockRejectedValueOnce(systemError('EIO'));
    await expect(area.publish(undefined, { fsync: true })).rejects.toMatchObject({ code: 'EIO' });
    vi.restoreAllMocks();
    await area.publish(undefined, { fsync: true });
    await area.discard();
    const input = oids.join('\n');
    expect(await git(['cat-file', '--batch-check'], { cwd: gitDir, input })).not.toContain(
      'missing',
    );
    await fsck(gitDir);
  });

  test('without room for copies, the temporary pack becomes one of the repository', async () => {
    const { gitDir, area } = await newStagingArea();
    const contents = randomContents(5, 700);
    const oids = await writeBlobs(area, contents);
    // The first loose object.
    failWrite(1, 'ENOSPC');
    await area.publish(oids.slice(0, 2), { fsync: true });
    vi.restoreAllMocks();
    expect(await countObjects(gitDir)).toMatchObject({ packs: 1, packed: 5 });
    await area.discard();
    await expectBlobInGit(gitDir, oids[1]!, contents[1]!);
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await fsck(gitDir);
  });

  test('without room for loose copies beside a git gc, the pack is enough', async () => {
    const { gitDir, area } = await newStagingArea();
    const contents = randomContents(5, 700);
    const oids = await writeBlobs(area, contents);
    const write = originalOf('write');
    vi.spyOn(openFileMethods, 'write').mockImplementation(function (this: OpenFile, ...args) {
      const isLoose = readlinkSync(`/proc/self/fd/${this.fd}`).includes('/tmp_obj_');
      return isLoose ? Promise.reject(systemError('ENOSPC')) : write.apply(this, args);
    });
    await area.publish(oids, { fsync: true, besideGc: true });
    vi.restoreAllMocks();
    expect(await countObjects(gitDir)).toMatchObject({ loose: 0, packs: 1, packed: 5 });
    await area.discard();
    await fsck(gitDir);
  });

  test('while a removed pack is written again, it can be tried again', async () => {
    const { gitDir, area } = await newStagingArea();
    const contents = randomContents(40, 700);
    const oids = await writeBlobs(area, contents);
    await git(['prune', '--expire=now'], { cwd: gitDir });
    // The header, the checksum, then the copy.
    failWrite(3, 'ENOSPC');
    await expect(area.publish(undefined, { fsync: false })).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    vi.restoreAllMocks();
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await area.publish(undefined, { fsync: false });
    await area.discard();
    await expectBlobInGit(gitDir, oids[39]!, contents[39]!);
    await fsck(gitDir);
  });

  test('a temporary pack that was damaged is noticed', async () => {
    const { gitDir, area } = await newStagingArea();
    const small = await area.write('blob', randomBytes(1000));
    const big = await area.write('blob', Buffer.alloc(2 * pieceBytes, 'shrinks '));
    const [name] = await temporaryFiles(gitDir);
    const handle = await open(join(gitDir, 'objects', name!), 'r+');
    const { size } = await handle.stat();
    await handle.write(Buffer.alloc(500, 0xee), 0, 500, 100);
    await expect(area.read(small)).rejects.toThrow(CorruptObjectError);
    await handle.write(Buffer.alloc(3000, 0xee), 0, 3000, size - 3000);
    await expect(area.read(big)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', oid: big });
    await handle.truncate(50);
    await handle.close();
    await expect(area.readRange(small, 0, 1)).rejects.toThrow(CorruptObjectError);
    await area.discard();
  });

  test('a repository that cannot be looked at is told, and asked again', async () => {
    const { gitDir, options } = await repositoryForStaging();
    const isKnown = vi.fn(options.isKnown).mockRejectedValueOnce(systemError('EIO'));
    const area = new StagingArea({ ...options, isKnown });
    const data = Buffer.from('content');
    await expect(area.write('blob', data)).rejects.toMatchObject({ code: 'EIO' });
    const oid = await area.write('blob', data);
    await area.publish([oid], { fsync: false });
    await area.discard();
    await expectBlobInGit(gitDir, oid, data);
  });
});

test('a process that ends without discarding takes its temporary files along', async () => {
  const { gitDir, area } = await newStagingArea();
  await area.write('blob', randomBytes(100));
  expect(await temporaryFiles(gitDir)).toHaveLength(1);
  // What the process would do; the test has to go on after it.
  for (const listener of process.listeners('exit')) {
    if (listener.name === 'removeStanding') listener(0);
  }
  expect(await temporaryFiles(gitDir)).toEqual([]);
  await area.discard();
});

describe('what others have stored', () => {
  async function storedByGit(gitDir: string, data: Buffer): Promise<string> {
    return (await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: data })).trim();
  }

  async function packedByGit(gitDir: string, data: Buffer): Promise<string> {
    const oid = await storedByGit(gitDir, data);
    const name = await git(['pack-objects', '-q', 'objects/pack/pack'], {
      cwd: gitDir,
      input: oid,
    });
    await git(['prune-packed', '-q'], { cwd: gitDir });
    return `pack-${name.trim()}`;
  }

  async function openDatabase(gitDir: string): Promise<ObjectDatabase> {
    const objectsDirectory = join(gitDir, 'objects');
    return ObjectDatabase.open({ objectsDirectory, algorithm: 'sha1', compressionLevel: -1 });
  }

  test.each([
    ['for a commit that follows at once', false],
    ['for one that may wait', true],
  ])('is as durable as what is published: staged %s', async (_when, keepsAll) => {
    const { gitDir } = await newStagingArea();
    const [loose, packed] = [randomBytes(1000), randomBytes(2 * pieceBytes)];
    const oid = await storedByGit(gitDir, loose);
    const pack = await packedByGit(gitDir, packed);
    const database = await openDatabase(gitDir);
    const area = database.stage({ keepsAll });
    const oids = await writeBlobs(area, [loose, packed]);
    const synced: string[] = [];
    const sync = originalOf('sync');
    vi.spyOn(openFileMethods, 'sync').mockImplementation(function (this: OpenFile) {
      synced.push(readlinkSync(`/proc/self/fd/${this.fd}`));
      return sync.call(this);
    });
    await area.publish(oids, { fsync: true });
    vi.restoreAllMocks();
    const objects = join(gitDir, 'objects');
    const looseDirectory = join(objects, oid.slice(0, 2));
    expect(synced).toContain(join(looseDirectory, oid.slice(2)));
    expect(synced).toContain(looseDirectory);
    for (const end of ['.pack', '.idx', '']) {
      expect(synced).toContain(
        join(objects, 'pack', end === '' ? '' : `${pack}${end}`).replace(/\/$/, ''),
      );
    }
    expect(await countObjects(gitDir)).toMatchObject({ loose: 1, packs: 1 });
    await database.close();
  });

  test('and a git repack is about to remove is stored all the same', async () => {
    const { gitDir } = await newStagingArea();
    const data = randomBytes(1000);
    const pack = await packedByGit(gitDir, data);
    const database = await openDatabase(gitDir);
    const area = database.stage({ keepsAll: true });
    const oid = await area.write('blob', data);
    const keeps = new PackKeeps();
    await area.publish([oid], { fsync: true, keeps });
    expect(await area.republishMissing([oid], { fsync: true, keeps })).toEqual([]);
    for (const end of ['.idx', '.pack']) await rm(join(gitDir, 'objects/pack', `${pack}${end}`));
    await keeps.letGo();
    await database.close();
    await expectBlobInGit(gitDir, oid, data);
    await fsck(gitDir);
  });
});
