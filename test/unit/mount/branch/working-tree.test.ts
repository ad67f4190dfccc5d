import { constants as fsConstants } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { renameExchange, renameNoReplace } from '../../../../src/mount/vfs/operations.ts';
import { BranchMount } from './branch-mount.ts';
import { storedTree } from '../../../helpers/tree-listing.ts';

const { EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } = constants.errno;
const { O_CREAT, O_RDONLY } = fsConstants;
const files = {
  'README.md': 'read me',
  'bin/run*': '#!/bin/sh',
  'src/a.txt': 'a',
  'src/b.txt': 'b',
  'src/deep/er/c.txt': 'c',
};

describe('a working tree', () => {
  test('shows what git has', async () => {
    const mount = await BranchMount.open({ files });
    expect(await mount.shown()).toEqual(await storedTree(mount.gitDir, 'main'));
    expect((await mount.stat('bin/run')).mode).toBe(0o100755);
    expect((await mount.stat('src')).nlink).toBe(3);
    expect((await mount.vfs.getattr(1 as never, undefined)).attr.nlink).toBe(4);
    expect((await mount.stat('README.md')).mtime).toEqual({ sec: 1_700_000_000, nsec: 0 });
    expect(await mount.find('src/missing')).toBeNull();
    await mount.expectCommitted();
  });

  test('commits every kind of change, and goes on from there', async () => {
    const mount = await BranchMount.open({ files });
    await mount.write('new.txt', 'new');
    await mount.write('src/a.txt', 'changed');
    await mount.mkdir('empty');
    await mount.mkdir('full');
    await mount.write('full/one', '1');
    await mount.symlink('../README.md', 'full/link');
    await mount.unlink('src/b.txt');
    await mount.chmod('README.md', 0o755);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.git('log', '-1', '--format=%s')).toBe('Batch: +3 ~2 -1');

    await mount.rename('full', 'src/deep/moved');
    await mount.write('src/deep/moved/two', '2');
    await mount.rmdir('empty');
    await mount.unlink('src/deep/er/c.txt');
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('src/deep/moved/one')).toBe('1');
    expect(await mount.ls('src/deep/er')).toEqual([]);
    expect(await mount.git('rev-list', '--count', 'main')).toBe('3');
  });

  test('a commit message names what changed', async () => {
    const mount = await BranchMount.open({ files, mount: {} });
    const subjects: string[] = [];
    const commit = async (message?: string): Promise<void> => {
      await mount.commit(message);
      subjects.push(await mount.git('log', '-1', '--format=%s'));
    };
    await mount.write('x', '1');
    await commit();
    await mount.write('x', '2');
    await commit();
    await mount.mkdir('d');
    await commit();
    await mount.rmdir('d');
    await commit();
    await mount.symlink('x', 'l');
    await commit();
    await mount.unlink('x');
    await commit();
    await mount.write('y', '1');
    await commit('by hand, {default}');
    expect(subjects).toEqual(['+ x', '~ x', '+ d/', '- d/', '+ l (link)', '- x', 'by hand, + y']);
    expect(await mount.git('log', '-1', '--format=%an <%ae>')).toBe('Mo Mounter <mo@example.com>');
  });

  test('what did not change makes no commit', async () => {
    const mount = await BranchMount.open({ files });
    await mount.write('src/a.txt', 'a');
    await mount.close(await mount.openFile('src/b.txt'));
    await mount.write('temporary', 'x');
    await mount.unlink('temporary');
    await mount.rename('src', 'moved');
    await mount.rename('moved', 'src');
    await mount.chmod('README.md', 0o600);
    await mount.commit();
    expect(await mount.git('rev-list', '--count', 'main')).toBe('1');
    await mount.expectCommitted();
    expect((await mount.stat('README.md')).mode).toBe(0o100600);
  });

  test('a commit holds a file as it was closed or synced last', async () => {
    const mount = await BranchMount.open({ files });
    const file = await mount.openFile('README.md');
    await mount.writeAt(file, 0, 'READ ME');
    const fresh = await mount.create('fresh');
    await mount.writeAt(fresh, 0, 'half of');
    await mount.write('other', 'closed');
    await mount.commit();
    expect(await mount.git('show', 'main:README.md')).toBe('read me');
    expect(await storedTree(mount.gitDir, 'main')).not.toContainEqual(
      expect.stringContaining('fresh'),
    );
    expect(await mount.git('show', 'main:other')).toBe('closed');
    expect(await mount.text('README.md')).toBe('READ ME');
    expect(await mount.text('fresh')).toBe('half of');

    await mount.fsync(file);
    expect(await mount.git('show', 'main:README.md')).toBe('READ ME');
    await mount.writeAt(file, 0, 'again??');
    await mount.close(fresh);
    await mount.commit();
    expect(await mount.git('show', 'main:README.md')).toBe('READ ME');
    expect(await mount.git('show', 'main:fresh')).toBe('half of');
    await mount.close(file);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('README.md')).toBe('again??');
  });

  test('a file that was made by who may only read it is committed when that closes it', async () => {
    const mount = await BranchMount.open({ files });
    const lock = await mount.openFile('lock', O_CREAT | O_RDONLY);
    await mount.commit();
    expect(await mount.git('ls-tree', 'main', 'lock')).toBe('');
    await mount.close(lock);
    expect(await mount.xattr('lock', 'state')).toBe('staged');
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.git('show', 'main:lock')).toBe('');
    const { referred } = mount.root.inode.context;
    expect(referred.openFiles.size).toBe(0);
  });

  test('a file that is replaced while it is written keeps its old content in commits until then', async () => {
    const mount = await BranchMount.open({ files });
    const file = await mount.create('README.md.tmp');
    await mount.writeAt(file, 0, 'new content');
    await mount.rename('README.md.tmp', 'README.md');
    await mount.write('other', 'x');
    await mount.commit();
    expect(await mount.git('show', 'main:README.md')).toBe('read me');
    expect(await mount.text('README.md')).toBe('new content');
    await mount.close(file);
    await mount.commit();
    expect(await mount.git('show', 'main:README.md')).toBe('new content');
    await mount.expectCommitted();
  });

  test('unlinked and replaced files live on while they are open', async () => {
    const mount = await BranchMount.open({ files });
    const [unlinked, replaced] = [
      await mount.openFile('src/a.txt'),
      await mount.openFile('src/b.txt'),
    ];
    await mount.unlink('src/a.txt');
    await mount.rename('README.md', 'src/b.txt');
    await mount.writeAt(unlinked, 1, '+more');
    expect(await mount.readAt(unlinked)).toBe('a+more');
    expect(await mount.readAt(replaced)).toBe('b');
    expect((await mount.vfs.getattr(unlinked.ino, unlinked.fh)).attr.nlink).toBe(0);
    expect(await mount.text('src/b.txt')).toBe('read me');
    await mount.commit();
    await mount.close(unlinked);
    await mount.close(replaced);
    await mount.commit();
    await mount.expectCommitted();
    mount.forgetAll(unlinked.ino);
    expect(mount.context.inodes.get(unlinked.ino)).toBeUndefined();
  });

  test('renaming a directory moves open files with it', async () => {
    const mount = await BranchMount.open({ files });
    const file = await mount.openFile('src/deep/er/c.txt');
    await mount.writeAt(file, 0, 'C');
    await mount.rename('src/deep', 'elsewhere');
    await mount.commit();
    expect(await mount.git('show', 'main:elsewhere/er/c.txt')).toBe('c');
    await mount.writeAt(file, 1, '!');
    await mount.close(file);
    await mount.commit();
    expect(await mount.git('show', 'main:elsewhere/er/c.txt')).toBe('C!');
    await mount.expectCommitted();
  });

  test('hard links are one file, committed under each name', async () => {
    const mount = await BranchMount.open({ files });
    await mount.link('README.md', 'src/again');
    expect((await mount.stat('src/again')).ino).toBe((await mount.stat('README.md')).ino);
    expect((await mount.stat('src/again')).nlink).toBe(2);
    await mount.write('src/again', 'both');
    await mount.commit();
    expect(await mount.git('show', 'main:README.md')).toBe('both');
    await mount.expectCommitted();
    await mount.unlink('README.md');
    expect((await mount.stat('src/again')).nlink).toBe(1);
    // Renaming one name of a file over another does nothing.
    await mount.link('src/again', 'third');
    await mount.rename('third', 'src/again');
    expect(await mount.text('third')).toBe('both');
    await mount.commit();
    await mount.expectCommitted();
  });

  test('exchange swaps files and directories', async () => {
    const mount = await BranchMount.open({ files });
    await mount.rename('src', 'README.md', renameExchange);
    expect(await mount.text('src')).toBe('read me');
    expect(await mount.text('README.md/a.txt')).toBe('a');
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.errnoOf(() => mount.rename('src', 'none', renameExchange))).toBe(ENOENT);
    expect(await mount.errnoOf(() => mount.rename('src', 'README.md', renameNoReplace))).toBe(
      EEXIST,
    );
    await mount.rename('src', 'none', renameNoReplace);
    await mount.commit();
    await mount.expectCommitted();
  });

  test('answers with the errors of ext4', async () => {
    const mount = await BranchMount.open({ files });
    const expectErrno = async (errno: number, work: () => Promise<unknown>): Promise<void> => {
      expect(await mount.errnoOf(work), work.toString()).toBe(errno);
    };
    await expectErrno(EEXIST, () => mount.mkdir('src'));
    await expectErrno(EEXIST, () => mount.create('README.md'));
    await expectErrno(EEXIST, () => mount.symlink('x', 'README.md'));
    await expectErrno(EEXIST, () => mount.link('README.md', 'src/a.txt'));
    await expectErrno(EPERM, () => mount.link('src', 'other'));
    await expectErrno(ENOENT, () => mount.unlink('missing'));
    await expectErrno(EISDIR, () => mount.unlink('src'));
    await expectErrno(ENOTDIR, () => mount.rmdir('README.md'));
    await expectErrno(ENOTEMPTY, () => mount.rmdir('src'));
    await expectErrno(ENOENT, () => mount.rmdir('missing'));
    await expectErrno(ENOENT, () => mount.rename('missing', 'x'));
    await expectErrno(EISDIR, () => mount.rename('README.md', 'src'));
    await expectErrno(ENOTDIR, () => mount.rename('src', 'README.md'));
    await expectErrno(ENOTEMPTY, () => mount.rename('bin', 'src'));
    await expectErrno(EINVAL, () => mount.rename('src', 'src/deep/er/x'));
    await expectErrno(EINVAL, () => mount.rename('src/deep', 'src/deep/er', renameExchange));
    for (const forbidden of ['.git.', '.GIT', 'git~1', '.g\u200cit']) {
      const bytes = Buffer.from(forbidden).toString('latin1');
      await expectErrno(EPERM, () => mount.create(bytes));
      await expectErrno(EPERM, () => mount.mkdir(bytes));
      await expectErrno(EPERM, () => mount.rename('README.md', bytes));
    }
    await expectErrno(EPERM, () => mount.symlink('x', '.gitmodules'));
    await mount.commit();
    expect(await mount.git('rev-list', '--count', 'main')).toBe('1');
  });

  test('an empty directory can be replaced, and one that was emptied', async () => {
    const mount = await BranchMount.open({ files });
    await mount.mkdir('empty');
    await mount.rename('src', 'empty');
    await mount.unlink('bin/run');
    await mount.commit();
    await mount.rename('empty/deep', 'bin');
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('bin/er/c.txt')).toBe('c');
  });

  test('names are bytes', async () => {
    const mount = await BranchMount.open({ files });
    for (const bytes of ['\xff\xfe', 'a\nb', 'tab\there', '\\', 'ä'.repeat(255)]) {
      await mount.write(bytes, bytes.slice(0, 3));
    }
    await mount.commit();
    expect((await mount.ls()).length).toBe(8);
    const listed = await mount.git('-c', 'core.quotePath=true', 'ls-tree', '--name-only', 'main');
    expect(listed).toContain('"\\377\\376"');
    expect(await mount.shown()).toHaveLength(14);
  });

  test('scratch names stay in the session until they get a real name', async () => {
    const mount = await BranchMount.open({ files: { ...files, 'kept~': 'tracked' } });
    await mount.write('.README.md.swp', 'swap');
    await mount.write('4913', 'probe');
    await mount.mkdir('dir~');
    await mount.write('dir~/inner', 'x');
    await mount.write('kept~', 'not this');
    await mount.commit();
    expect(await mount.git('rev-list', '--count', 'main')).toBe('1');
    expect(mount.status.stagedFiles).toBe(0);
    expect(await mount.text('.README.md.swp')).toBe('swap');

    await mount.rename('.README.md.swp', 'real');
    await mount.rename('dir~', 'dir');
    await mount.unlink('4913');
    await mount.unlink('kept~');
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('dir/inner')).toBe('x');

    // As vim saves: the old file becomes the backup, a new one takes its place.
    await mount.rename('real', 'real~');
    await mount.write('real', 'saved');
    await mount.unlink('real~');
    await mount.commit();
    expect(await mount.git('log', '-1', '--format=%s')).toBe('~ real');
    await mount.expectCommitted();
  });

  test('what git cannot hold lives for the session', async () => {
    const mount = await BranchMount.open({ files });
    const [parent, fifo] = await mount.parentOf('fifo');
    const { attr } = await mount.vfs.mknod(parent, fifo, 0o010600, 0, { uid: 5, gid: 6, pid: 1 });
    expect(attr).toMatchObject({ mode: 0o010600, uid: 5, gid: 6 });
    await mount.unlink('README.md');
    const [, readme] = await mount.parentOf('README.md');
    await mount.vfs.mknod(parent, readme, 0o020600, 0x103, { uid: 0, gid: 0, pid: 1 });
    expect((await mount.stat('README.md')).rdev).toBe(0x103);
    await mount.vfs.mknod(parent, 'plain' as never, 0o100755, 0, { uid: 0, gid: 0, pid: 1 });
    await mount.commit();
    expect((await mount.ls()).sort()).toEqual(['README.md', 'bin', 'fifo', 'plain', 'src']);
    expect(await storedTree(mount.gitDir, 'main')).not.toContainEqual(
      expect.stringMatching(/fifo|README/),
    );
    expect(await mount.git('ls-tree', 'main', 'plain')).toMatch(/^100755/);
  });

  test('times are kept to the nanosecond, and commits leave them alone', async () => {
    const mount = await BranchMount.open({ files });
    const before = Date.now() / 1000;
    await mount.write('src/a.txt', 'changed');
    const { mtime, ctime } = await mount.stat('src/a.txt');
    expect(mtime.sec + mtime.nsec / 1e9).toBeGreaterThan(before - 0.01);
    await mount.commit();
    expect(await mount.stat('src/a.txt')).toMatchObject({ mtime, ctime });
    expect((await mount.stat('src/b.txt')).mtime).toEqual({ sec: 1_700_000_000, nsec: 0 });
    const times = { atime: { sec: 1, nsec: 2 }, mtime: { sec: 3, nsec: 999_999_999 } };
    const ino = await mount.get('src/a.txt');
    await mount.vfs.setattr(ino, times, undefined, { uid: 0, gid: 0, pid: 1 });
    expect(await mount.stat('src/a.txt')).toMatchObject(times);
    // What was changed through the mount is remembered beyond the kernel's memory.
    mount.forgetAll(ino);
    expect(await mount.stat('src/a.txt')).toMatchObject(times);
    await mount.write('src/b.txt', 'x');
    const first = (await mount.stat('src/b.txt')).mtime;
    await mount.write('src/b.txt', 'y');
    const second = (await mount.stat('src/b.txt')).mtime;
    expect(second.sec * 1e9 + second.nsec).toBeGreaterThan(first.sec * 1e9 + first.nsec);
  });

  test('a listing shows each entry that stays exactly once', async () => {
    const many: Record<string, string> = {};
    for (let index = 0; index < 300; index++) many[`f${index}`] = '';
    const mount = await BranchMount.open({ files: many });
    await mount.write('new', 'x');
    const { fh } = await mount.vfs.opendir(1 as never);
    const seen: string[] = [];
    const read = async (offset: number, count: number): Promise<number> => {
      let next = offset;
      await mount.vfs.readdir(1 as never, fh, offset, false, {
        add: (entry, _ino, _mode, after) => {
          if (seen.length >= count) return false;
          if (entry !== '.' && entry !== '..') seen.push(entry);
          next = after;
          return true;
        },
        addPlus: () => false,
      });
      return next;
    };
    const middle = await read(0, 150);
    for (const gone of seen.slice(0, 50)) await mount.unlink(gone);
    await mount.write('added', 'x');
    await mount.commit();
    let offset = middle;
    for (let before = -1; before !== offset;) {
      before = offset;
      offset = await read(offset, 1000);
    }
    expect(new Set(seen).size).toBe(seen.length);
    for (const stays of [...Object.keys(many).slice(50), 'new']) expect(seen).toContain(stays);
  });

  test('inode numbers are the same in listings and for nodes, across commits', async () => {
    const mount = await BranchMount.open({ files });
    const listed = await mount.list();
    await mount.write('another', 'x');
    await mount.commit();
    const again = await mount.list();
    for (const [index, entry] of listed.names.entries()) {
      const ino = listed.inos[index];
      expect(again.inos[again.names.indexOf(entry)]).toBe(ino);
      expect((await mount.stat(entry)).ino).toBe(ino);
    }
    expect(new Set(again.inos).size).toBe(again.inos.length);
  });

  test('what is clean and forgotten takes no room', async () => {
    const mount = await BranchMount.open({ files });
    const inos = [];
    for (const path of [
      'src/deep/er/c.txt',
      'src/deep/er',
      'src/deep',
      'src/a.txt',
      'src',
      'bin',
    ]) {
      inos.push(await mount.get(path));
    }
    expect(mount.root.names.children.size).toBe(2);
    for (const ino of inos) mount.forgetAll(ino);
    expect(mount.root.names.children.size).toBe(0);
    expect(await mount.text('src/deep/er/c.txt')).toBe('c');
  });

  test('extended attributes tell the state', async () => {
    const mount = await BranchMount.open({ files });
    const tip = await mount.git('rev-parse', 'main');
    expect(await mount.xattr('src/a.txt', 'commit')).toBe(tip);
    expect(await mount.xattr('src/a.txt', 'ref')).toBe('refs/heads/main');
    expect(await mount.xattr('src/a.txt', 'oid')).toBe(
      await mount.git('rev-parse', 'main:src/a.txt'),
    );
    expect(await mount.xattr('', 'oid')).toBe(await mount.git('rev-parse', 'main^{tree}'));
    expect(await mount.xattr('src/a.txt', 'state')).toBe('committed');
    const file = await mount.openFile('src/a.txt');
    await mount.writeAt(file, 0, 'x');
    expect(await mount.xattr('src/a.txt', 'state')).toBe('dirty');
    await mount.close(file);
    expect(await mount.xattr('src/a.txt', 'state')).toBe('staged');
    expect(await mount.xattr('src', 'state')).toBe('staged');
    expect(mount.status).toMatchObject({ stagedFiles: 1, stagedBytes: 1 });
    await mount.commit();
    expect(await mount.xattr('src/a.txt', 'state')).toBe('committed');
    expect(await mount.xattr('', 'commit')).toBe(await mount.git('rev-parse', 'main'));
  });
});
