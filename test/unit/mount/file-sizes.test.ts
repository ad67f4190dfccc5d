import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { Tree } from '../../../src/git/object.ts';
import type { ObjectDatabase } from '../../../src/git/odb/object-database.ts';
import type { Oid } from '../../../src/git/oid.ts';
import { FileSizes } from '../../../src/mount/file-sizes.ts';
import { SizesFile, unknownSize } from '../../../src/mount/sizes-file.ts';
import { eventually } from '../../helpers/eventually.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';
import { TestRepository } from './helpers/repositories.ts';

let path: string;
let failures: unknown[];

function openFile({ writable = true } = {}): SizesFile {
  const onFailure = (error: unknown): void => void failures.push(error);
  return new SizesFile({ path, algorithm: 'sha1', writable, onFailure });
}

/** The id of a tree that nobody has. */
const treeOid = (digit: string): Oid => digit.repeat(40) as Oid;

async function noted(trees: Readonly<Record<string, number[]>>): Promise<void> {
  const file = openFile();
  for (const [digit, sizes] of Object.entries(trees)) {
    file.note(treeOid(digit), Uint32Array.from(sizes));
  }
  await file.keepUp();
}

async function opened(): Promise<SizesFile> {
  const file = openFile();
  await file.open();
  return file;
}

async function sizesOf(digit: string): Promise<number[] | undefined> {
  const sizes = (await opened()).sizesOf(treeOid(digit));
  return sizes && [...sizes];
}

beforeEach(async () => {
  path = join(await temporaryDirectory(), 'vost', 'sizes');
  failures = [];
});

describe('the file of sizes', () => {
  test('has what was noted, of several mounts', async () => {
    await noted({ a: [1, unknownSize, 3], b: [] });
    await noted({ c: [7] });
    expect(await sizesOf('a')).toEqual([1, unknownSize, 3]);
    expect(await sizesOf('b')).toEqual([]);
    expect(await sizesOf('c')).toEqual([7]);
    expect(await sizesOf('d')).toBeUndefined();
    expect(await readdir(dirname(path))).toEqual(['sizes']);
  });

  test('is read when it is needed, and let go of when it is not', async () => {
    await noted({ a: [1] });
    const file = await opened();
    expect(file.isReady()).toBe(true);
    expect(file.sizesOf(treeOid('a'))).toEqual(Uint32Array.of(1));
    // Asked for since the time before: it stays for another turn, and no longer.
    await file.keepUp();
    expect(file.sizesOf(treeOid('a'))).toEqual(Uint32Array.of(1));
    await file.keepUp();
    expect(file.sizesOf(treeOid('a'))).toBeUndefined();
    expect(file.isReady()).toBe(false);
  });

  test('is not waited for when it is large, and read when it was asked for often', async () => {
    await noted({ a: Array.from({ length: 100_000 }, () => 1), b: [2] });
    const file = await opened();
    for (let question = 1; question < 1000; question++) expect(file.isReady()).toBe(false);
    await nextTurn();
    expect(file.isReady()).toBe(false);
    await eventually(() => expect(file.isReady()).toBe(true));
    expect(file.sizesOf(treeOid('b'))).toEqual(Uint32Array.of(2));
  });

  test('does not take a tree for another one whose id begins alike', async () => {
    const [one, other] = [`${'a'.repeat(39)}1`, `${'a'.repeat(39)}2`] as Oid[];
    const file = openFile();
    file.note(one!, Uint32Array.of(5));
    await file.keepUp();
    expect((await opened()).sizesOf(other!)).toBeUndefined();
    expect((await opened()).sizesOf(one!)).toEqual(Uint32Array.of(5));
  });

  test('has a tree once, however often it is noted', async () => {
    const file = await opened();
    file.note(treeOid('a'), Uint32Array.of(5));
    file.note(treeOid('a'), Uint32Array.of(5));
    await file.keepUp();
    const { size } = await stat(path);
    expect(size).toBe(8 + 20 + 4 + 4 + 4);
    // It is known now to whoever asks before he notes it.
    expect(file.isReady()).toBe(true);
    expect(file.sizesOf(treeOid('a'))).toEqual(Uint32Array.of(5));
  });

  test('is not written by who only reads', async () => {
    const file = openFile({ writable: false });
    file.note(treeOid('a'), Uint32Array.of(1));
    await file.keepUp();
    expect(await sizesOf('a')).toBeUndefined();
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  test('is used up to what is damaged, which goes with the next write', async () => {
    await noted({ a: [1], b: [2], c: [3] });
    const bytes = await readFile(path);
    const recordBytes = (bytes.length - 8) / 3;
    bytes.writeUInt8(bytes.readUInt8(8 + recordBytes + 25) ^ 1, 8 + recordBytes + 25);
    await writeFile(path, bytes);
    expect(await sizesOf('a')).toEqual([1]);
    expect(await sizesOf('b')).toBeUndefined();
    expect(await sizesOf('c')).toBeUndefined();
    await noted({ d: [4] });
    expect([await sizesOf('a'), await sizesOf('d')]).toEqual([[1], [4]]);
    expect((await stat(path)).size).toBe(8 + 2 * recordBytes);
  });

  test.each([
    ['is empty', Buffer.alloc(0)],
    ['is something else', Buffer.from('something else, and longer than a signature')],
    [
      'claims a tree of four billion entries',
      Buffer.from(`VOSTSIZ1${'\xff'.repeat(30)}`, 'latin1'),
    ],
  ])('is begun anew when it %s', async (_what, content) => {
    await mkdir(dirname(path));
    await writeFile(path, content);
    expect(await sizesOf('a')).toBeUndefined();
    await noted({ a: [1] });
    expect(await sizesOf('a')).toEqual([1]);
  });

  test('is begun anew when it has grown too large', async () => {
    await noted({ a: [1] });
    await noted({ b: Array.from({ length: 4_200_000 }, () => 5) });
    expect(await sizesOf('a')).toBeUndefined();
    await noted({ c: [3] });
    expect(await sizesOf('c')).toEqual([3]);
  });

  test('loses nothing but time where it cannot be written, and says so once', async () => {
    await mkdir(dirname(path));
    await mkdir(path);
    const file = openFile();
    await file.open();
    expect(file.sizesOf(treeOid('a'))).toBeUndefined();
    file.note(treeOid('a'), Uint32Array.of(1));
    await file.keepUp();
    file.note(treeOid('b'), Uint32Array.of(1));
    await file.keepUp();
    expect(failures).toHaveLength(1);
  });
});

describe('the sizes of files', () => {
  let repository: TestRepository;
  let [oid, tree]: [Oid, Tree] = [treeOid('0'), Tree.parse(Buffer.alloc(0), 'sha1')];
  let objects: ObjectDatabase;

  /** A tree of a file of 6 bytes, a link of 4, and a directory. */
  beforeEach(async () => {
    repository = await TestRepository.create();
    oid = await repository.tree([
      `100644 blob ${await repository.blob('hello\n')}\tfile`,
      `120000 blob ${await repository.blob('file')}\tlink`,
      `040000 tree ${await repository.tree([])}\tsub`,
    ]);
    objects = await repository.openObjects();
    tree = await objects.tree(oid);
  });

  test('come from the objects at first, and from the file when all are known', async () => {
    const file = await opened();
    const sizes = new FileSizes(objects, file);
    expect(await sizes.at(oid, tree, 0)).toBe(6);
    await file.keepUp();
    expect((await opened()).sizesOf(oid)).toBeUndefined();
    expect(await sizes.at(oid, tree, 1)).toBe(4);
    await file.keepUp();
    expect((await opened()).sizesOf(oid)).toEqual(Uint32Array.of(6, 4, unknownSize));

    // Whoever asks now needs the objects no more.
    const blob = tree.oidAt(0);
    await rm(join(objects.objectsDirectory, blob.slice(0, 2)), { recursive: true });
    const [again, without] = [await repository.openObjects(), await repository.openObjects()];
    expect(await new FileSizes(again, await opened()).at(oid, await again.tree(oid), 0)).toBe(6);
    await expect(
      (async () => new FileSizes(without, undefined).at(oid, await without.tree(oid), 0))(),
    ).rejects.toThrow(blob);
  });

  test('are asked for one by one until the file was read', async () => {
    const writer = openFile();
    writer.note(oid, Uint32Array.of(7, 8, unknownSize));
    await writer.keepUp();
    const file = openFile();
    const sizes = new FileSizes(objects, file);
    expect(await sizes.at(oid, tree, 0)).toBe(6);
    await file.open();
    expect(await sizes.at(oid, tree, 0)).toBe(7);
  });

  test('are known at once the second time', async () => {
    const sizes = new FileSizes(objects, undefined);
    await sizes.at(oid, tree, 0);
    expect(sizes.at(oid, tree, 0)).toBe(6);
  });

  test('are not taken from the record of a tree with another number of entries', async () => {
    const file = openFile();
    file.note(oid, Uint32Array.of(1, 2));
    await file.keepUp();
    expect(await new FileSizes(objects, await opened()).at(oid, tree, 0)).toBe(6);
  });

  test('are none for what is no blob, and that is not remembered', async () => {
    const commit = await repository.commit(oid);
    const wrong = await repository.tree([`100644 blob ${commit}\tfile`]).catch(() => undefined);
    const raw = Buffer.concat([Buffer.from('100644 file\0'), Buffer.from(commit, 'hex')]);
    const bad = Tree.parse(raw, 'sha1');
    const file = await opened();
    const sizes = new FileSizes(objects, file);
    const ask = async (): Promise<number> => sizes.at(wrong ?? treeOid('a'), bad, 0);
    await expect(ask()).rejects.toThrow('as a file');
    await expect(ask()).rejects.toThrow('as a file');
    await file.keepUp();
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  test('are asked for again where reading them failed', async () => {
    const blob = tree.oidAt(0);
    const directory = join(objects.objectsDirectory, blob.slice(0, 2));
    const content = await readFile(join(directory, blob.slice(2)));
    await rm(directory, { recursive: true });
    const sizes = new FileSizes(objects, undefined);
    await expect((async () => sizes.at(oid, tree, 0))()).rejects.toThrow(blob);
    await mkdir(directory);
    await writeFile(join(directory, blob.slice(2)), content);
    expect(await sizes.at(oid, tree, 0)).toBe(6);
  });
});
