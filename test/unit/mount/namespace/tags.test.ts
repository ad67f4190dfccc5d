import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Oid } from '../../../../src/git/oid.ts';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import { forever, rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { AttrReply } from '../../../../src/mount/vfs/operations.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { MountedNamespace } from '../helpers/mounted.ts';
import { TestRepository } from '../helpers/repositories.ts';

const EIO = 5;

let repository: TestRepository;
let first: Oid;
let second: Oid;

async function treeOf(content: string): Promise<Oid> {
  return repository.tree([`100644 blob ${await repository.blob(content)}\tfile`]);
}

beforeEach(async () => {
  repository = await TestRepository.create();
  first = await repository.commit(await treeOf('first'));
  second = await repository.commit(await treeOf('second'));
  await repository.git(['tag', 'light', first]);
  await repository.git(['tag', '-a', '-m', 'annotated', 'v1.0', first]);
  await repository.git(['tag', '-a', '-m', 'of a tag', 'of-tag', 'v1.0']);
  await repository.git(['tag', '-a', '-m', 'nested', 'release/2.0', second]);
  await repository.git(['tag', 'tree', await treeOf('in a tree')]);
  await repository.git(['tag', '-a', '-m', 'of a tree', 'old-tree', await treeOf('old')]);
  await repository.git(['tag', 'blob', await repository.blob('a blob')]);
  await repository.git(['tag', '-a', '-m', 'of a blob', 'key', await repository.blob('key')]);
});

const shown = ['light', 'of-tag', 'old-tree', 'release', 'tree', 'v1.0'];

describe.each(['loose', 'packed'])('tags, %s', (kind) => {
  beforeEach(async () => {
    if (kind === 'packed') await repository.git(['pack-refs', '--all']);
  });

  it('are the snapshots that they lead to, and those of blobs are not there', async () => {
    const mounted = await MountedNamespace.open(repository);
    expect((await mounted.ls('.tags')).sort()).toEqual(shown);
    expect(await mounted.ls('.tags/release')).toEqual(['2.0']);
    const contents = { light: 'first', 'v1.0': 'first', 'of-tag': 'first', tree: 'in a tree' };
    for (const [tag, content] of Object.entries({ ...contents, 'release/2.0': 'second' })) {
      expect((await mounted.read(`.tags/${tag}/file`)).toString(), tag).toBe(content);
    }
    expect(await mounted.find('.tags/blob')).toBeNull();
    expect(await mounted.find('.tags/key')).toBeNull();
    expect(await mounted.find('.tags/none')).toBeNull();
    expect((await mounted.directory('.tags/light')).parent.ino).toBe(await mounted.get('.tags'));
    expect((await mounted.stat('.tags/v1.0/file')).mtime.sec).toBe(1_700_000_000);
    expect((await mounted.stat('.tags/old-tree')).mtime.sec).toBe(1_700_000_000);
    expect((await mounted.stat('.tags/tree')).mtime.sec).toBe(0);
    expect((await mounted.stat('.commits')).nlink).toBe(1);
    expect((await mounted.stat('.tags')).nlink).toBe(2 + shown.length);
  });

  it('are told by name in an extended attribute', async () => {
    const mounted = await MountedNamespace.open(repository);
    for (const [path, ref] of [
      ['.tags/release/2.0/file', 'refs/tags/release/2.0'],
      ['.tags/tree', 'refs/tags/tree'],
    ] as const) {
      const node = mounted.context.inodes.get(await mounted.get(path));
      expect(node!.listxattr()).toContain('user.vost.ref');
      expect(Buffer.from(await node!.getxattr(name('user.vost.ref'))).toString()).toBe(ref);
    }
  });

  it('are counted for good only when it is known of each whether it is shown', async () => {
    const mounted = await MountedNamespace.open(repository);
    const attr = (): Promise<AttrReply> | AttrReply => mounted.vfs.getattr(tags, undefined);
    const tags = await mounted.get('.tags');
    expect((await attr()).attrValidSec).toBe(0);
    await mounted.ls('.tags');
    expect(await attr()).toMatchObject({
      attr: { nlink: 2 + shown.length },
      attrValidSec: forever,
    });
    await repository.git(['tag', 'another', await repository.blob('a blob')]);
    await mounted.namespace.refsChanged([parseRefName('refs/tags/another')]);
    expect((await attr()).attrValidSec).toBe(0);
    expect(await mounted.find('.tags/another')).toBeNull();
    expect(await attr()).toMatchObject({
      attr: { nlink: 2 + shown.length },
      attrValidSec: forever,
    });
  });

  it('are answered at once when they are known', async () => {
    const mounted = await MountedNamespace.open(repository);
    await mounted.ls('.tags');
    await mounted.get('.tags/light');
    const tags = await mounted.get('.tags');
    expect(mounted.vfs.lookup(tags, name('light'), caller)).not.toBeInstanceOf(Promise);
    expect(mounted.vfs.lookup(tags, name('none'), caller)).not.toBeInstanceOf(Promise);
    expect(mounted.vfs.lookup(tags, name('key'), caller)).not.toBeInstanceOf(Promise);
  });
});

it('follow what others do to them', async () => {
  const mounted = await MountedNamespace.open(repository);
  const before = await mounted.get('.tags/light');
  const tags = await mounted.get('.tags');
  await repository.git(['tag', '-f', 'light', second]);
  await repository.git(['tag', 'new', second]);
  await repository.git(['tag', '-d', 'release/2.0']);
  const changed = ['light', 'new', 'release/2.0', 'v1.0'].map((tag) => `refs/tags/${tag}`);
  await mounted.namespace.refsChanged(changed.map((ref) => parseRefName(ref)));
  expect(mounted.notifier.entries.filter((entry) => entry.startsWith(`${tags}/`)).sort()).toEqual(
    ['light', 'new', 'release'].map((tag) => `${tags}/${tag}`),
  );
  expect((await mounted.read('.tags/light/file')).toString()).toBe('second');
  expect(await mounted.get('.tags/light')).not.toBe(before);
  // Whoever stands in the old one still sees it.
  expect(await mounted.vfs.lookup(before, name('file'), caller)).toMatchObject({
    attr: { size: 5 },
  });
  expect(await mounted.find('.tags/release')).toBeNull();
  expect(await mounted.ls('.tags')).toContain('new');
});

it('that are damaged are listed, and EIO when they are opened', async () => {
  const tag = await repository.git(['rev-parse', 'v1.0']);
  const path = join(repository.gitDir, 'objects', tag.slice(0, 2), tag.slice(2));
  await chmod(path, 0o644);
  await writeFile(path, 'broken');
  const mounted = await MountedNamespace.open(repository);
  expect((await mounted.ls('.tags')).sort()).toEqual(shown);
  expect(await mounted.errnoOf(() => mounted.find('.tags/v1.0'))).toBe(EIO);
  expect(mounted.lines.join('')).toContain(tag);
  await mounted.get('.tags/light');
});

describe('commits', () => {
  it('are found by whole and short hash, each name with an inode of its own', async () => {
    const mounted = await MountedNamespace.open(repository);
    for (const length of [40, 12, 7]) {
      const path = `.commits/${first.slice(0, length)}`;
      expect((await mounted.read(`${path}/file`)).toString()).toBe('first');
    }
    const [whole, short] = [first, first.slice(0, 12)].map((hash) => `.commits/${hash}`);
    expect(await mounted.get(whole!)).not.toBe(await mounted.get(short!));
    expect(await mounted.get(short!)).toBe(await mounted.get(short!));
    const commits = await mounted.get('.commits');
    expect(mounted.vfs.lookup(commits, name(first), caller)).not.toBeInstanceOf(Promise);
  });

  it('are all that is found: no trees, blobs, tags, wrong or ambiguous names', async () => {
    const mounted = await MountedNamespace.open(repository);
    const tag = await repository.git(['rev-parse', 'v1.0']);
    const tree = await repository.git(['rev-parse', `${first}^{tree}`]);
    const names = [tag, tree, tree.slice(0, 10), first.slice(0, 3), first.toUpperCase()];
    for (const wrong of [...names, 'f'.repeat(40), `${first}0`, 'f'.repeat(64), 'main', 'HEAD']) {
      expect(await mounted.find(`.commits/${wrong}`), wrong).toBeNull();
    }
  });

  it('with the same beginning need a longer name; other objects with it do not matter', async () => {
    const seen = new Map<string, Oid>();
    const tree = await treeOf('many');
    let pair: [Oid, Oid] | undefined;
    for (let count = 0; pair === undefined; count++) {
      const oid = await repository.odb.write('commit', commitOf(tree, count));
      const other = seen.get(oid.slice(0, 4));
      if (other !== undefined) pair = [other, oid];
      seen.set(oid.slice(0, 4), oid);
    }
    const mounted = await MountedNamespace.open(repository);
    expect(await mounted.find(`.commits/${pair[0].slice(0, 4)}`)).toBeNull();
    let length = 5;
    while (pair[0].slice(0, length) === pair[1].slice(0, length)) length += 1;
    for (const oid of pair) await mounted.get(`.commits/${oid.slice(0, length)}`);
  });

  it('that are missing may come: the kernel asks again', async () => {
    const mounted = await MountedNamespace.open(repository);
    const commits = await mounted.get('.commits');
    const missing = await mounted.vfs.lookup(commits, name('f'.repeat(40)), caller);
    expect(missing).toMatchObject({ attr: null, entryValidSec: 0 });
    const late = await repository.commit(await treeOf('late'), 'late');
    await mounted.get(`.commits/${late}`);
  });

  it('are listed where refs lead to them, with the numbers that stat shows', async () => {
    await repository.branch('main', second);
    await repository.git(['update-ref', 'refs/remotes/origin/main', second]);
    const mounted = await MountedNamespace.open(repository);
    const { names, inos } = await mounted.list(await mounted.get('.commits'));
    expect(names).toEqual([first, second].sort());
    for (const [index, hash] of names.entries()) {
      expect((await mounted.stat(`.commits/${hash}`)).ino).toBe(inos[index]);
    }
  });

  it('drop the numbers of names that nobody uses, once there are many', async () => {
    const mounted = await MountedNamespace.open(repository);
    const kept = await mounted.get(`.commits/${first}`);
    const forgotten = await mounted.get(`.commits/${second}`);
    mounted.vfs.forget(forgotten, 1);
    const tree = await treeOf('many');
    for (let count = 0; count < 40; count++) {
      const oid = await repository.odb.write('commit', commitOf(tree, count));
      for (let length = 12; length < 40; length++) {
        mounted.vfs.forget(await mounted.get(`.commits/${oid.slice(0, length)}`), 1);
      }
    }
    expect(await mounted.get(`.commits/${first}`)).toBe(kept);
    expect(await mounted.get(`.commits/${second}`)).not.toBe(forgotten);
  });
});

function commitOf(tree: Oid, count: number): Buffer {
  const who = 'A <a@example.com> 1700000000 +0000';
  return Buffer.from(`tree ${tree}\nauthor ${who}\ncommitter ${who}\n\n${count}\n`);
}

describe('.vost', () => {
  it('holds files that are made when they are opened', async () => {
    let count = 0;
    const mounted = await MountedNamespace.open(repository, {
      status: () => `{"count":${(count += 1)}}\n`,
      metrics: () => 'vost_inodes 3\n',
    });
    expect((await mounted.ls('.vost')).sort()).toEqual(['metrics', 'status.json']);
    expect((await mounted.read('.vost/metrics')).toString()).toBe('vost_inodes 3\n');
    const ino = await mounted.get('.vost/status.json');
    const entry = await mounted.vfs.getattr(ino, undefined);
    expect(entry).toMatchObject({ attrValidSec: 0, attr: { mode: 0o100644 } });
    const first = await mounted.vfs.open(ino, 0, caller);
    const second = await mounted.vfs.open(ino, 0, caller);
    expect(first).toMatchObject({ directIo: true, keepCache: false, noFlush: true });
    const read = async (fh: typeof first.fh) =>
      (
        JSON.parse(Buffer.from(await mounted.vfs.read(ino, fh, 0, 4096)).toString()) as {
          count: number;
        }
      ).count;
    const before = await read(first.fh);
    expect(await read(second.fh)).toBe(before + 1);
    expect(await read(first.fh)).toBe(before);
    expect(await mounted.vfs.read(ino, first.fh, 4096, 4096)).toHaveLength(0);
  });

  it('cannot be written', async () => {
    const mounted = await MountedNamespace.open(repository);
    const ino = await mounted.get('.vost/metrics');
    expect(await mounted.errnoOf(() => mounted.vfs.open(ino, 1, caller))).toBe(30);
    const create = async () =>
      mounted.vfs.create(await mounted.get('.vost'), name('n'), 0o644, 0, caller);
    expect(await mounted.errnoOf(create)).toBe(30);
    expect(await mounted.find('.vost/nothing')).toBeNull();
    expect(await mounted.errnoOf(() => mounted.vfs.rmdir(rootIno, name('.vost')))).toBe(30);
  });
});
