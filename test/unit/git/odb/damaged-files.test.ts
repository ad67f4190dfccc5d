import { readFileSync, truncateSync, writeFileSync, chmodSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CorruptObjectError, ObjectNotFoundError } from '../../../../src/errors.ts';
import { hashObject } from '../../../../src/git/object.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import { createBareRepository, openObjects, packObjects } from '../../../helpers/git-objects.ts';
import { git } from '../../../helpers/git.ts';
import { wholeEntry, writeHandmadePack } from '../../../helpers/handmade-pack.ts';

const entries = Array.from({ length: 300 }, (_, n) =>
  wholeEntry('blob', Buffer.from(`object ${n}\n`)),
);
const elsewhere = wholeEntry('blob', Buffer.from('in the other pack\n'));
const missing = hashObject('sha1', 'blob', Buffer.from('nowhere\n'));

type Damage = (path: string) => void;

function overwrite(offset: number, ...bytes: number[]): Damage {
  return (path) => {
    const content = readFileSync(path);
    Buffer.from(bytes).copy(content, offset < 0 ? content.length + offset : offset);
    writeFileSync(path, content);
  };
}

function cutTo(size: (whole: number) => number): Damage {
  return (path) => {
    truncateSync(path, size(readFileSync(path).length));
  };
}

/** Two packs, of which the first is damaged; the damage is the only difference. */
async function damagedRepository(which: 'pack' | 'index', damage: Damage): Promise<string> {
  const gitDir = await createBareRepository();
  const packs = join(gitDir, 'objects/pack');
  damage(writeHandmadePack(packs, 'damaged', entries)[which]);
  writeHandmadePack(packs, 'good', [elsewhere]);
  return gitDir;
}

const indexDamages: readonly (readonly [string, Damage])[] = [
  ['is empty', cutTo(() => 0)],
  ['ends in its header', cutTo(() => 6)],
  ['ends in its fan-out', cutTo(() => 500)],
  ['ends in its ids', cutTo(() => 3000)],
  ['has lost its last byte', cutTo((whole) => whole - 1)],
  ['has a version to come', overwrite(4, 0, 0, 0, 3)],
  ['is none at all', overwrite(0, 0x50, 0x41, 0x43, 0x4b)],
  ['has a fan-out that falls', overwrite(8 + 4 * 100, 0, 0, 1, 0)],
  ['counts more objects than it holds', overwrite(8 + 4 * 255, 0x7f, 0xff, 0xff, 0xff)],
];

const packDamages: readonly (readonly [string, Damage])[] = [
  ['is empty', cutTo(() => 0)],
  ['ends in its header', cutTo(() => 8)],
  ['has lost its second half', cutTo((whole) => Math.floor(whole / 2))],
  ['has a version to come', overwrite(4, 0, 0, 0, 4)],
  ['is none at all', overwrite(0, 0, 0, 0, 0)],
];

describe('a repository with a pack', () => {
  it.each([
    ...indexDamages.map(([name, damage]) => ['index', name, damage, false] as const),
    ...packDamages.map(([name, damage]) => ['pack', name, damage, true] as const),
    ['index', 'belongs to another pack', overwrite(-40, 1, 2, 3, 4), true] as const,
  ])('whose %s %s has damaged objects, and whole ones', async (which, _, damage, canBeSearched) => {
    const database = await openObjects(await damagedRepository(which, damage));
    for (const { oid } of entries.slice(0, 3)) {
      await expect(database.read(oid)).rejects.toThrow(CorruptObjectError);
      await expect(database.header(oid)).rejects.toThrow(CorruptObjectError);
      expect(database.readIfCached(oid)).toBeUndefined();
      expect(database.headerIfCached(oid)).toBeUndefined();
    }
    expect((await database.read(elsewhere.oid)).data).toEqual(elsewhere.data);
    expect(await database.resolvePrefix(elsewhere.oid)).toEqual([elsewhere.oid]);
    // What is not found may be in a pack that cannot be searched.
    const failure = database.header(missing);
    await expect(failure).rejects.toThrow(canBeSearched ? ObjectNotFoundError : /pack-damaged/);
  });

  it('that is repaired has them back', async () => {
    const gitDir = await damagedRepository(
      'index',
      cutTo(() => 500),
    );
    const database = await openObjects(gitDir);
    const [first] = entries;
    await expect(database.read(first!.oid)).rejects.toThrow(CorruptObjectError);
    writeHandmadePack(join(gitDir, 'objects/pack'), 'damaged', entries);
    await database.refresh();
    expect((await database.read(first!.oid)).data).toEqual(first!.data);
  });

  it('without an index, or with an index that has no pack, does not have those', async () => {
    const gitDir = await createBareRepository();
    const packs = join(gitDir, 'objects/pack');
    await rm(writeHandmadePack(packs, 'no-index', entries).index);
    await rm(writeHandmadePack(packs, 'no-pack', entries).pack);
    writeFileSync(join(packs, 'pack-.idx.tmp'), 'something else');
    const database = await openObjects(gitDir);
    await expect(database.read(entries[0]!.oid)).rejects.toThrow(ObjectNotFoundError);
  });
});

describe('an index over many packs', () => {
  /** Two packs made by git, and an index over both. */
  async function indexedRepository(): Promise<{ gitDir: string; oids: Oid[] }> {
    const gitDir = await createBareRepository();
    const oids: Oid[] = [];
    for (let n = 0; n < 20; n++) {
      const input = `content ${n}\n`;
      oids.push(
        (await git(['hash-object', '-w', '--stdin'], { cwd: gitDir, input })).trim() as Oid,
      );
    }
    await packObjects(gitDir, oids.slice(0, 10));
    await packObjects(gitDir, oids.slice(5));
    await git(['prune-packed'], { cwd: gitDir });
    await git(['multi-pack-index', 'write'], { cwd: gitDir });
    chmodSync(join(gitDir, 'objects/pack/multi-pack-index'), 0o644);
    return { gitDir, oids };
  }

  it.each<readonly [string, Damage]>([
    ['is empty', cutTo(() => 0)],
    ['ends in its header', cutTo(() => 10)],
    ['ends in its table', cutTo(() => 40)],
    ['ends in its chunks', cutTo((whole) => whole - 300)],
    ['has a version to come', overwrite(4, 2)],
    ['is for another hash', overwrite(5, 2)],
    ['has chunks out of order', overwrite(12 + 4, 0, 0, 0, 0, 0xff)],
    ['has no chunk of names', overwrite(12, 0x41)],
    ['counts more packs than it names', overwrite(8, 0, 0, 1, 0)],
  ])('that %s is passed over', async (_, damage) => {
    const { gitDir, oids } = await indexedRepository();
    damage(join(gitDir, 'objects/pack/multi-pack-index'));
    const database = await openObjects(gitDir);
    for (const [n, oid] of oids.entries()) {
      expect((await database.read(oid)).data.toString()).toBe(`content ${n}\n`);
    }
    await expect(database.read(missing)).rejects.toThrow(ObjectNotFoundError);
  });

  it('may name a pack that is gone, whose objects another one has too', async () => {
    const { gitDir, oids } = await indexedRepository();
    const packs = join(gitDir, 'objects/pack');
    for (const name of await readdir(packs)) {
      if (!name.endsWith('.idx')) continue;
      const copy = await indexedRepository();
      const stem = join(copy.gitDir, 'objects/pack', name.slice(0, -4));
      await rm(`${stem}.pack`);
      await rm(`${stem}.idx`);
      const database = await openObjects(copy.gitDir);
      for (const oid of oids.slice(5, 10)) expect(await database.header(oid)).toBeDefined();
    }
  });
});

describe('a loose object', () => {
  const content = Buffer.from('The content of a loose object.\n');
  const oid = hashObject('sha1', 'blob', content);

  async function withLooseFile(file: Buffer): Promise<string> {
    const gitDir = await createBareRepository();
    await mkdir(join(gitDir, 'objects', oid.slice(0, 2)));
    writeFileSync(join(gitDir, 'objects', oid.slice(0, 2), oid.slice(2)), file);
    return gitDir;
  }

  function loose(header: string, body = content): Buffer {
    return deflateSync(Buffer.concat([Buffer.from(header), body]));
  }

  it('is read when nothing is wrong with it', async () => {
    const database = await openObjects(await withLooseFile(loose(`blob ${content.length}\0`)));
    expect((await database.read(oid)).data).toEqual(content);
    expect(await database.has(oid)).toBe(true);
  });

  it.each<readonly [string, Buffer]>([
    ['is empty', Buffer.alloc(0)],
    ['is no zlib stream', Buffer.from('something else')],
    ['is cut off', loose(`blob ${content.length}\0`).subarray(0, -8)],
    ['has lost its checksum', loose(`blob ${content.length}\0`).subarray(0, -2)],
    ['has an unknown type', loose(`file ${content.length}\0`)],
    ['has no size', loose('blob \0')],
    ['has a size that is no decimal', loose('blob 0x10\0')],
    ['has a size with a zero in front', loose(`blob 0${content.length}\0`)],
    ['declares less than it holds', loose(`blob ${content.length - 1}\0`)],
    ['declares more than it holds', loose(`blob ${content.length + 1}\0`)],
    ['declares petabytes', loose('blob 9007199254740991\0')],
    ['is a bomb', loose(`blob ${content.length}\0`, Buffer.alloc(5_000_000))],
    ['is a large bomb', loose('blob 3000000\0', Buffer.alloc(5_000_000))],
  ])('that %s is corrupt', async (_, file) => {
    const database = await openObjects(await withLooseFile(file));
    await expect(database.read(oid)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', oid });
    await expect(
      (async () => {
        for await (const chunk of database.stream(oid)) expect(chunk.length).toBeGreaterThan(0);
      })(),
    ).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', oid });
  });
});
