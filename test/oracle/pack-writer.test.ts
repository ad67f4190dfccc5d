import { randomBytes } from 'node:crypto';
import { chmod, open, readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { hashObject } from '../../src/git/object.ts';
import { cutIntoPieces, deflateWhole, pieceBytes } from '../../src/git/odb/deflate.ts';
import { writePackIndex } from '../../src/git/odb/pack-index-writer.ts';
import type { PackIndexEntry } from '../../src/git/odb/pack-index-writer.ts';
import { packEntryHeader } from '../../src/git/odb/pack-headers.ts';
import { PackWriter } from '../../src/git/odb/pack-writer.ts';
import type { DeflatedObject, PackedObject } from '../../src/git/odb/pack-writer.ts';
import type { FinishedPack } from '../../src/git/odb/pack-naming.ts';
import type { HashAlgorithm, Oid } from '../../src/git/oid.ts';
import { fsck, git, gitBytes } from '../helpers/git.ts';
import { openFileMethods, repositoryForStaging, systemError } from '../helpers/staging.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

async function appendBlob(
  writer: PackWriter,
  algorithm: HashAlgorithm,
  data: Buffer,
): Promise<Oid> {
  const oid = hashObject(algorithm, 'blob', data);
  if (data.length > pieceBytes) {
    const pieces = cutIntoPieces([data]);
    const content = { type: 'blob', sizeBytes: data.length, pieces, compressionLevel: 6 } as const;
    const appended = await writer.appendPieces(content, () => Promise.resolve(true));
    expect(appended.oid).toBe(oid);
    return oid;
  }
  const deflated = [await deflateWhole(data, -1)];
  await writer.append({ oid, type: 'blob', sizeBytes: data.length, deflated });
  return oid;
}

/** The next fsync of this process fails as on a disk that is broken. */
function failNextSync(): void {
  vi.spyOn(openFileMethods, 'sync').mockRejectedValueOnce(systemError('EIO'));
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
}

async function temporaryPacks(objectsDirectory: string): Promise<string[]> {
  const names = await readdir(join(objectsDirectory, 'pack'));
  return names
    .filter((name) => !name.startsWith('pack-'))
    .map((name) => join(objectsDirectory, 'pack', name));
}

/** Writes zeros over a block of a file that is not to be written to. */
async function damage(path: string, position: number): Promise<void> {
  await chmod(path, 0o644);
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(512), 0, 512, position);
  await file.close();
}

/** Checks that git makes the same index of the pack, and that it finds no fault with it. */
async function expectGitAgrees(
  { packPath, indexPath }: FinishedPack,
  algorithm: HashAlgorithm,
): Promise<void> {
  const index = join(await temporaryDirectory(), 'git.idx');
  const format = `--object-format=${algorithm}`;
  const name = await git(['index-pack', '--strict', format, '-o', index, packPath]);
  expect(packPath.endsWith(`/pack-${name.trim()}.pack`)).toBe(true);
  expect(await readFile(indexPath)).toEqual(await readFile(index));
  await git(['verify-pack', format, indexPath]);
  for (const path of [packPath, indexPath]) expect((await stat(path)).mode & 0o777).toBe(0o444);
}

describe.each<HashAlgorithm>(['sha1', 'sha256'])('packs in a %s repository', (algorithm) => {
  test('hold small and large objects, and have the index that git index-pack makes', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const contents = Array.from({ length: 300 }, (_, index) => randomBytes(index * 7));
    const big = randomBytes(3 * pieceBytes + 1);
    big.fill('shrinks ', pieceBytes / 2, 2.5 * pieceBytes);
    contents.push(big);
    const oids: Oid[] = [];
    // The first ones at once, so that they share writes.
    const few = contents.splice(0, 200).map((data) => appendBlob(writer, algorithm, data));
    oids.push(...(await Promise.all(few)));
    for (const data of contents) oids.push(await appendBlob(writer, algorithm, data));
    const finished = await writer.finish({ fsync: true });
    await writer.close();
    await expectGitAgrees(finished, algorithm);
    await fsck(gitDir);
    const read = await gitBytes(['cat-file', 'blob', oids.at(-1)!], { cwd: gitDir });
    expect(read.equals(big)).toBe(true);
    const listed = await git(['cat-file', '--batch-all-objects', '--batch-check'], { cwd: gitDir });
    expect(listed.trim().split('\n')).toHaveLength(oids.length);
  });

  test('of one object have the checksum that was taken on the way', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const data = randomBytes(3 * pieceBytes + 1);
    const pieces = cutIntoPieces([data]);
    const content = { type: 'blob', sizeBytes: data.length, compressionLevel: 6, pieces } as const;
    const alone = { ...content, isAlone: true };
    const { oid } = await writer.appendPieces(alone, () => Promise.resolve(true));
    expect(oid).toBe(hashObject(algorithm, 'blob', data));
    await expectGitAgrees(await writer.finish({ fsync: true }), algorithm);
    await writer.close();
    await fsck(gitDir);
  });

  test('of one object are not made of what the file has lost', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const data = randomBytes(3 * pieceBytes);
    const content = { type: 'blob', sizeBytes: data.length, compressionLevel: 6 } as const;
    async function* damagingPieces(): AsyncGenerator<Buffer, void, undefined> {
      yield* cutIntoPieces([data]);
      const [path] = await temporaryPacks(options.objectsDirectory);
      await damage(path!, 5000);
    }
    const alone = { ...content, pieces: damagingPieces(), isAlone: true };
    await writer.appendPieces(alone, () => Promise.resolve(true));
    await expect(writer.finish({ fsync: true })).rejects.toThrow('what was staged is damaged');
    await writer.close();
    expect(await readdir(join(options.objectsDirectory, 'pack'))).toEqual([]);
    await fsck(gitDir);
  });

  test('of one big object are written anew when the disk could not take a part of it early', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const data = randomBytes(66 * pieceBytes);
    const pieces = cutIntoPieces([data]);
    const content = { type: 'blob', sizeBytes: data.length, compressionLevel: 6, pieces } as const;
    failNextSync();
    await writer.appendPieces({ ...content, isAlone: true }, () => Promise.resolve(true));
    const [before] = await temporaryPacks(options.objectsDirectory);
    const { ino } = await stat(before!);
    const finished = await writer.finish({ fsync: true });
    expect((await stat(finished.packPath)).ino).not.toBe(ino);
    await expectGitAgrees(finished, algorithm);
    await writer.close();
    await fsck(gitDir);
  });

  test('that were said to be of one object may get another all the same', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const data = randomBytes(2 * pieceBytes);
    const content = { type: 'blob', sizeBytes: data.length, compressionLevel: 6 } as const;
    const append = (isWanted: boolean): Promise<unknown> =>
      writer.appendPieces({ ...content, pieces: cutIntoPieces([data]), isAlone: true }, () =>
        Promise.resolve(isWanted),
      );
    await append(false);
    const short = { ...content, pieces: cutIntoPieces([data.subarray(1)]), isAlone: true };
    await expect(writer.appendPieces(short, () => Promise.resolve(true))).rejects.toThrow('came');
    await append(true);
    await appendBlob(writer, algorithm, Buffer.from('another\n'));
    await expectGitAgrees(await writer.finish({ fsync: false }), algorithm);
    await writer.close();
    await fsck(gitDir);
  });

  test('have what may wait only once something else is asked for', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const append = async (sizeBytes: number, mayWait: boolean): Promise<PackedObject> => {
      const data = randomBytes(sizeBytes);
      const oid = hashObject(algorithm, 'blob', data);
      const deflated = [deflateSync(data, { level: 0 })];
      return writer.append({ oid, type: 'blob', sizeBytes, deflated, mayWait });
    };
    const packs = (): Promise<string[]> => temporaryPacks(options.objectsDirectory);
    const first = await append(1000, true);
    await Promise.all([append(2000, true), append(3000, true)]);
    expect(await packs()).toEqual([]);
    await append(10, false);
    const [path] = await packs();
    const sizeBytes = async (): Promise<number> => (await stat(path!)).size;
    expect(await sizeBytes()).toBe(writer.sizeBytes);
    // What is read takes no room: neither what is written nor what waits, but what is in both.
    const waits = [await append(4000, true), await append(100, true)];
    const isWhole = async ({ oid, dataOffset, endOffset }: PackedObject): Promise<boolean> => {
      const stream = await writer.readAt(dataOffset, endOffset - dataOffset);
      return hashObject(algorithm, 'blob', inflateSync(stream)) === oid;
    };
    for (const packed of [first, ...waits]) expect(await isWhole(packed)).toBe(true);
    expect(await sizeBytes()).toBe(waits[0]!.offset);
    const across = await writer.readAt(waits[0]!.offset - 5, 10);
    expect(await sizeBytes()).toBe(writer.sizeBytes);
    expect(await writer.readAt(waits[0]!.offset - 5, 10)).toEqual(across);
    await expect(writer.readAt(writer.sizeBytes, 1)).rejects.toThrow('cut off');
    // As much as is held at most, and some more.
    for (let count = 0; count < 5; count++) await append(250_000, true);
    expect(await sizeBytes()).toBe(writer.sizeBytes);
    await append(5000, true);
    const copy = new PackWriter(options.objectsDirectory, algorithm);
    await copy.copyFrom(writer, [await append(6000, true)]);
    await append(7000, true);
    await expectGitAgrees(await writer.finish({ fsync: true }), algorithm);
    await expectGitAgrees(await copy.finish({ fsync: false }), algorithm);
    for (const one of [writer, copy]) await one.close();
    await fsck(gitDir);
  });

  test('have what waited also after a write that failed', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const object = (content: string, mayWait: boolean): DeflatedObject => {
      const data = Buffer.from(content);
      const oid = hashObject(algorithm, 'blob', data);
      const deflated = [deflateSync(data)];
      return { oid, type: 'blob', sizeBytes: data.length, deflated, mayWait };
    };
    const { dataOffset } = await writer.append(object('waits', true));
    vi.spyOn(openFileMethods, 'write').mockRejectedValueOnce(systemError('ENOSPC'));
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    await expect(writer.append(object('fails', false))).rejects.toThrow('ENOSPC');
    await writer.append(object('is written', false));
    expect((await writer.readAt(dataOffset, 2))[0]).toBe(0x78);
    await expectGitAgrees(await writer.finish({ fsync: true }), algorithm);
    await writer.close();
    const listed = await git(['cat-file', '--batch-all-objects', '--batch-check'], { cwd: gitDir });
    expect(listed.trim().split('\n')).toHaveLength(2);
    await fsck(gitDir);
  });

  test('are written anew when a sync has failed, for the next would not tell', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const oid = await appendBlob(writer, algorithm, randomBytes(5000));
    failNextSync();
    await expect(writer.finish({ fsync: true })).rejects.toThrow('EIO');
    const [before] = await temporaryPacks(options.objectsDirectory);
    const { ino } = await stat(before!);
    const finished = await writer.finish({ fsync: true });
    expect((await stat(finished.packPath)).ino).not.toBe(ino);
    await expectGitAgrees(finished, algorithm);
    await writer.close();
    expect(await temporaryPacks(options.objectsDirectory)).toEqual([]);
    expect(await gitBytes(['cat-file', 'blob', oid], { cwd: gitDir })).toHaveLength(5000);
  });

  test('are refused when the disk has lost what a sync could not write', async () => {
    const { options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    await appendBlob(writer, algorithm, randomBytes(5000));
    failNextSync();
    await expect(writer.finish({ fsync: true })).rejects.toThrow('EIO');
    const [path] = await temporaryPacks(options.objectsDirectory);
    await damage(path!, 2000);
    const again = writer.finish({ fsync: true });
    await expect(again).rejects.toThrow('has not kept what was written to it');
    await writer.close();
    expect(await readdir(join(options.objectsDirectory, 'pack'))).toEqual([]);
  });

  test('are not made of what was damaged since, nor of copies of it', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const writer = new PackWriter(options.objectsDirectory, algorithm);
    const deflated = [1, 2, 3].map(() => deflateSync(randomBytes(5000)));
    const packed = await Promise.all(
      deflated.map((stream, index) =>
        writer.append({
          oid: String(index).repeat(algorithm === 'sha1' ? 40 : 64) as Oid,
          type: 'blob',
          sizeBytes: 5000,
          deflated: [stream],
        }),
      ),
    );
    const [path] = await temporaryPacks(options.objectsDirectory);
    await damage(path!, packed[1]!.dataOffset + 100);
    const copy = new PackWriter(options.objectsDirectory, algorithm);
    await copy.copyFrom(writer, [packed[0]!, packed[2]!]);
    await expect(copy.copyFrom(writer, packed)).rejects.toThrow('what was staged is damaged: 1111');
    await expect(writer.finish({ fsync: true })).rejects.toThrow(
      'what was staged is damaged: 1111',
    );
    await copy.close();
    await writer.close();
    expect(await readdir(join(options.objectsDirectory, 'pack'))).toEqual([]);
    await fsck(gitDir);
  });

  test('can be copied from, in part', async () => {
    const { gitDir, options } = await repositoryForStaging(algorithm);
    const source = new PackWriter(options.objectsDirectory, algorithm);
    const objects = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const data = randomBytes(200 * index);
        const oid = hashObject(algorithm, 'blob', data);
        const deflated = [await deflateWhole(data, 6)];
        return source.append({ oid, type: 'blob', sizeBytes: data.length, deflated });
      }),
    );
    const wanted = objects.filter((_, index) => index % 7 < 4).reverse();
    const copy = new PackWriter(options.objectsDirectory, algorithm);
    const copies = await copy.copyFrom(source, wanted);
    expect(copies.map(({ from }) => from.oid).sort()).toEqual(wanted.map(({ oid }) => oid).sort());
    await expectGitAgrees(await copy.finish({ fsync: false }), algorithm);
    await copy.close();
    await source.close();
    await fsck(gitDir);
    const listed = await git(['cat-file', '--batch-all-objects', '--batch-check'], { cwd: gitDir });
    expect(listed.trim().split('\n')).toHaveLength(wanted.length);
  });
});

describe('indexes', () => {
  async function shown(
    entries: readonly PackIndexEntry[],
    algorithm: HashAlgorithm,
  ): Promise<string> {
    const path = join(await temporaryDirectory(), 'x.idx');
    const handle = await open(path, 'wx+');
    await writePackIndex(handle, entries, Buffer.alloc(algorithm === 'sha1' ? 20 : 32), algorithm);
    await handle.close();
    const args = ['show-index', `--object-format=${algorithm}`];
    return git(args, { input: await readFile(path) });
  }

  test.each<HashAlgorithm>(['sha1', 'sha256'])('of %s packs of any size', async (algorithm) => {
    const digits = algorithm === 'sha1' ? 40 : 64;
    const offsets = [12, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 2 ** 40 + 5];
    const entries = offsets.map((offset, index): PackIndexEntry => {
      return { oid: String(9 - index).repeat(digits) as Oid, offset, crc32: 0xfffffff0 + index };
    });
    const lines = entries.map(
      ({ oid, offset, crc32 }) => `${offset} ${oid} (${crc32.toString(16)})`,
    );
    expect(await shown(entries, algorithm)).toBe(`${lines.reverse().join('\n')}\n`);
  });

  test('of many objects are written in parts', async () => {
    const entries = Array.from({ length: 50_000 }, (_, index): PackIndexEntry => {
      return { oid: randomBytes(20).toString('hex') as Oid, offset: 12 + index, crc32: index };
    });
    const sorted = entries.toSorted((a, b) => (a.oid < b.oid ? -1 : 1));
    const lines = sorted.map(({ oid, offset, crc32 }) => {
      return `${offset} ${oid} (${crc32.toString(16).padStart(8, '0')})`;
    });
    expect(await shown(entries, 'sha1')).toBe(`${lines.join('\n')}\n`);
  });
});

test('the heads of entries say how large the content is', () => {
  const sizes = fc.oneof(fc.nat(5000), fc.maxSafeNat());
  fc.assert(
    fc.property(sizes, fc.constantFrom('commit', 'tree', 'blob', 'tag'), (sizeBytes, type) => {
      const bytes = [...packEntryHeader(type, sizeBytes)];
      const number = (bytes[0]! >> 4) & 7;
      expect(number).toBe(['', 'commit', 'tree', 'blob', 'tag'].indexOf(type));
      let size = BigInt(bytes[0]! & 15);
      for (const [index, byte] of bytes.slice(1).entries()) {
        size += BigInt(byte & 0x7f) << BigInt(4 + 7 * index);
      }
      expect(size).toBe(BigInt(sizeBytes));
      expect(bytes.map((byte) => byte >= 0x80)).toEqual(bytes.map((_, i) => i < bytes.length - 1));
    }),
  );
});
