import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { ObjectNotFoundError } from '../../src/errors.ts';
import { hashObject } from '../../src/git/object.ts';
import type { Oid } from '../../src/git/oid.ts';
import {
  allObjects,
  createBareRepository,
  importHistory,
  openObjects,
  packObjects,
  seededRandom,
  text,
  unpackAll,
} from '../helpers/git-objects.ts';
import type { GitObject } from '../helpers/git-objects.ts';
import { fsck, git } from '../helpers/git.ts';

const content = Buffer.from('written by git, after we have looked\n');
const oid = hashObject('sha1', 'blob', content);

async function hashObjectWithGit(gitDir: string, input: Buffer): Promise<Oid> {
  return (await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input })).trim() as Oid;
}

describe('an open database', () => {
  let gitDir: string;

  beforeEach(async () => {
    gitDir = await createBareRepository();
  });

  it('finds what git writes later, loose or in a pack', async () => {
    const database = await openObjects(gitDir);
    await expect(database.read(oid)).rejects.toThrow(ObjectNotFoundError);
    expect(await database.has(oid)).toBe(false);
    await hashObjectWithGit(gitDir, content);
    expect((await database.read(oid)).data).toEqual(content);
    await packObjects(gitDir, [oid]);
    await git(['prune-packed'], { cwd: gitDir });
    const other = await openObjects(gitDir);
    expect((await other.read(oid)).data).toEqual(content);
    expect(await database.has(oid)).toBe(true);
  });

  it('finds what moved to another pack, or out of all packs, since it looked', async () => {
    await importHistory(gitDir, { files: 10, commits: 3 });
    const objects = await allObjects(gitDir);
    const moves = [
      () => git(['repack', '-adfq'], { cwd: gitDir }),
      () => unpackAll(gitDir),
      () => git(['repack', '-adq', '--depth=5'], { cwd: gitDir }),
      async () => {
        await packObjects(
          gitDir,
          objects.slice(0, 9).map((object) => object.oid),
        );
        await git(['multi-pack-index', 'write'], { cwd: gitDir });
      },
      () => git(['repack', '-adfq', '--depth=3'], { cwd: gitDir }),
      () => git(['multi-pack-index', 'write'], { cwd: gitDir }),
      () => rm(join(gitDir, 'objects/pack/multi-pack-index')),
    ];
    for (const move of moves) {
      const untouched = await openObjects(gitDir);
      const warm = await openObjects(gitDir, { cacheSizeBytes: 64 * 1024 });
      for (const object of objects) await warm.header(object.oid);
      await move();
      for (const database of [untouched, warm]) await expectAll(database, objects);
    }
    await fsck(gitDir);
  });

  it('tells what is pruned from what is there, whatever it remembers', async () => {
    await importHistory(gitDir, { files: 5, commits: 2 });
    await hashObjectWithGit(gitDir, content);
    await packObjects(gitDir, [oid]);
    await git(['prune-packed'], { cwd: gitDir });
    const database = await openObjects(gitDir);
    expect((await database.read(oid)).data).toEqual(content);
    expect(await database.has(oid)).toBe(true);
    expect(await database.freshen(oid)).toBe(true);
    await git(['gc', '--quiet', '--prune=now'], { cwd: gitDir });
    expect(await database.has(oid)).toBe(false);
    expect(await database.freshen(oid)).toBe(false);
    // Whoever has it open goes on reading what was read before.
    expect((await database.read(oid)).data).toEqual(content);
    expect(await database.write('blob', content)).toBe(oid);
    expect(await database.has(oid)).toBe(true);
    await fsck(gitDir);
  });

  it('reads every object while git packs, repacks and prunes', { timeout: 60_000 }, async () => {
    await importHistory(gitDir, { files: 15, commits: 4 });
    const objects = await allObjects(gitDir);
    const database = await openObjects(gitDir, { cacheSizeBytes: 256 * 1024 });
    let isOver = false;
    let reads = 0;
    const reader = async (seed: number): Promise<void> => {
      const random = seededRandom(seed);
      while (!isOver) {
        const object = objects[Math.floor(random() * objects.length)]!;
        const { data } = await database.read(object.oid);
        expect(data.equals(object.data)).toBe(true);
        const { sizeBytes } = await database.header(object.oid);
        expect(sizeBytes).toBe(object.data.length);
        reads += 1;
      }
    };
    const readers = Promise.all([1, 2, 3, 4].map(reader));
    const commands = [
      ['gc', '--quiet', '--prune=now'],
      ['repack', '-adfq', '--depth=2'],
      ['multi-pack-index', 'write'],
      ['repack', '-Adfq', '--depth=10'],
      ['repack', '-adq', '--write-midx'],
    ];
    try {
      for (let round = 0; round < 3; round++) {
        for (const command of commands) {
          // Without something new there would be nothing to pack, and the packs keep their names.
          await hashObjectWithGit(gitDir, text(100, 1000 * round + reads));
          await git(command, { cwd: gitDir });
        }
      }
    } finally {
      isOver = true;
    }
    await readers;
    expect(reads).toBeGreaterThan(100);
    await fsck(gitDir);
  });
});

async function expectAll(
  database: Awaited<ReturnType<typeof openObjects>>,
  objects: readonly GitObject[],
): Promise<void> {
  for (const object of objects) {
    const { type, data } = await database.read(object.oid);
    expect(type).toBe(object.type);
    expect(data.equals(object.data)).toBe(true);
  }
}
