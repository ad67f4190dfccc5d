import { constants } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ObjectDatabase } from '../../../src/git/odb/object-database.ts';
import type { Oid } from '../../../src/git/oid.ts';
import { openCommit } from '../../../src/mount/snapshot-nodes.ts';
import { forever, rootIno } from '../../../src/mount/vfs/operations.ts';
import type { MaybePromise } from '../../../src/mount/vfs/operations.ts';
import { MemorySink, caller, name, newContext } from './helpers/fake-nodes.ts';
import { Mounted } from './helpers/mounted.ts';
import { TestRepository } from './helpers/repositories.ts';

const [EIO, EROFS, ENAMETOOLONG, ENXIO, EBADF] = [5, 30, 36, 6, 9];

let repository: TestRepository;
let big: Buffer;

/** A mount of one commit. */
async function mount(
  commit: Oid,
  options: { immutable?: boolean; odb?: ObjectDatabase } = {},
): Promise<Mounted> {
  const context = newContext();
  const odb = options.odb ?? (await repository.openObjects());
  const root = await openCommit(context, odb, commit, { ino: rootIno, parent: null });
  return new Mounted(context, root, { immutable: options.immutable ?? false });
}

function now<T>(answer: MaybePromise<T>): T {
  expect(answer).not.toBeInstanceOf(Promise);
  return answer as T;
}

beforeEach(async () => {
  repository = await TestRepository.create();
});

/** A tree with one of everything. */
async function fullTree(): Promise<Oid> {
  big = Buffer.alloc(3_000_000);
  for (let offset = 0; offset < big.length; offset += 4) big.writeUInt32LE(offset, offset);
  const [text, link, large] = [
    await repository.blob('hello world\n'),
    await repository.blob('dir/inner'),
    await repository.blob(big),
  ];
  const inner = await repository.tree([`100644 blob ${text}\tinner`]);
  const dir = await repository.tree([
    `100644 blob ${text}\tinner`,
    `040000 tree ${inner}\tdeeper`,
    `160000 commit ${'1'.repeat(40)}\tsubmodule`,
  ]);
  return repository.tree([
    `040000 tree ${dir}\tdir`,
    `040000 tree ${await repository.tree([])}\tempty`,
    `100644 blob ${text}\tfile`,
    `100644 blob ${await repository.blob('')}\tnothing`,
    `100755 blob ${text}\tscript`,
    `120000 blob ${link}\tlink`,
    `100644 blob ${large}\tbig`,
  ]);
}

describe('a snapshot', () => {
  it('shows types, sizes, modes, owners, times and link counts', async () => {
    const mounted = await mount(await repository.commit(await fullTree()));
    const time = { sec: 1_700_000_000, nsec: 0 };
    const common = { uid: 1000, gid: 100, mtime: time, ctime: time, atime: time, rdev: 0 };
    const expected = {
      dir: { mode: 0o040755, nlink: 4 },
      empty: { mode: 0o040755, nlink: 2 },
      file: { mode: 0o100644, nlink: 1, size: 12, blocks: 1 },
      nothing: { mode: 0o100644, nlink: 1, size: 0, blocks: 0 },
      script: { mode: 0o100755, nlink: 1, size: 12 },
      link: { mode: 0o120777, nlink: 1, size: 9 },
      big: { mode: 0o100644, size: 3_000_000, blocks: 5860 },
      'dir/deeper': { mode: 0o040755, nlink: 2 },
      'dir/submodule': { mode: 0o040755, nlink: 2 },
    };
    for (const [path, attr] of Object.entries(expected)) {
      expect(await mounted.stat(path), path).toMatchObject({ ...common, ...attr });
    }
    expect(now(mounted.vfs.getattr(rootIno, undefined)).attr).toMatchObject({ nlink: 4 });
    expect((await mounted.ls()).sort()).toEqual(
      ['big', 'dir', 'empty', 'file', 'link', 'nothing', 'script'].sort(),
    );
    expect(await mounted.ls('dir/submodule')).toEqual([]);
    expect(await mounted.find('dir/submodule/x')).toBeNull();
    expect(await mounted.find('dir/nothing')).toBeNull();
  });

  it('reads files, whole and in parts, and links', async () => {
    const mounted = await mount(await repository.commit(await fullTree()));
    expect((await mounted.read('file')).toString()).toBe('hello world\n');
    expect(await mounted.read('nothing')).toHaveLength(0);
    expect((await mounted.read('big')).equals(big)).toBe(true);
    expect(await mounted.vfs.readlink(await mounted.get('link'))).toBe('dir/inner');
    const ino = await mounted.get('big');
    const { fh } = await mounted.vfs.open(ino, 0, caller);
    for (const [offset, size] of [
      [2_999_990, 4096],
      [17, 1],
      [1_500_000, 131_072],
      [3_000_000, 10],
      [4_000_000, 10],
    ] as const) {
      const part = await mounted.vfs.read(ino, fh, offset, size);
      expect(big.subarray(offset, offset + size).equals(part)).toBe(true);
    }
  });

  it('gives readdir, stat and every later lookup the same inode numbers', async () => {
    const mounted = await mount(await repository.commit(await fullTree()));
    const { names, inos } = await mounted.list();
    expect(new Set(inos).size).toBe(names.length);
    for (const [index, entry] of names.entries()) {
      expect((await mounted.stat(entry)).ino).toBe(inos[index]);
    }
    for (const path of ['file', 'link', 'dir', 'dir/submodule']) {
      const ino = await mounted.get(path);
      expect(await mounted.get(path)).toBe(ino);
      expect(mounted.context.inodes.get(ino)?.ino, path).toBe(ino);
      mounted.vfs.forget(ino, 100);
      expect(mounted.context.inodes.get(ino), path).toBeUndefined();
    }
    expect((await mounted.list()).inos).toEqual(inos);
  });

  it('knows each inode for as long as the kernel does, whatever it is', async () => {
    const mounted = await mount(await repository.commit(await fullTree()));
    const { vfs } = mounted;
    const before = vfs.counts().inodes;
    const [file, link, dir] = [
      await mounted.get('file'),
      await mounted.get('link'),
      await mounted.get('dir'),
    ];
    expect(vfs.counts().inodes).toBe(before + 3);
    await mounted.get('file');
    vfs.forget(file, 1);
    const { fh } = await vfs.open(file, 0, caller);
    vfs.forget(file, 1);
    expect(Buffer.from(await vfs.read(file, fh, 0, 5)).toString()).toBe('hello');
    expect((await vfs.getattr(file, fh)).attr.size).toBe(12);
    expect(await vfs.readlink(link)).toBe('dir/inner');
    await vfs.release(file, fh);
    vfs.forget(link, 1);
    vfs.forget(dir, 1);
    expect(vfs.counts().inodes).toBe(before);
    for (const ino of [file, link, dir]) {
      expect(await mounted.errnoOf(() => vfs.getattr(ino, undefined))).toBe(116);
    }
  });

  it('answers at once what is in memory', async () => {
    const mounted = await mount(await repository.commit(await fullTree()));
    await mounted.read('file');
    await mounted.stat('dir/inner');
    await mounted.vfs.readlink(await mounted.get('link'));
    const { vfs } = mounted;
    const dir = now(vfs.lookup(rootIno, name('dir'), caller)).attr!.ino;
    expect(now(vfs.lookup(dir, name('inner'), caller)).attr).toMatchObject({ size: 12 });
    expect(now(vfs.lookup(dir, name('missing'), caller)).attr).toBeNull();
    const file = now(vfs.lookup(rootIno, name('file'), caller)).attr!.ino;
    expect(now(vfs.getattr(file, undefined)).attr.size).toBe(12);
    const { fh } = now(vfs.open(file, 0, caller));
    expect(Buffer.from(now(vfs.read(file, fh, 6, 5))).toString()).toBe('world');
    now(vfs.release(file, fh));
    expect(now(vfs.readlink(await mounted.get('link')))).toBe('dir/inner');
    const listing = now(vfs.opendir(dir));
    await vfs.readdir(dir, listing.fh, 0, true, new MemorySink());
    const sink = new MemorySink();
    now(vfs.readdir(dir, listing.fh, 0, true, sink));
    expect(sink.plus.map((entry) => entry.name)).toEqual(['deeper', 'inner', 'submodule']);
  });

  it('lets the kernel keep everything', async () => {
    const mounted = await mount(await repository.commit(await fullTree()));
    const entry = await mounted.vfs.lookup(rootIno, name('file'), caller);
    expect(entry).toMatchObject({ entryValidSec: forever, attrValidSec: forever });
    const missing = await mounted.vfs.lookup(rootIno, name('missing'), caller);
    expect(missing).toMatchObject({ attr: null, entryValidSec: forever });
    expect(now(mounted.vfs.opendir(rootIno))).toMatchObject({
      keepCache: true,
      cacheDirectory: true,
    });
    const open = await mounted.vfs.open(entry.attr!.ino, 0, caller);
    expect(open).toMatchObject({ keepCache: true, noFlush: true, directIo: false });
  });

  it('can be the whole of an immutable mount, without handles', async () => {
    const mounted = await mount(await repository.commit(await fullTree()), { immutable: true });
    const ino = await mounted.get('file');
    expect(Buffer.from(await mounted.vfs.read(ino, undefined, 6, 100)).toString()).toBe('world\n');
    const sink = new MemorySink();
    await mounted.vfs.readdir(await mounted.get('dir'), undefined, 2, false, sink);
    expect(sink.names).toEqual(['deeper', 'inner', 'submodule']);
  });

  it('takes no change', async () => {
    const mounted = await mount(await repository.commit(await fullTree()));
    const { vfs } = mounted;
    const file = await mounted.get('file');
    const dir = await mounted.get('dir');
    const submodule = await mounted.get('dir/submodule');
    const attempts = [
      ...[rootIno, dir, submodule].flatMap((ino) => [
        () => vfs.mkdir(ino, name('n'), 0o755, caller),
        () => vfs.create(ino, name('n'), 0o644, 0, caller),
        () => vfs.tmpfile(ino, 0o644, 2, caller),
        () => vfs.symlink(ino, name('n'), name('t'), caller),
        () => vfs.mknod(ino, name('n'), 0o100644, 0, caller),
        () => vfs.link(file, ino, name('n')),
        () => vfs.unlink(ino, name('file')),
        () => vfs.rmdir(ino, name('empty')),
        () => vfs.rename(ino, name('file'), ino, name('n'), 0),
      ]),
      ...[file, dir, await mounted.get('link')].flatMap((ino) => [
        () => vfs.setattr(ino, { mode: 0o600 }, undefined, caller),
        () => vfs.setxattr(ino, name('user.a'), Buffer.from('b'), 0),
        () => vfs.access(ino, 2, caller),
      ]),
      () => vfs.open(file, constants.O_WRONLY, caller),
      () => vfs.open(file, constants.O_RDWR, caller),
      () => vfs.open(file, constants.O_RDONLY | constants.O_TRUNC, caller),
    ];
    for (const attempt of attempts) expect(await mounted.errnoOf(attempt)).toBe(EROFS);
    const { fh } = await vfs.open(file, 0, caller);
    expect(await mounted.errnoOf(() => vfs.write(file, fh, 0, Buffer.from('x')))).toBe(EBADF);
    expect(await vfs.lseek(file, fh, 5, 3)).toBe(5);
    expect(await vfs.lseek(file, fh, 5, 4)).toBe(12);
    expect(await mounted.errnoOf(() => vfs.lseek(file, fh, 12, 3))).toBe(ENXIO);
  });

  it('tells commit and hash as extended attributes', async () => {
    const commit = await repository.commit(await fullTree());
    const context = newContext();
    const root = await openCommit(context, repository.odb, commit, { ino: rootIno, parent: null });
    const mounted = new Mounted(context, root, { xattrs: true });
    const get = async (path: string, attribute: string) =>
      Buffer.from(
        await mounted.vfs.getxattr(await mounted.get(path), name(`user.vost.${attribute}`)),
      ).toString();
    const names = ['user.vost.oid', 'user.vost.commit'];
    for (const path of ['file', 'link', 'dir', 'dir/submodule']) {
      expect(await mounted.vfs.listxattr(await mounted.get(path))).toEqual(names);
      const oid = await repository.git(['rev-parse', `${commit}:${path}`]);
      expect(await get(path, 'oid')).toBe(oid);
      expect(await get(path, 'commit')).toBe(commit);
      expect(await mounted.errnoOf(() => get(path, 'ref'))).toBe(61);
    }
  });

  it('shows every name that git can hold, as bytes', async () => {
    const blob = await repository.blob('x');
    const raw = ['\xff\xfe', 'a\nb', 'gr\xc3\xbc\xc3\x9fe', ' ', '"', 'x'.repeat(255)].sort();
    const entries = raw.map((entry) =>
      Buffer.concat([Buffer.from(`100644 ${entry}\0`, 'latin1'), Buffer.from(blob, 'hex')]),
    );
    const tree = await repository.object('tree', Buffer.concat(entries));
    const mounted = await mount(await repository.commit(tree));
    expect(await mounted.ls()).toEqual(raw);
    for (const entry of raw) expect((await mounted.stat(entry)).size).toBe(1);
  });

  it('shows old modes as git does today', async () => {
    const blob = await repository.blob('x');
    const entry = (mode: string, entryName: string) =>
      Buffer.concat([Buffer.from(`${mode} ${entryName}\0`), Buffer.from(blob, 'hex')]);
    const raw = Buffer.concat([entry('100664', 'a'), entry('100775', 'b')]);
    const mounted = await mount(await repository.commit(await repository.object('tree', raw)));
    expect((await mounted.stat('a')).mode).toBe(0o100644);
    expect((await mounted.stat('b')).mode).toBe(0o100755);
  });

  it('does not show names that are too long for the mount, and says so', async () => {
    const blob = await repository.blob('x');
    const tree = await repository.tree([
      `100644 blob ${blob}\t${'x'.repeat(256)}`,
      `100644 blob ${blob}\tshort`,
    ]);
    const mounted = await mount(await repository.commit(tree));
    expect(await mounted.ls()).toEqual(['short']);
    expect(await mounted.errnoOf(() => mounted.find('x'.repeat(256)))).toBe(ENAMETOOLONG);
    expect(mounted.lines.join('')).toContain('name-too-long');
  });
});

describe('damage', () => {
  async function overwrite(oid: string, bytes: Uint8Array): Promise<void> {
    const path = join(repository.gitDir, 'objects', oid.slice(0, 2), oid.slice(2));
    await chmod(path, 0o644);
    await writeFile(path, bytes);
  }

  it('of a blob is EIO for its file alone, told once with its hash', async () => {
    const good = await repository.blob('good');
    const bad = await repository.blob('bad');
    const tree = await repository.tree([
      `100644 blob ${bad}\tbad`,
      `100644 blob ${good}\tgood`,
      `100644 blob ${'2'.repeat(40)}\tmissing`,
      `120000 blob ${bad}\tlink`,
    ]);
    const commit = await repository.commit(tree);
    await overwrite(bad, Buffer.from('not zlib'));
    const mounted = await mount(commit);
    const sink = await mounted.list(rootIno, true);
    expect(sink.names).toEqual(['bad', 'good', 'link', 'missing']);
    expect(sink.plus.map((entry) => entry.name)).toEqual(['good']);
    expect((await mounted.read('good')).toString()).toBe('good');
    for (const path of ['bad', 'link', 'missing', 'bad']) {
      expect(await mounted.errnoOf(() => mounted.find(path)), path).toBe(EIO);
    }
    const told = (oid: string) => mounted.lines.filter((line) => line.includes(oid)).length;
    expect([told(bad), told('2'.repeat(40))]).toEqual([1, 1]);
    expect(mounted.lines).toHaveLength(2);
  });

  it('of a blob whose size can still be read is found by the read', async () => {
    const bad = await repository.blob('0123456789'.repeat(100));
    const commit = await repository.commit(await repository.tree([`100644 blob ${bad}\tbad`]));
    const path = join(repository.gitDir, 'objects', bad.slice(0, 2), bad.slice(2));
    const bytes = await readFile(path);
    await overwrite(bad, bytes.subarray(0, bytes.length - 6));
    const mounted = await mount(commit);
    expect((await mounted.stat('bad')).size).toBe(1000);
    expect(await mounted.errnoOf(() => mounted.read('bad'))).toBe(EIO);
    expect(mounted.lines[0]).toContain(bad);
  });

  it('of a tree is EIO for that directory, and nothing beside it', async () => {
    const blob = await repository.blob('x');
    const withDots = Buffer.concat([Buffer.from('100644 ..\0'), Buffer.from(blob, 'hex')]);
    const evil = await repository.object('tree', withDots);
    const cut = await repository.object('tree', Buffer.from('100644 name\0abc'));
    const slash = await repository.object(
      'tree',
      Buffer.concat([Buffer.from('100644 a/b\0'), Buffer.from(blob, 'hex')]),
    );
    const lines = [
      `040000 tree ${evil}\tdots`,
      `040000 tree ${cut}\tcut`,
      `040000 tree ${slash}\tslash`,
      `040000 tree ${blob}\tblob`,
      `100644 blob ${blob}\tgood`,
      `040000 tree ${'3'.repeat(40)}\tmissing`,
    ].map((line) => {
      const [head, entryName] = line.split('\t') as [string, string];
      const [mode, , oid] = head.split(' ') as [string, string, string];
      const octal = mode.replace(/^0/, '');
      return { entryName, raw: [Buffer.from(`${octal} ${entryName}\0`), Buffer.from(oid, 'hex')] };
    });
    const key = ({ entryName }: { entryName: string }) =>
      entryName === 'good' ? entryName : `${entryName}/`;
    lines.sort((a, b) => (key(a) < key(b) ? -1 : 1));
    const root = await repository.object('tree', Buffer.concat(lines.flatMap(({ raw }) => raw)));
    const mounted = await mount(await repository.commit(root));
    expect(await mounted.ls()).toEqual(['blob', 'cut', 'dots', 'good', 'missing', 'slash']);
    const plus = await mounted.list(rootIno, true);
    expect(plus.names).toHaveLength(6);
    expect(plus.plus.map((entry) => entry.name)).toEqual(['good']);
    for (const path of ['dots', 'cut', 'slash', 'blob', 'missing']) {
      expect(await mounted.errnoOf(() => mounted.find(path)), path).toBe(EIO);
    }
    expect((await mounted.read('good')).toString()).toBe('x');
    expect(mounted.lines.every((line) => line.includes('damaged-object'))).toBe(true);
  });

  it('of a link is no target: too long to follow, or no blob', async () => {
    const long = await repository.blob('x'.repeat(5000));
    const root = await repository.tree([
      `120000 blob ${long}\tlong`,
      `120000 blob ${await repository.blob('')}\tempty`,
    ]);
    const mounted = await mount(await repository.commit(root));
    const readlink = async (path: string) => mounted.vfs.readlink(await mounted.get(path));
    expect(await mounted.errnoOf(() => readlink('long'))).toBe(ENAMETOOLONG);
    expect(await readlink('empty')).toBe('');
  });

  it('can be anything: no bytes in a tree bring the mount down', async () => {
    const blob = await repository.blob('x');
    const tree = await repository.tree([`100644 blob ${blob}\ta`, `100644 blob ${blob}\tb`]);
    const { data } = await repository.odb.read(tree, 'tree');
    let seed = 12345;
    const random = (limit: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % limit;
    };
    for (let round = 0; round < 60; round++) {
      const bytes = Buffer.from(data);
      for (let change = 0; change <= random(3); change++) bytes[random(bytes.length)] = random(256);
      const cut = random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
      const path = await repository.odb.write('tree', cut);
      const mounted = await mount(await repository.odb.write('commit', commitOf(path)));
      const errno = await mounted.errnoOf(async () => {
        for (const entry of (await mounted.list(rootIno, true)).names) await mounted.find(entry);
      });
      expect([0, EIO]).toContain(errno);
      expect(mounted.lines.filter((line) => line.includes('unexpected'))).toEqual([]);
    }
  });
});

function commitOf(tree: Oid): Buffer {
  const who = 'A <a@example.com> 1700000000 +0000';
  return Buffer.from(`tree ${tree}\nauthor ${who}\ncommitter ${who}\n\nhostile\n`);
}

describe('the memory of a walk', () => {
  it('is a few bytes for each file', async () => {
    const blob = await repository.blob('x');
    const files = Array.from({ length: 1000 }, (_, index) => `100644 blob ${blob}\tfile-${index}`);
    const dir = await repository.tree(files);
    const dirs = Array.from({ length: 200 }, (_, index) => `040000 tree ${dir}\tdir-${index}`);
    const commit = await repository.commit(await repository.tree(dirs));
    const mounted = await mount(commit);
    const before = heapBytes();
    for (const entry of (await mounted.list()).names) {
      const sink = await mounted.list(await mounted.get(entry), true);
      expect(sink.plus).toHaveLength(1000);
    }
    expect(mounted.vfs.counts().inodes).toBe(200_201);
    const perFile = (heapBytes() - before) / 200_000;
    expect(perFile).toBeLessThan(20);
  });
});

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}
