import { randomBytes } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { parseOid } from '../../../../src/git/oid.ts';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import { BranchDirectory } from '../../../../src/mount/branch/branch-directory.ts';
import { BranchTurn } from '../../../../src/mount/branch/branch-turn.ts';
import { ErrnoError } from '../../../../src/mount/vfs/errno.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { fsck } from '../../../helpers/git.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { BranchMount, commitOutside, mainRef } from './branch-mount.ts';

// What happens while something else is waited for: a file that is hashed, a tree that is read, a commit
// that is made, others who move the branch.

const files = { 'README.md': 'read me', 'src/a.txt': 'a' };

function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open: () => open() };
}

/** Holds up the next content that is stored, from the moment that it begins. */
function holdUpStore(mount: BranchMount): { begun: Promise<void>; goOn: () => void } {
  const { staging } = mount.root.inode.context.contents;
  const write = staging.write.bind(staging);
  const [begun, goOn] = [gate(), gate()];
  vi.spyOn(staging, 'write').mockImplementationOnce(async (type, data) => {
    begun.open();
    await goOn.passed;
    return write(type, data);
  });
  return { begun: begun.passed, goOn: goOn.open };
}

/** As if the cache of trees had no room, until it is restored. */
function noTreesInMemory(mount: BranchMount): { mockRestore: () => void } {
  return vi.spyOn(mount.repository.odb, 'treeIfCached').mockReturnValue(undefined);
}

/** Sets the branch to its tree without a past, and prunes what no ref leads to. */
async function pruneThePast(mount: BranchMount, staged?: string): Promise<void> {
  const commit = await mount.git('commit-tree', 'main^{tree}', '-m', 'without a past');
  await mount.git('update-ref', 'refs/heads/main', commit);
  await mount.branch.follow();
  if (staged !== undefined) {
    const { staging } = mount.root.inode.context.contents;
    await eventually(() => expect(staging.hasStaged(parseOid(staged))).toBe(true));
  }
  await mount.git('reflog', 'expire', '--expire=now', '--all');
  await mount.git('gc', '--prune=now', '--quiet');
}

describe('while a file is stored', () => {
  test('truncate(2) waits for it, and is not lost', async () => {
    const mount = await BranchMount.open({ files });
    const { ino, fh } = await mount.openFile('README.md');
    await mount.vfs.write(ino, fh, 0, Buffer.from('WRITTEN BY A MAPPING'));
    const { begun, goOn } = holdUpStore(mount);
    const released = mount.vfs.release(ino, fh);
    await begun;
    const truncated = mount.vfs.setattr(ino, { size: 3 }, undefined, caller);
    goOn();
    await released;
    expect((await truncated).attr.size).toBe(3);
    expect(await mount.text('README.md')).toBe('WRI');
  });

  test('what is appended goes where open(2) with O_TRUNC has left the end, which waits too', async () => {
    const mount = await BranchMount.open({ files });
    const log = await mount.openFile('README.md', constants.O_WRONLY | constants.O_APPEND);
    await mount.vfs.write(log.ino, log.fh, 7, Buffer.from(', all of it'), true);
    const store = holdUpStore(mount);
    const flushed = mount.vfs.flush(log.ino, log.fh);
    await store.begun;
    const flags = constants.O_WRONLY | constants.O_TRUNC;
    const truncated = mount.vfs.open(log.ino, flags, caller);
    const written = mount.vfs.write(log.ino, log.fh, 18, Buffer.from('anew'), true);
    store.goOn();
    expect(await written).toBe(4);
    await flushed;
    expect(await mount.text('README.md')).toBe('anew');
    expect(mount.notifier.inodes).toContain(log.ino);
    await mount.close({ ino: log.ino, fh: (await truncated).fh });
    await mount.close(log);
    await mount.commit();
    expect(await mount.git('show', 'main:README.md')).toBe('anew');
  });

  test.for(['flush', 'release'] as const)(
    'the mount ends: what the %s stores is in the last commit, and nothing that came behind it',
    async (operation) => {
      const mount = await BranchMount.open({ files });
      const [file, other] = [await mount.openFile('README.md'), await mount.openFile('README.md')];
      await mount.writeAt(file, 0, 'READ');
      if (operation === 'release') await mount.vfs.release(other.ino, other.fh);
      const { begun, goOn } = holdUpStore(mount);
      const stored = mount.vfs[operation](file.ino, file.fh);
      await begun;
      const behind = operation === 'flush' && mount.writeAt(other, 5, 'half');
      const ended = mount.vfs.destroy();
      goOn();
      await ended;
      await mount.branches.stop();
      await Promise.all([stored, behind]);
      expect(await mount.git('show', 'main:README.md')).toBe('READ me');
    },
  );

  test('others delete its branch: fsync fails', async () => {
    const mount = await BranchMount.open({ files });
    const file = await mount.openFile('README.md');
    await mount.writeAt(file, 0, 'precious');
    const { begun, goOn } = holdUpStore(mount);
    const synced = mount.errnoOf(() => mount.fsync(file));
    await begun;
    await mount.git('update-ref', '-d', 'refs/heads/main');
    await mount.branches.refsChanged([mount.branch.ref]);
    goOn();
    expect(await synced).not.toBe(0);
  });
});

test('a commit that gets its lock after its objects were given up moves nothing', async () => {
  const mount = await BranchMount.open({ files });
  const { staging } = mount.root.inode.context.contents;
  const before = await mount.git('rev-parse', 'main');
  const lock = join(mount.repository.gitDir, 'refs/heads/main.lock');
  await writeFile(lock, '');
  await mount.write('late', 'too late');
  const committed = mount.commit();
  // It waits for the lock, for a second at most.
  await sleep(200);
  const discarded = staging.discard();
  await rm(lock);
  await expect(committed).rejects.toThrow('discarded');
  await discarded;
  expect(await mount.git('rev-parse', 'main')).toBe(before);
  await fsck(mount.repository.gitDir);
});

test('content that comes back while its release waits for a commit can be committed', async () => {
  const mount = await BranchMount.open({ files });
  const { contents } = mount.root.inode.context;
  const { staging } = contents;
  await mount.write('temporary', 'popular');
  const temporary = await mount.get('temporary');
  await mount.unlink('temporary');
  mount.forgetAll(temporary);
  for (let index = 0; index < 20; index++) await mount.write(`f${index}`, `content ${index}`);
  const publish = staging.publish.bind(staging);
  let written: Promise<void> | undefined;
  vi.spyOn(staging, 'publish').mockImplementationOnce(async (oids, options) => {
    const publishing = publish(oids, options);
    const spy = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000);
    const released = contents.releaseUnused();
    spy.mockRestore();
    written = mount.write('precious', 'popular');
    await Promise.all([publishing, released, written]);
  });
  await mount.commit();
  await written;
  await mount.commit();
  expect(await mount.git('show', 'main:precious')).toBe('popular');
});

test('what is removed while the commit is made that brings it is taken away by the next', async () => {
  const mount = await BranchMount.open({ files, mount: { commitDelayMs: 20 } });
  const { staging } = mount.root.inode.context.contents;
  const publish = staging.publish.bind(staging);
  const raced = gate();
  vi.spyOn(staging, 'publish').mockImplementationOnce(async (oids, options) => {
    await mount.unlink('new');
    await publish(oids, options);
    raced.open();
  });
  await mount.write('new', 'x');
  await raced.passed;
  await eventually(async () => {
    expect(await mount.git('log', '--oneline', 'main', '--', 'new')).toMatch(/\n/);
  });
  expect(await mount.git('ls-tree', '--name-only', 'main')).not.toContain('new');
});

describe('attempts at a commit that come to nothing', () => {
  async function expectNothingStaged(mount: BranchMount): Promise<void> {
    await mount.expectCommitted();
    expect([...mount.root.inode.context.contents.staging.stagedOids()]).toEqual([]);
  }

  test('leave nothing staged, and nothing stored of few objects', async () => {
    const mount = await BranchMount.open({ files, mount: { commitOn: 'fsync' } });
    const { refs } = mount.repository;
    const { staging } = mount.root.inode.context.contents;
    const publish = vi.spyOn(staging, 'publish');
    const update = refs.update.bind(refs);
    let moves = 0;
    vi.spyOn(refs, 'update').mockImplementation(async (change) => {
      moves += 1;
      if (moves <= 5) await commitOutside(mount.gitDir, { [`other-${moves}`]: 'x' });
      await update(change);
    });
    await mount.write('src/new', 'content');
    await mount.commit();
    expect(moves).toBe(6);
    expect(publish).toHaveBeenCalledTimes(1);
    const objects = await readdir(join(mount.gitDir, 'objects'), { recursive: true });
    expect(objects.filter((path) => path.includes('tmp_'))).toEqual([]);
    await expectNothingStaged(mount);
  });

  test('leave nothing staged of many objects', async () => {
    const mount = await BranchMount.open({ files, mount: { commitOn: 'fsync' } });
    const { staging } = mount.root.inode.context.contents;
    const publish = staging.publish.bind(staging);
    let moves = 0;
    vi.spyOn(staging, 'publish').mockImplementation(async (oids, options) => {
      await publish(oids, options);
      moves += 1;
      if (moves <= 5) await commitOutside(mount.gitDir, { [`other-${moves}`]: 'x' });
    });
    for (let count = 0; count < 40; count++) await mount.write(`src/new-${count}`, `${count}`);
    await mount.commit();
    expect(moves).toBe(6);
    await expectNothingStaged(mount);
  });
});

test.each([
  ['held while few', 5, true],
  ['free while many', 40, false],
])('the lock of a branch is %s objects are stored', async (_, count, isHeld) => {
  const mount = await BranchMount.open({ files, mount: { commitOn: 'fsync' } });
  const { staging } = mount.root.inode.context.contents;
  const publish = staging.publish.bind(staging);
  const held: boolean[] = [];
  vi.spyOn(staging, 'publish').mockImplementation(async (oids, options) => {
    held.push(existsSync(join(mount.gitDir, 'refs/heads/main.lock')));
    await publish(oids, options);
  });
  for (let file = 0; file < count; file++) await mount.write(`new-${file}`, `${file}`);
  await mount.commit();
  expect(held).toEqual([isHeld]);
  await mount.expectCommitted();
});

describe('while a tree or a size is read', () => {
  test('the last reader of a file that is renamed closes it', async () => {
    const mount = await BranchMount.open({ files });
    expect(await mount.text('README.md')).toBe('read me');
    const open = await mount.openFile('README.md', constants.O_RDONLY);
    const src = await mount.get('src');
    const trees = noTreesInMemory(mount);
    const renamed = mount.vfs.rename(mount.root.ino, name('README.md'), src, name('moved'), 0);
    await mount.vfs.release(open.ino, open.fh);
    await renamed;
    trees.mockRestore();
    expect(await mount.text('src/moved')).toBe('read me');
  });

  test('the last reader of a file that gets a link closes it', async () => {
    const mount = await BranchMount.open({ files });
    expect(await mount.text('README.md')).toBe('read me');
    const open = await mount.openFile('README.md', constants.O_RDONLY);
    const src = await mount.get('src');
    const trees = noTreesInMemory(mount);
    const linked = mount.vfs.link(open.ino, src, name('second'));
    await mount.vfs.release(open.ino, open.fh);
    await linked;
    trees.mockRestore();
    await mount.write('src/second', 'changed');
    await mount.commit();
    expect(await mount.text('README.md')).toBe('changed');
    expect(await mount.git('show', 'main:README.md')).toBe('changed');
  });

  test('the last reader of a file that is truncated closes it', async () => {
    const mount = await BranchMount.open({ files });
    expect(await mount.text('README.md')).toBe('read me');
    const open = await mount.openFile('README.md', constants.O_RDONLY);
    vi.spyOn(mount.repository.odb, 'headerIfCached').mockReturnValueOnce(undefined);
    const truncated = mount.vfs.setattr(open.ino, { size: 3 }, undefined, caller);
    await mount.vfs.release(open.ino, open.fh);
    await truncated;
    await mount.commit();
    expect(await mount.git('show', 'main:README.md')).toBe('rea');
  });

  test('others put something into a directory that is removed', async () => {
    const mount = await BranchMount.open({ files: { 'd/a': 'a', top: 't' } });
    await mount.unlink('d/a');
    await mount.get('d');
    const { odb } = mount.repository;
    const tree = odb.tree.bind(odb);
    const trees = noTreesInMemory(mount);
    const goOn = gate();
    const reading = vi.spyOn(odb, 'tree').mockImplementationOnce(async (oid) => {
      const found = await tree(oid);
      await goOn.passed;
      return found;
    });
    const removed = Promise.resolve(mount.vfs.rmdir(mount.root.ino, name('d')));
    expect(reading).toHaveBeenCalledTimes(1);
    await commitOutside(mount.gitDir, { 'd/b': 'precious' });
    await mount.branch.follow();
    goOn.open();
    await expect(removed).rejects.toThrow('ENOTEMPTY');
    trees.mockRestore();
    await mount.commit();
    expect(await mount.git('ls-tree', '-r', '--name-only', 'main')).toBe('d/b\ntop');
  });
});

describe('into a directory that others remove while its tree is read', () => {
  /** Runs what needs the tree of `d`, and has others remove `d` before that is read. */
  async function whileRemoved(mount: BranchMount, work: (d: Ino) => unknown): Promise<number> {
    const d = await mount.get('d');
    const { odb } = mount.repository;
    const tree = odb.tree.bind(odb);
    const trees = noTreesInMemory(mount);
    const goOn = gate();
    const reading = vi.spyOn(odb, 'tree').mockImplementationOnce(async (oid) => {
      const found = await tree(oid);
      await goOn.passed;
      return found;
    });
    const errno = mount.errnoOf(() => work(d));
    expect(reading).toHaveBeenCalledTimes(1);
    await commitOutside(mount.gitDir, { 'd/a': null });
    await mount.branch.follow();
    goOn.open();
    const found = await errno;
    trees.mockRestore();
    return found;
  }

  test('nothing is made, where nobody would find it', async () => {
    const mount = await BranchMount.open({ files: { 'd/a': 'a', top: 't' } });
    const made = whileRemoved(mount, (d) =>
      mount.vfs.create(d, name('new'), 0o644, constants.O_RDWR, caller),
    );
    expect(await made).toBe(osConstants.errno.ENOENT);
  });

  test('nothing is moved', async () => {
    const mount = await BranchMount.open({ files: { 'd/a': 'a', top: 't' } });
    await mount.write('top', 'precious');
    const moved = whileRemoved(mount, (d) =>
      mount.vfs.rename(mount.root.ino, name('top'), d, name('new'), 0),
    );
    expect(await moved).toBe(osConstants.errno.ENOENT);
    expect(await mount.text('top')).toBe('precious');
    await mount.commit();
    await mount.expectCommitted();
  });
});

test('a directory that moves to a branch whose commit ends first is what that commit made of it', async () => {
  const mount = await BranchMount.open({
    files,
    branches: ['other'],
    mount: { commitOn: 'fsync' },
  });
  const { staging } = mount.root.inode.context.contents;
  const other = await mount.openBranch('other');
  if (!(other instanceof BranchDirectory)) throw new Error('not a directory of a branch');
  await mount.write('src/new', 'new');
  const src = await mount.get('src');
  const publish = staging.publish.bind(staging);
  vi.spyOn(staging, 'publish').mockImplementationOnce(async (oids, options) => {
    await mount.vfs.rename(mount.root.ino, name('src'), other.ino, name('moved'), 0);
    await mount.vfs.unlink(src, name('a.txt'));
    await other.branch!.sync();
    await publish(oids, options);
  });
  await mount.branch.sync();
  expect((await mount.list(src)).names).toEqual(['new']);
  expect((await mount.vfs.lookup(src, name('a.txt'), caller)).attr).toBeNull();
  await mount.commit();
  await mount.expectCommitted();
  expect(await mount.git('ls-tree', '-r', '--name-only', 'other', 'moved/')).toBe('moved/new');
  expect(mount.branches.status().map(({ stagedFiles }) => stagedFiles)).toEqual([0, 0]);
});

test('a branch that others move while it is opened shows where it is', async () => {
  const mount = await BranchMount.open({ files, branches: ['other'] });
  const other = parseRefName('refs/heads/other');
  const { refs } = mount.repository;
  const list = refs.list.bind(refs);
  const [begun, goOn] = [gate(), gate()];
  vi.spyOn(refs, 'list').mockImplementationOnce(async (prefix) => {
    begun.open();
    await goOn.passed;
    return list(prefix);
  });
  const opened = mount.openBranch('other');
  await begun.passed;
  const tip = await commitOutside(mount.gitDir, { new: 'x' }, { branch: 'other' });
  const followed = mount.branches.refsChanged([other]);
  goOn.open();
  await Promise.all([opened, followed]);
  expect(mount.branches.status().find(({ name: short }) => short === 'other')?.tip).toBe(tip);
});

describe('what others do', () => {
  test('to one name of a file that is being written shows under that name', async () => {
    const mount = await BranchMount.open({ files: { one: 'same', two: 'other' } });
    await mount.unlink('two');
    await mount.link('one', 'two');
    await mount.commit();
    const open = await mount.openFile('one', constants.O_RDWR);
    await commitOutside(mount.gitDir, { two: 'from outside' });
    await mount.branch.follow();
    await mount.close(open);
    expect(await mount.text('one')).toBe('same');
    expect(await mount.text('two')).toBe('from outside');
  });

  test('to a name that a file had, which is being written, is a conflict of that name', async () => {
    const mount = await BranchMount.open({ files });
    const open = await mount.openFile('README.md', constants.O_RDWR);
    await commitOutside(mount.gitDir, { 'README.md': 'from outside' });
    await mount.branch.follow();
    await mount.rename('README.md', 'renamed');
    expect(mount.status.conflicts).toEqual(['README.md']);
    await mount.commit();
    await mount.close(open);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('renamed')).toBe('read me');
  });

  test('is told to the kernel, whatever trees are in memory', async () => {
    const mount = await BranchMount.open({ files });
    const ino = await mount.get('README.md');
    expect(await mount.text('README.md')).toBe('read me');
    await commitOutside(mount.gitDir, { new: '1' });
    await mount.branch.follow();
    noTreesInMemory(mount);
    const told = vi.spyOn(mount.root.inode.context.notifier, 'invalidateInode');
    await commitOutside(mount.gitDir, { 'README.md': 'from outside, and longer' });
    await mount.branch.follow();
    expect(told.mock.calls.flat()).toContain(ino);
  });

  test('to a file, which they take away, is seen by who opens it for writing by its number', async () => {
    const mount = await BranchMount.open({ files });
    const ino = await mount.get('README.md');
    await commitOutside(mount.gitDir, { 'README.md': null });
    await mount.branch.follow();
    const open = (flags: number): Promise<number> =>
      mount.errnoOf(() => mount.vfs.open(ino, flags, caller));
    const { ESTALE } = (await import('node:os')).constants.errno;
    expect(await open(constants.O_RDWR)).toBe(ESTALE);
    expect(await open(constants.O_RDONLY | constants.O_TRUNC)).toBe(ESTALE);
    expect(await mount.errnoOf(() => mount.vfs.setattr(ino, { size: 0 }, undefined, caller))).toBe(
      ESTALE,
    );
  });
});

describe('a past that others take away and prune', () => {
  const content = randomBytes(3_000_000).toString('hex');

  test('takes nothing from a reader of what the mount has committed', async () => {
    const mount = await BranchMount.open({ files });
    await mount.write('other', content);
    await mount.commit();
    const open = await mount.openFile('other', constants.O_RDONLY);
    const oid = await mount.git('rev-parse', 'main:other');
    await commitOutside(mount.gitDir, { other: null });
    await pruneThePast(mount, oid);
    expect(await mount.readAt(open, 4_000_000, 1000)).toBe(content.slice(4_000_000, 4_001_000));
  });

  test('takes nothing from a writer, who has written to a part', async () => {
    const mount = await BranchMount.open({ files: { ...files, other: content } });
    const oid = await mount.git('rev-parse', 'main:other');
    const open = await mount.openFile('other', constants.O_RDWR);
    await mount.writeAt(open, 0, Buffer.alloc(4096, 'x'));
    await commitOutside(mount.gitDir, { other: null });
    await pruneThePast(mount, oid);
    await mount.fsync(open);
    expect(await mount.git('show', 'main:other')).toBe('x'.repeat(4096) + content.slice(4096));
  });
});

describe('what fails', () => {
  test('when a closed file is stored fails an fsync of its directory, and the unmount', async () => {
    const mount = await BranchMount.open({ files });
    const { staging } = mount.root.inode.context.contents;
    const write = staging.write.bind(staging);
    vi.spyOn(staging, 'write').mockImplementation((type, data) =>
      Buffer.from(data).includes('too much')
        ? Promise.reject(new ErrnoError('ENOSPC'))
        : write(type, data),
    );
    await mount.write('good', 'fits');
    const { ino, fh } = await mount.create('bad');
    await mount.vfs.write(ino, fh, 0, Buffer.from('too much'));
    await mount.vfs.release(ino, fh);
    await expect(Promise.resolve(mount.vfs.fsyncdir(mount.root.ino, undefined))).rejects.toThrow(
      'ENOSPC',
    );
    expect(await mount.git('show', 'main:good')).toBe('fits');
    await expect(mount.branches.stop()).rejects.toThrow('ENOSPC');
  });

  test('when a branch that is gone is saved is tried again', async () => {
    const mount = await BranchMount.open({ files, mount: { commitOn: 'fsync' } });
    const { staging } = mount.root.inode.context.contents;
    await mount.write('new', 'precious');
    const publish = vi.spyOn(staging, 'publish').mockRejectedValue(new ErrnoError('ENOSPC'));
    await mount.git('update-ref', '-d', 'refs/heads/main');
    await expect(mount.branches.refsChanged([mount.branch.ref])).rejects.toThrow('ENOSPC');
    publish.mockRestore();
    await mount.branches.refsChanged([mount.branch.ref]);
    const [, ref] = (await mount.git('for-each-ref')).split('\t');
    expect(ref).toMatch(/^refs\/vost\/orphaned\/main/);
    expect(await mount.git('show', `${ref!}:new`)).toBe('precious');
  });

  describe('when a closed file of a branch is stored that others then delete', () => {
    async function unstored() {
      const mount = await BranchMount.open({ files, mount: { commitOn: 'fsync' } });
      const { staging } = mount.root.inode.context.contents;
      const write = staging.write.bind(staging);
      const full = vi
        .spyOn(staging, 'write')
        .mockImplementation((type, data) =>
          Buffer.from(data).includes('too much')
            ? Promise.reject(new ErrnoError('ENOSPC'))
            : write(type, data),
        );
      await mount.write('good', 'fits');
      const { ino, fh } = await mount.create('bad');
      await mount.vfs.write(ino, fh, 0, Buffer.from('too much'));
      await mount.vfs.release(ino, fh);
      await mount.git('update-ref', '-d', 'refs/heads/main');
      await expect(mount.branches.refsChanged([mount.branch.ref])).rejects.toThrow('ENOSPC');
      return { mount, full };
    }
    const orphan = (mount: BranchMount): Promise<string> =>
      mount.git('for-each-ref', '--format=%(refname)', 'refs/vost/orphaned');

    test('it is saved when there is room again', async () => {
      const { mount, full } = await unstored();
      expect(await orphan(mount)).toBe('');
      full.mockRestore();
      await mount.branches.refsChanged([mount.branch.ref]);
      const ref = await orphan(mount);
      expect(await mount.git('show', `${ref}:bad`)).toBe('too much');
      expect(await mount.git('show', `${ref}:good`)).toBe('fits');
      await fsck(mount.gitDir);
    });

    test('the unmount saves the rest, and fails', async () => {
      const { mount } = await unstored();
      await expect(mount.branches.stop()).rejects.toThrow('ENOSPC');
      const ref = await orphan(mount);
      expect(await mount.git('ls-tree', '--name-only', ref)).toBe('README.md\ngood\nsrc');
    });
  });
});

describe('two mounts on one branch, one of which takes longer for a commit than the other has between two', () => {
  test('both get their turn', async () => {
    const slow = await BranchMount.open();
    const quick = await BranchMount.open({ gitDir: slow.gitDir });
    const { refs } = slow.repository;
    const update = refs.update.bind(refs);
    refs.update = async (change) => {
      await sleep(100);
      await update(change);
    };
    let isOver = false;
    const others = (async () => {
      for (let count = 0; !isOver; count++) {
        await quick.write('quick', `${count}`);
        await quick.commit();
      }
    })();
    try {
      await slow.write('slow', 'content');
      await slow.commit();
    } finally {
      isOver = true;
      await others;
    }
    // Three attempts until it asks, and perhaps one that was on its way already.
    expect(slow.branches.counts.retries).toBeGreaterThanOrEqual(3);
    expect(slow.branches.counts.retries).toBeLessThan(8);
    expect(await slow.git('show', 'main:slow')).toBe('content');
    await quick.commit();
    await quick.expectCommitted();
  });

  test('who has asked for a turn and was killed holds nobody up for long', async () => {
    const mount = await BranchMount.open();
    const turn = new BranchTurn(mount.repository, mainRef);
    await turn.ask();
    const [file = ''] = await readdir(join(mount.gitDir, 'vost/turns'));
    const path = join(mount.gitDir, 'vost/turns', file);
    const started = performance.now();
    await mount.write('file', 'content');
    await mount.commit();
    expect(performance.now() - started).toBeGreaterThan(900);
    expect(await mount.git('show', 'main:file')).toBe('content');
    const old = Date.now() / 1000 - 60;
    await utimes(path, old, old);
    await new BranchTurn(mount.repository, mainRef).makeWay();
    expect(performance.now() - started).toBeLessThan(4000);
    await turn.end();
    expect(await readdir(join(mount.gitDir, 'vost/turns'))).toEqual([]);
    await mount.expectCommitted();
  });
});
