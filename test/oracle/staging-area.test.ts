import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import fc from 'fast-check';
import * as isomorphicGit from 'isomorphic-git';
import { describe, expect, test, vi } from 'vitest';
import { InvalidArgumentError, ObjectNotFoundError } from '../../src/errors.ts';
import type { ByteString } from '../../src/git/byte-string.ts';
import { hashObject, serializeCommit, serializeTree } from '../../src/git/object.ts';
import { pieceBytes } from '../../src/git/odb/deflate.ts';
import { PackKeeps } from '../../src/git/odb/pack-keeps.ts';
import type { HashAlgorithm, Oid } from '../../src/git/oid.ts';
import { eventually } from '../helpers/eventually.ts';
import { fsck, git, gitBytes } from '../helpers/git.ts';
import {
  countObjects,
  expectBlobInGit,
  inChunks,
  newStagingArea,
  randomContents,
  temporaryFiles,
  writeBlobs,
} from '../helpers/staging.ts';

function halfNoise(sizeBytes: number): Buffer {
  const half = Math.floor(sizeBytes / 2);
  return Buffer.concat([Buffer.alloc(half, 'shrinks '), randomBytes(sizeBytes - half)]);
}

describe.each<HashAlgorithm>(['sha1', 'sha256'])('a %s repository', (algorithm) => {
  test('sees nothing of what is staged, and all of what is published', async () => {
    const { gitDir, area } = await newStagingArea(algorithm);
    const blob = Buffer.from('content\n');
    const blobOid = await area.write('blob', blob);
    const entry = { name: 'file' as ByteString, mode: 0o100644, oid: blobOid };
    const tree = await area.write('tree', serializeTree([entry], algorithm));
    const stamp = { identity: { name: 'A', email: 'a@b' }, timeSec: 1, zoneMinutes: 0 };
    const commit = serializeCommit({
      tree,
      parents: [],
      author: stamp,
      committer: stamp,
      message: 'm\n',
    });
    const oid = await area.write('commit', commit);
    expect(await countObjects(gitDir)).toEqual({ loose: 0, packs: 0, packed: 0 });
    expect(await area.read(oid)).toEqual({ type: 'commit', data: commit });
    await area.publish([blobOid, tree, oid], { fsync: true });
    await area.discard();
    await git(['update-ref', 'refs/heads/main', oid], { cwd: gitDir });
    expect(await git(['show', 'main:file'], { cwd: gitDir })).toBe('content\n');
    expect(await countObjects(gitDir)).toEqual({ loose: 3, packs: 0, packed: 0 });
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await fsck(gitDir);
  });

  test('gets what somebody waits for without a temporary file', async () => {
    const { gitDir, area } = await newStagingArea(algorithm);
    const content = Buffer.from('content that an fsync waits for\n');
    const oid = await area.write('blob', content, { isAwaited: true });
    expect(await area.read(oid)).toEqual({ type: 'blob', data: content });
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await area.publish([oid], { fsync: true });
    expect(await temporaryFiles(gitDir)).toEqual([]);
    expect(await countObjects(gitDir)).toEqual({ loose: 1, packs: 0, packed: 0 });
    await expectBlobInGit(gitDir, oid, content);
    // What comes behind it needs a file, and both are in that.
    const kept = await area.write('blob', randomBytes(100), { isAwaited: true });
    const other = await area.write('blob', Buffer.from('nobody waits for this\n'));
    expect(await temporaryFiles(gitDir)).toHaveLength(1);
    await area.publish([kept, other], { fsync: true, besideGc: true });
    expect(await countObjects(gitDir)).toEqual({ loose: 3, packs: 1, packed: 2 });
    await area.discard();
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await fsck(gitDir);
  });

  test('gets nothing that was damaged after it was staged', async () => {
    const { gitDir, area } = await newStagingArea(algorithm);
    // More than is remembered, so the first ones are read from the file.
    const contents = [1, 2, 3].map(() => randomBytes(600_000));
    const oids = await writeBlobs(area, contents);
    const [name] = await temporaryFiles(gitDir);
    const path = `${gitDir}/objects/${name!}`;
    fs.chmodSync(path, 0o644);
    const file = fs.openSync(path, 'r+');
    fs.writeSync(file, Buffer.alloc(100), 0, 100, 1000);
    fs.closeSync(file);
    await expect(area.publish(oids, { fsync: true })).rejects.toThrow('what was staged is damaged');
    expect(await countObjects(gitDir)).toEqual({ loose: 0, packs: 0, packed: 0 });
    await area.discard();
    await fsck(gitDir);
  });

  test('gets many objects as one pack', async () => {
    const { gitDir, area } = await newStagingArea(algorithm);
    const contents = Array.from({ length: 500 }, (_, index) => randomBytes(index * 3));
    const oids = await writeBlobs(area, contents);
    expect(oids).toEqual(contents.map((data) => hashObject(algorithm, 'blob', data)));
    await area.publish(undefined, { fsync: false });
    expect(await countObjects(gitDir)).toEqual({ loose: 0, packs: 1, packed: 500 });
    await area.discard();
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await fsck(gitDir);
    const listed = await gitBytes(['cat-file', '--batch', '--buffer'], {
      cwd: gitDir,
      input: oids.join('\n'),
    });
    const expected = contents.map((data, index) =>
      Buffer.concat([
        Buffer.from(`${oids[index]!} blob ${data.length}\n`),
        data,
        Buffer.from('\n'),
      ]),
    );
    expect(listed.equals(Buffer.concat(expected))).toBe(true);
  });

  test('gets streams of any length', async () => {
    const { gitDir, area } = await newStagingArea(algorithm);
    const sizes = [0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 3 * pieceBytes + 5];
    for (const sizeBytes of sizes) {
      for (const announced of [true, false]) {
        const data = halfNoise(sizeBytes);
        const chunks = inChunks(data, 100_000);
        const oid = await area.writeStream('blob', announced ? sizeBytes : undefined, chunks);
        expect(oid).toBe(hashObject(algorithm, 'blob', data));
        expect((await area.read(oid)).data.equals(data)).toBe(true);
        await area.publish([oid], { fsync: false });
        await expectBlobInGit(gitDir, oid, data);
      }
    }
    await area.discard();
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await fsck(gitDir);
  });
});

test('isomorphic-git reads what is published, loose and packed', async () => {
  const { gitDir: gitdir, area } = await newStagingArea();
  const contents = [...randomContents(40, 300), randomBytes(2 * pieceBytes)];
  const oids = await writeBlobs(area, contents);
  await area.publish(oids.slice(0, 3), { fsync: false });
  await area.publish(oids, { fsync: false });
  await area.discard();
  expect(await countObjects(gitdir)).toMatchObject({ loose: 3, packs: 1 });
  for (const [index, oid] of oids.entries()) {
    const { blob } = await isomorphicGit.readBlob({ fs, gitdir, oid });
    expect(Buffer.from(blob).equals(contents[index]!)).toBe(true);
  }
});

describe('reading back', () => {
  test('gives headers, content, ranges and streams of what is staged, and of nothing else', async () => {
    const { gitDir, area } = await newStagingArea();
    const other = hashObject('sha1', 'blob', Buffer.from('other'));
    const contents = [randomBytes(0), randomBytes(1000), randomBytes(3 * pieceBytes + 100)];
    contents.push(Buffer.alloc(pieceBytes, 'shrinks '), Buffer.alloc(600_000, 'shrinks '));
    for (const data of contents) {
      const oid = await area.write('blob', data);
      expect(area.hasStaged(oid)).toBe(true);
      expect([...area.stagedOids()]).toContain(oid);
      expect(area.headerIfStaged(oid)).toEqual({ type: 'blob', sizeBytes: data.length });
      const parts: Buffer[] = [];
      for await (const part of area.stream(oid)) parts.push(part);
      expect(Buffer.concat(parts).equals(data)).toBe(true);
      const ranges = fc.tuple(fc.nat(data.length + 10), fc.nat(data.length + 10));
      await fc.assert(
        fc.asyncProperty(ranges, async ([offset, length]) => {
          const range = await area.readRange(oid, offset, length);
          expect(range.equals(data.subarray(offset, offset + length))).toBe(true);
        }),
        { numRuns: 30 },
      );
    }
    expect(area.hasStaged(other)).toBe(false);
    expect(area.headerIfStaged(other)).toBeUndefined();
    await expect(area.read(other)).rejects.toThrow(ObjectNotFoundError);
    await expect(area.readRange(other, 0, 1)).rejects.toThrow(ObjectNotFoundError);
    expect(() => area.stream(other)).toThrow(ObjectNotFoundError);
    await area.discard();
    expect(await countObjects(gitDir)).toEqual({ loose: 0, packs: 0, packed: 0 });
  });

  test('goes on to its end when the content is released meanwhile', async () => {
    const { area } = await newStagingArea();
    const data = randomBytes(3 * pieceBytes);
    const oid = await area.write('blob', data);
    const parts: Buffer[] = [];
    for await (const part of area.stream(oid)) {
      parts.push(part);
      if (parts.length === 1) await area.release([oid]);
    }
    expect(Buffer.concat(parts).equals(data)).toBe(true);
    expect(area.hasStaged(oid)).toBe(false);
    await area.discard();
  });
});

describe('publishing', () => {
  test('leaves alone what is in the repository already', async () => {
    const { gitDir, area } = await newStagingArea();
    const data = randomBytes(2 * pieceBytes);
    const known = Buffer.from('known');
    for (const input of [data, known]) {
      await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input });
    }
    const oids = [await area.write('blob', known), await area.write('blob', data)];
    const streamed = [
      await area.writeStream('blob', data.length, inChunks(data, 65_536)),
      await area.writeStream('blob', undefined, inChunks(data, 65_536)),
    ];
    expect(streamed).toEqual([oids[1], oids[1]]);
    expect([...area.stagedOids()]).toEqual([]);
    await area.publish([...oids, ...streamed], { fsync: true });
    expect(await countObjects(gitDir)).toEqual({ loose: 2, packs: 0, packed: 0 });
    await area.discard();
  });

  test('stores the same content once, also when it comes many times at once', async () => {
    const { gitDir, area } = await newStagingArea();
    const data = randomBytes(2 * pieceBytes);
    const same = Buffer.from('same');
    const oids = await Promise.all([
      ...Array.from({ length: 20 }, () => area.write('blob', same)),
      ...Array.from({ length: 3 }, () =>
        area.writeStream('blob', data.length, inChunks(data, 1e6)),
      ),
      area.write('blob', data),
    ]);
    expect(new Set(oids).size).toBe(2);
    expect([...area.stagedOids()]).toHaveLength(2);
    await area.publish(oids, { fsync: false });
    await area.publish(undefined, { fsync: false });
    expect(await countObjects(gitDir)).toEqual({ loose: 2, packs: 0, packed: 0 });
    await area.discard();
    await fsck(gitDir);
  });

  test('takes only what is asked for when that is a small part', async () => {
    const { gitDir, area } = await newStagingArea();
    const contents = randomContents(400, 500);
    const oids = await writeBlobs(area, contents);
    await area.publish(oids.slice(0, 50), { fsync: false });
    expect(await countObjects(gitDir)).toEqual({ loose: 0, packs: 1, packed: 50 });
    await area.publish(oids.slice(40, 60), { fsync: false });
    expect(await countObjects(gitDir)).toEqual({ loose: 10, packs: 1, packed: 50 });
    await area.publish(undefined, { fsync: false });
    const { loose, packs } = await countObjects(gitDir);
    expect([loose, packs]).toEqual([10, 2]);
    for (const [index, oid] of oids.entries()) {
      if (index % 40 === 0) await expectBlobInGit(gitDir, oid, contents[index]!);
    }
    await area.discard();
    await fsck(gitDir);
  });

  test('goes on while a stream is under way, which is published later', async () => {
    const { gitDir, area } = await newStagingArea();
    const data = randomBytes(3 * pieceBytes);
    let goOn: (() => void) | undefined;
    async function* slow(): AsyncGenerator<Buffer> {
      yield data.subarray(0, 2 * pieceBytes);
      await new Promise<void>((resolve) => (goOn = resolve));
      yield data.subarray(2 * pieceBytes);
    }
    // Before the stream, behind which they stand in one file, and while it flows.
    const before = await writeBlobs(area, randomContents(40, 300));
    const streaming = area.writeStream('blob', data.length, slow());
    await eventually(() => {
      expect(goOn).toBeDefined();
    });
    const after = await writeBlobs(area, randomContents(40, 300));
    await area.publish(undefined, { fsync: false });
    expect((await countObjects(gitDir)).packed).toBe(80);
    await fsck(gitDir);
    goOn?.();
    const oid = await streaming;
    await area.publish(undefined, { fsync: false });
    await expectBlobInGit(gitDir, oid, data);
    await area.release([...before, ...after, oid]);
    expect(await temporaryFiles(gitDir)).toEqual([]);
    await area.discard();
    await fsck(gitDir);
  });

  test('lets no stream into a pack that waits to be named', async () => {
    const { gitDir, area } = await newStagingArea();
    // Two at once are in two packs, both large enough to be named as they are.
    await Promise.all(
      randomContents(2, 65 * pieceBytes).map((data) =>
        area.writeStream('blob', data.length, inChunks(data, pieceBytes)),
      ),
    );
    const data = randomBytes(3 * pieceBytes);
    const keeps = new PackKeeps();
    let streaming: Promise<Oid> | undefined;
    vi.spyOn(keeps, 'keep').mockImplementation((path) => {
      streaming ??= area.writeStream('blob', data.length, slow());
      return PackKeeps.prototype.keep.call(keeps, path);
    });
    const publishing = area.publish(undefined, { fsync: false, keeps });
    async function* slow(): AsyncGenerator<Buffer> {
      yield data.subarray(0, 2 * pieceBytes);
      await publishing;
      yield data.subarray(2 * pieceBytes);
    }
    await publishing;
    await keeps.letGo();
    const oid = await streaming!;
    await area.publish([oid], { fsync: false });
    await expectBlobInGit(gitDir, oid, data);
    expect((await countObjects(gitDir)).packs).toBe(2);
    await area.discard();
    await fsck(gitDir);
  });

  test('makes no pack for each of many streams', async () => {
    const { gitDir, area } = await newStagingArea();
    const contents = randomContents(8, 2 * pieceBytes);
    await Promise.all(
      contents.map((data) => area.writeStream('blob', data.length, inChunks(data, 1e5))),
    );
    await area.publish(undefined, { fsync: false });
    expect((await countObjects(gitDir)).packs).toBeLessThanOrEqual(2);
    await area.discard();
    await fsck(gitDir);
  });
});

test.each([
  ['less', 10, 5],
  ['more', 5, 10],
  ['less of something long', 3 * pieceBytes, 2 * pieceBytes],
  ['more of something long', 2 * pieceBytes, 3 * pieceBytes],
  ['something long instead of nothing', 0, 2 * pieceBytes],
])('a stream that gives %s than announced is refused', async (_, announced, given) => {
  const { gitDir, area } = await newStagingArea();
  const kept = await area.write('blob', Buffer.from('kept'));
  const data = randomBytes(given);
  await expect(area.writeStream('blob', announced, inChunks(data, 65_536))).rejects.toThrow(
    InvalidArgumentError,
  );
  const oid = await area.writeStream('blob', given, inChunks(data, 65_536));
  await area.publish([kept, oid], { fsync: false });
  await area.discard();
  await expectBlobInGit(gitDir, oid, data);
  await fsck(gitDir);
});

test('memory stays bounded however long a stream is, which gets a pack of its own', async () => {
  const { gitDir, area } = await newStagingArea();
  const sizeBytes = 128 * pieceBytes;
  const block = randomBytes(pieceBytes);
  const hash = createHash('sha1').update(`blob ${sizeBytes}\0`);
  let mostBytes = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let index = 0; index < sizeBytes / pieceBytes; index++) {
      const chunk = Buffer.from(block);
      chunk.writeUInt32LE(index, 0);
      hash.update(chunk);
      mostBytes = Math.max(mostBytes, process.memoryUsage().arrayBuffers);
      yield await Promise.resolve(chunk);
    }
  }
  const before = process.memoryUsage().arrayBuffers;
  const oid = await area.writeStream('blob', undefined, chunks());
  expect(oid).toBe(hash.digest('hex'));
  expect(mostBytes - before).toBeLessThan(sizeBytes / 2);
  const small = await area.write('blob', Buffer.from('small\n'));
  await area.publish([oid, small], { fsync: true });
  expect(await countObjects(gitDir)).toEqual({ loose: 1, packs: 1, packed: 1 });
  await area.discard();
  expect(await temporaryFiles(gitDir)).toEqual([]);
  await fsck(gitDir);
});
