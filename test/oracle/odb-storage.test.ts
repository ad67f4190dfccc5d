import { cp, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { serializeTree } from '../../src/git/object.ts';
import type { ObjectDatabase } from '../../src/git/odb/object-database.ts';
import type { HashAlgorithm } from '../../src/git/oid.ts';
import {
  allObjects,
  createBareRepository,
  importHistory,
  noise,
  openObjects,
  packObjects,
  seededRandom,
  unpackAll,
} from '../helpers/git-objects.ts';
import type { GitObject } from '../helpers/git-objects.ts';
import { fsck, git } from '../helpers/git.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

interface Storage {
  readonly name: string;
  /** Stores the objects in this way; gives the repository to be opened. */
  readonly arrange: (gitDir: string, objects: readonly GitObject[]) => Promise<string>;
}

const storages: readonly Storage[] = [
  {
    name: 'loose objects',
    arrange: async (gitDir) => {
      await unpackAll(gitDir);
      return gitDir;
    },
  },
  {
    name: 'one pack with chains of 50 deltas',
    arrange: async (gitDir) => {
      await git(['repack', '-adfq', '--depth=50', '--window=50'], { cwd: gitDir });
      return gitDir;
    },
  },
  {
    name: 'deltas that name their base by its id',
    arrange: async (gitDir) => {
      const options = ['-c', 'repack.useDeltaBaseOffset=false', '-c', 'repack.writeBitmaps=false'];
      await git([...options, 'repack', '-adfq', '--depth=50'], { cwd: gitDir });
      return gitDir;
    },
  },
  {
    name: 'an index of version 1',
    arrange: async (gitDir) => {
      await git(['-c', 'pack.indexVersion=1', 'repack', '-adfq'], { cwd: gitDir });
      return gitDir;
    },
  },
  {
    name: 'many packs',
    arrange: async (gitDir, objects) => {
      await splitIntoPacks(gitDir, objects, 25);
      return gitDir;
    },
  },
  {
    name: 'packs that git split at a size limit',
    arrange: async (gitDir) => {
      // Git takes no limit below 1 MiB, so there must be more than that which does not compress.
      for (let part = 0; part < 3; part++) {
        await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input: noise(700_000, part) });
      }
      await git(['-c', 'pack.packSizeLimit=1m', 'repack', '-adfkq'], { cwd: gitDir });
      const packs = (await readdir(join(gitDir, 'objects/pack'))).filter((name) =>
        name.endsWith('.pack'),
      );
      expect(packs.length).toBeGreaterThan(1);
      return gitDir;
    },
  },
  {
    name: 'an index over many packs',
    arrange: async (gitDir, objects) => {
      await splitIntoPacks(gitDir, objects, 12);
      await git(['multi-pack-index', 'write'], { cwd: gitDir });
      return gitDir;
    },
  },
  {
    name: 'an index over some packs, packs that are not in it, and loose objects',
    arrange: async (gitDir, objects) => {
      const third = Math.floor(objects.length / 3);
      await unpackAll(gitDir);
      await splitIntoPacks(gitDir, objects.slice(0, third), 5);
      await git(['multi-pack-index', 'write'], { cwd: gitDir });
      await splitIntoPacks(gitDir, objects.slice(third, 2 * third), 5);
      return gitDir;
    },
  },
  {
    name: 'directories that borrow from each other',
    arrange: async (gitDir, objects) => {
      const half = Math.floor(objects.length / 2);
      await unpackAll(gitDir);
      await splitIntoPacks(gitDir, objects.slice(0, half), 2);
      // The packs go to a directory that the borrowed one borrows from in turn.
      const far = await createBareRepository(algorithmOf(objects));
      await rename(join(gitDir, 'objects/pack'), join(far, 'objects/pack-of-another'));
      await mkdir(join(gitDir, 'objects/pack'));
      await rename(join(far, 'objects/pack'), join(far, 'objects/empty'));
      await rename(join(far, 'objects/pack-of-another'), join(far, 'objects/pack'));
      await writeFile(join(gitDir, 'objects/info/alternates'), `# far\n${join(far, 'objects')}\n`);
      const near = await createBareRepository(algorithmOf(objects));
      const path = `../../../${gitDir.split('/').slice(-2).join('/')}/objects`;
      await writeFile(join(near, 'objects/info/alternates'), `${path}\n`);
      return near;
    },
  },
];

describe.each<HashAlgorithm>(['sha1', 'sha256'])('a %s repository', (algorithm) => {
  let source: string;
  let objects: readonly GitObject[];

  beforeAll(async () => {
    source = await createBareRepository(algorithm);
    await importHistory(source, { files: 30, commits: 4 });
    objects = await allObjects(source);
    expect(objects.length).toBeGreaterThan(50);
  });

  it.each(storages)('of $name reads as git reads it', async ({ arrange }) => {
    const copy = join(await temporaryDirectory(), 'repository.git');
    await cp(source, copy, { recursive: true });
    const gitDir = await arrange(copy, objects);
    await fsck(gitDir);
    const database = await openObjects(gitDir, { algorithm });
    await expectSameContent(database, objects);
    await expectSameNames(database, objects);
    // With hardly any memory everything is read again and again, and comes out the same.
    const small = await openObjects(gitDir, { algorithm, cacheSizeBytes: 64 * 1024 });
    await expectSameContent(small, objects);
  });
});

/** Every object has to come out as git has it, by each way that there is to read it. */
async function expectSameContent(
  database: ObjectDatabase,
  objects: readonly GitObject[],
): Promise<void> {
  const random = seededRandom(5);
  for (const { oid, type, data } of objects) {
    expect(await database.header(oid)).toEqual({ type, sizeBytes: data.length });
    const offset = Math.floor(random() * data.length);
    const length = Math.floor(random() * data.length);
    expectBytes(
      await database.readRange(oid, offset, length),
      data.subarray(offset, offset + length),
    );
    expectBytes((await database.read(oid, type)).data, data);
    if (type === 'tree') {
      const tree = await database.tree(oid);
      expectBytes(serializeTree(tree, database.algorithm), data);
    }
    expect(database.headerIfCached(oid)).toEqual({ type, sizeBytes: data.length });
  }
}

async function expectSameNames(
  database: ObjectDatabase,
  objects: readonly GitObject[],
): Promise<void> {
  for (const { oid, data } of objects.filter((_, index) => index % 10 === 0)) {
    const chunks: Buffer[] = [];
    for await (const chunk of database.stream(oid)) chunks.push(chunk);
    expectBytes(Buffer.concat(chunks), data);
    expect(await database.has(oid)).toBe(true);
    const prefix = oid.slice(0, 4);
    const found = objects.filter((other) => other.oid.startsWith(prefix));
    expect(await database.resolvePrefix(prefix)).toEqual(found.map((other) => other.oid).sort());
    expect(await database.resolvePrefix(oid.toUpperCase())).toEqual([oid]);
  }
}

/** A comparison that says little when it fails, for a difference of megabytes says nothing. */
function expectBytes(actual: Buffer, expected: Buffer): void {
  expect(actual.length).toBe(expected.length);
  expect(actual.equals(expected)).toBe(true);
}

async function splitIntoPacks(
  gitDir: string,
  objects: readonly GitObject[],
  count: number,
): Promise<void> {
  await unpackAll(gitDir);
  for (let index = 0; index < count; index++) {
    const part = objects.filter((_, at) => at % count === index);
    await packObjects(
      gitDir,
      part.map(({ oid }) => oid),
    );
  }
  await git(['prune-packed', '-q'], { cwd: gitDir });
}

function algorithmOf([object]: readonly GitObject[]): HashAlgorithm {
  return object?.oid.length === 64 ? 'sha256' : 'sha1';
}
