import { readFileSync, statSync, utimesSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  CorruptObjectError,
  InvalidArgumentError,
  ObjectNotFoundError,
} from '../../../../src/errors.ts';
import { emptyTreeOid, hashObject, serializeTree } from '../../../../src/git/object.ts';
import type { ByteString } from '../../../../src/git/byte-string.ts';
import { modeBlob } from '../../../../src/git/mode.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import {
  createBareRepository,
  noise,
  openObjects,
  packObjects,
  revision,
  importHistory,
} from '../../../helpers/git-objects.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { fsck, git } from '../../../helpers/git.ts';

const content = Buffer.from('some content\n');
const oid = hashObject('sha1', 'blob', content);
const missing = hashObject('sha1', 'blob', Buffer.from('nowhere\n'));
let gitDir: string;

beforeEach(async () => {
  gitDir = await createBareRepository();
});

async function packOnly(...oids: Oid[]): Promise<void> {
  await packObjects(gitDir, oids);
  await git(['prune-packed', '-q'], { cwd: gitDir });
}

function manyEntries(seed: number): { name: ByteString; mode: number; oid: Oid }[] {
  return Array.from({ length: 1000 }, (_, index) => {
    return { name: `${seed} ${index}` as ByteString, mode: modeBlob, oid };
  });
}

function loosePath(of: Oid): string {
  return join(gitDir, 'objects', of.slice(0, 2), of.slice(2));
}

describe('reading', () => {
  it('answers from memory once the pages are there, and never touches the disk for it', async () => {
    const database = await openObjects(gitDir);
    const tree = serializeTree([{ name: 'a' as ByteString, mode: modeBlob, oid }], 'sha1');
    const treeOid = hashObject('sha1', 'tree', tree);
    await database.write('blob', content);
    await database.write('tree', tree);
    await packOnly(oid, treeOid);
    const cold = await openObjects(gitDir);
    expect(cold.headerIfCached(oid)).toBeUndefined();
    expect(cold.readIfCached(oid)).toBeUndefined();
    expect(cold.treeIfCached(treeOid)).toBeUndefined();
    await cold.header(oid);
    // The pack is one page, so now all of it is there.
    expect(cold.readIfCached(oid)).toEqual({ type: 'blob', data: content });
    expect(cold.headerIfCached(treeOid)).toEqual({ type: 'tree', sizeBytes: tree.length });
    expect(cold.treeIfCached(treeOid)?.oidAt(0)).toBe(oid);
    expect(cold.treeIfCached(treeOid)).toBe(await cold.tree(treeOid));
    expect(cold.treeIfCached(oid)).toBeUndefined();
    expect(cold.headerIfCached(missing)).toBeUndefined();
    expect(cold.readIfCached(missing)).toBeUndefined();
  });

  it('shares one read among those who ask at the same time', async () => {
    const large = noise(900_000, 1);
    const database = await openObjects(gitDir);
    const largeOid = await database.write('blob', large);
    const reads = await Promise.all([1, 2, 3].map(() => database.read(largeOid)));
    expect(reads[0]?.data.equals(large)).toBe(true);
    expect(new Set(reads.map(({ data }) => data)).size).toBe(1);
  });

  it('reads a tree once that is too large for the cache, for all who ask for it', async () => {
    const trees = [1, 2].map((seed) => serializeTree(manyEntries(seed), 'sha1'));
    const [first, second] = trees.map((tree) => hashObject('sha1', 'tree', tree)) as [Oid, Oid];
    const database = await openObjects(gitDir, { cacheSizeBytes: 16 * 1024 });
    for (const tree of trees) await database.write('tree', tree);
    const asked = await Promise.all(Array.from({ length: 64 }, () => database.tree(first)));
    expect(new Set(asked).size).toBe(1);
    expect(database.treeIfCached(first)).toBe(asked[0]);
    const sizeBytes = (): number =>
      database.cacheCounts().find(({ name }) => name === 'trees')!.sizeBytes;
    const one = sizeBytes();
    expect(one).toBeGreaterThan(trees[0]!.length);
    // One at a time, and as long as somebody asks for it.
    await database.tree(second);
    expect(database.treeIfCached(first)).toBeUndefined();
    expect(sizeBytes()).toBe(one);
    database.closeIdleFiles();
    expect(database.treeIfCached(second)).toBeDefined();
    database.closeIdleFiles();
    database.closeIdleFiles();
    expect(database.treeIfCached(second)).toBeUndefined();
    expect(sizeBytes()).toBe(0);
  });

  it('takes thousands of reads at once without thousands of descriptors', async () => {
    const database = await openObjects(gitDir);
    const oids: Oid[] = [];
    for (let n = 0; n < 1500; n++) oids.push(await database.write('blob', Buffer.from(`${n}`)));
    let most = 0;
    let isOver = false;
    const watch = (async () => {
      while (!isOver) most = Math.max(most, (await readdir('/proc/self/fd')).length);
    })();
    const before = (await readdir('/proc/self/fd')).length;
    const objects = await Promise.all(oids.map((wanted) => database.read(wanted)));
    isOver = true;
    await watch;
    expect(objects.map(({ data }) => Number(data))).toEqual(oids.map((_, n) => n));
    expect(most - before).toBeLessThan(300);
  });

  it('gives parts as a file would', async () => {
    const database = await openObjects(gitDir);
    await database.write('blob', content);
    expect((await database.readRange(oid, 5, 4)).toString()).toBe('cont');
    expect((await database.readRange(oid, 5, 4000)).toString()).toBe('content\n');
    expect(await database.readRange(oid, content.length, 4)).toHaveLength(0);
    expect(await database.readRange(oid, 4000, 4)).toHaveLength(0);
    expect(await database.readRange(oid, 3, 0)).toHaveLength(0);
    for (const [offset, length] of [
      [-1, 4],
      [0, -1],
      [0.5, 1],
      [0, Infinity],
      [NaN, 1],
    ] as const) {
      await expect(database.readRange(oid, offset, length)).rejects.toThrow(InvalidArgumentError);
    }
    await expect(database.readRange(missing, 0, 1)).rejects.toThrow(ObjectNotFoundError);
  });

  it('says that something has another type than expected', async () => {
    const database = await openObjects(gitDir);
    await database.write('blob', content);
    expect((await database.read(oid, 'blob')).type).toBe('blob');
    await expect(database.read(oid, 'commit')).rejects.toThrow(/is a blob, not a commit/);
    await expect(database.tree(oid)).rejects.toThrow(CorruptObjectError);
    const broken = await database.write('tree', Buffer.from('100644 cut off'));
    await expect(database.tree(broken)).rejects.toMatchObject({ oid: broken });
    expect(database.treeIfCached(broken)).toBeUndefined();
  });

  it('has the empty tree, as every git has, stored or not', async () => {
    const database = await openObjects(gitDir);
    const empty = emptyTreeOid('sha1');
    expect(await database.header(empty)).toEqual({ type: 'tree', sizeBytes: 0 });
    expect((await database.tree(empty)).size).toBe(0);
    expect((await database.read(empty)).data).toHaveLength(0);
    expect(await database.has(empty)).toBe(true);
    // Whoever wants it stored is told the truth.
    expect(await database.freshen(empty)).toBe(false);
    await database.write('tree', Buffer.alloc(0));
    expect(await database.freshen(empty)).toBe(true);
  });

  it('does not take the id of another hash function for one of its own', async () => {
    const database = await openObjects(gitDir);
    await database.write('blob', content);
    await packOnly(oid);
    const longer = `${oid}${'0'.repeat(24)}` as Oid;
    await expect(database.read(longer)).rejects.toThrow(ObjectNotFoundError);
  });

  it('finds ids by their first digits', async () => {
    const database = await openObjects(gitDir);
    const oids: Oid[] = [];
    for (let n = 0; n < 100; n++) oids.push(await database.write('blob', Buffer.from(`${n}`)));
    await packOnly(...oids.slice(0, 50));
    const area = database.stage();
    for (let n = 100; n < 120; n++) oids.push(await area.write('blob', Buffer.from(`${n}`)));
    for (const length of [1, 2, 3, 40]) {
      const prefix = oids[77]!.slice(0, length);
      const expected = oids.filter((other) => other.startsWith(prefix)).sort();
      expect(await database.resolvePrefix(prefix)).toEqual(expected);
    }
    expect(await database.resolvePrefix(missing)).toEqual([]);
    expect(await database.resolvePrefix(`${oid}00`)).toEqual([]);
    for (const prefix of ['', 'xyz', '12 ', '../..']) {
      await expect(database.resolvePrefix(prefix)).rejects.toThrow(InvalidArgumentError);
    }
  });
});

describe('writing', () => {
  it('stores one loose object, which git reads', async () => {
    const database = await openObjects(gitDir);
    expect(await database.write('blob', content)).toBe(oid);
    expect(await git(['cat-file', 'blob', oid], { cwd: gitDir })).toBe(content.toString());
    expect(await database.write('blob', content, { fsync: true })).toBe(oid);
    await fsck(gitDir);
  });

  it('does not write what a pack holds, but makes the pack look new', async () => {
    const database = await openObjects(gitDir);
    await database.write('blob', content);
    await packOnly(oid);
    await database.refresh();
    const packs = join(gitDir, 'objects/pack');
    const pack = join(
      packs,
      (await readdir(packs)).find((name) => name.endsWith('.pack'))!,
    );
    utimesSync(pack, 1000, 1000);
    expect(await database.write('blob', content)).toBe(oid);
    expect(() => statSync(loosePath(oid))).toThrow(/ENOENT/);
    expect(Date.now() - statSync(pack).mtimeMs).toBeLessThan(60_000);
  });

  it('writes again what only a cruft pack holds, for that is on its way out', async () => {
    await importHistory(gitDir, { files: 2, commits: 1 });
    const database = await openObjects(gitDir);
    await database.write('blob', content);
    await git(['-c', 'gc.cruftPacks=true', 'gc', '--quiet', '--cruft'], { cwd: gitDir });
    await database.refresh();
    expect(() => statSync(loosePath(oid))).toThrow(/ENOENT/);
    expect((await database.read(oid)).data).toEqual(content);
    expect(await database.freshen(oid)).toBe(false);
    await database.write('blob', content);
    expect(statSync(loosePath(oid)).isFile()).toBe(true);
    expect(await database.freshen(oid)).toBe(true);
    expect(await database.freshen(await revision(gitDir, 'main'))).toBe(true);
  });
});

describe('a staging area', () => {
  it('does not stage what is loose, and makes that young again', async () => {
    const database = await openObjects(gitDir);
    await database.write('blob', content);
    utimesSync(loosePath(oid), 1000, 1000);
    const area = database.stage();
    const other = await area.write('blob', Buffer.from('other'));
    expect(await area.write('blob', content)).toBe(oid);
    expect([...area.stagedOids()]).toEqual([other]);
    expect(Date.now() - statSync(loosePath(oid)).mtimeMs).toBeLessThan(60_000);
    await area.discard();
  });

  it('is read through the database until it is discarded, and git sees nothing of it', async () => {
    const database = await openObjects(gitDir);
    const area = database.stage();
    expect(await area.write('blob', content)).toBe(oid);
    expect(database.headerIfCached(oid)).toEqual({ type: 'blob', sizeBytes: content.length });
    expect(await database.has(oid)).toBe(true);
    expect((await database.readRange(oid, 5, 4)).toString()).toBe('cont');
    expect((await database.read(oid)).data).toEqual(content);
    const large = noise(3_000_000, 2);
    const largeOid = await area.write('blob', large);
    const part = await database.readRange(largeOid, 2_500_000, 1000);
    expect(part.equals(large.subarray(2_500_000, 2_501_000))).toBe(true);
    const chunks: Buffer[] = [];
    for await (const chunk of database.stream(largeOid)) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(large)).toBe(true);
    expect(await git(['count-objects'], { cwd: gitDir })).toBe('0 objects, 0 kilobytes\n');
    await area.discard();
    expect(await database.has(oid)).toBe(false);
    await expect(database.header(largeOid)).rejects.toThrow(ObjectNotFoundError);
  });

  it('is part of the repository when it is published', async () => {
    const database = await openObjects(gitDir);
    const area = database.stage();
    const oids: Oid[] = [];
    for (let n = 0; n < 100; n++) oids.push(await area.write('blob', Buffer.from(`number ${n}`)));
    await area.publish(undefined, { fsync: false });
    await area.discard();
    for (const [n, published] of oids.entries()) {
      expect((await database.read(published)).data.toString()).toBe(`number ${n}`);
    }
    await fsck(gitDir);
  });

  it('is gone when the database is closed', async () => {
    const database = await openObjects(gitDir);
    await database.stage().write('blob', content);
    await database.close();
    expect(await readdir(join(gitDir, 'objects/pack'))).toEqual([]);
  });
});

describe('a spooled file', () => {
  it('holds the content of a blob and nothing else, once all of it is there', async () => {
    const database = await openObjects(gitDir);
    const large = noise(6_000_000, 3);
    const largeOid = await database.write('blob', large);
    expect(database.spooledFile(largeOid)).toBeUndefined();
    await database.readRange(largeOid, 0, 1);
    expect(database.spooledFile(largeOid)).toBeUndefined();
    // A long jump has it spooled.
    await database.readRange(largeOid, 5_900_000, 1);
    const descriptor = await eventually(() => {
      const found = database.spooledFile(largeOid);
      if (found === undefined) throw new Error('not whole yet');
      return found;
    });
    expect(readFileSync(`/proc/self/fd/${descriptor}`).equals(large)).toBe(true);
    expect(await readdir(join(gitDir, 'objects/pack'))).toEqual([]);
    await database.close();
    expect(database.spooledFile(largeOid)).toBeUndefined();
  });
});
