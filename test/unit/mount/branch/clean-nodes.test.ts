import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { ByteString } from '../../../../src/git/byte-string.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { BranchMount, commitOutside } from './branch-mount.ts';

const files = { 'a.txt': 'a', 'b.txt': 'b', 'run*': 'run', 'src/c.txt': 'c' };

async function numbers(mount: BranchMount): Promise<Record<string, number>> {
  const { names, inos } = await mount.list();
  return Object.fromEntries(names.map((entry, index) => [entry, inos[index]!]));
}

describe('files that nobody has touched', () => {
  test('are known to the kernel, and not kept', async () => {
    const mount = await BranchMount.open({ files });
    await mount.list(undefined, true);
    const ino = await mount.get('a.txt');
    expect((await mount.stat('a.txt')).ino).toBe(ino);
    // The directory is.
    expect([...mount.root.names.children.keys()]).toEqual(['src']);
    expect(mount.context.inodes.get(ino)).toBeDefined();
    mount.forgetAll(ino);
    expect(mount.context.inodes.get(ino)).toBeUndefined();
  });

  test('are kept while they are open, under the same number', async () => {
    const mount = await BranchMount.open({ files });
    const ino = await mount.get('a.txt');
    const first = await mount.openFile('a.txt', constants.O_RDONLY);
    const second = await mount.openFile('a.txt', constants.O_RDONLY);
    expect(first.ino).toBe(ino);
    expect(mount.root.names.children.size).toBe(1);
    await mount.close(first);
    expect(await mount.readAt(second)).toBe('a');
    await mount.close(second);
    expect(mount.root.names.children.size).toBe(0);
    expect(await mount.get('a.txt')).toBe(ino);
    mount.forgetAll(ino);
    expect(mount.context.inodes.get(ino)).toBeUndefined();
  });

  test('give their content along with the first open alone, and when nobody else has them open', async () => {
    const mount = await BranchMount.open({ files });
    const open = async (path: string, flags: number): Promise<string | undefined> => {
      const { fh, firstContent } = await mount.vfs.open(await mount.get(path), flags, caller);
      const content = firstContent?.();
      await mount.vfs.release(await mount.get(path), fh);
      return content && Buffer.from(content).toString();
    };
    for (const path of ['a.txt', 'b.txt']) {
      const oid = await mount.vfs.getxattr(await mount.get(path), name('user.vost.oid'));
      await mount.root.inode.context.odb.read(Buffer.from(oid).toString() as Oid);
    }
    expect(await open('a.txt', constants.O_RDONLY)).toBe('a');
    expect(await open('a.txt', constants.O_RDONLY)).toBeUndefined();
    const writer = await mount.openFile('b.txt', constants.O_RDWR);
    expect(await open('b.txt', constants.O_RDONLY)).toBeUndefined();
    await mount.close(writer);
  });

  test('keep their number and time when they are changed, linked and moved', async () => {
    const mount = await BranchMount.open({ files });
    const before = await numbers(mount);
    const { mtime } = await mount.stat('b.txt');
    await mount.write('a.txt', 'changed');
    await mount.chmod('run', 0o644);
    await mount.link('b.txt', 'linked');
    await mount.rename('src/c.txt', 'moved.txt');
    const after = await numbers(mount);
    for (const path of ['a.txt', 'b.txt', 'run', 'src']) expect(after[path]).toBe(before[path]);
    expect(after['linked']).toBe(before['b.txt']);
    expect((await mount.stat('b.txt')).mtime).toEqual(mtime);
    expect((await mount.stat('b.txt')).nlink).toBe(2);
    await mount.commit();
    expect(await mount.text('a.txt')).toBe('changed');
    expect(await mount.text('linked')).toBe('b');
    await mount.expectCommitted();
  });

  test('show the change of others, its time, and the kernel is told', async () => {
    const mount = await BranchMount.open({ files });
    const before = await numbers(mount);
    const untouched = await mount.stat('b.txt');
    await mount.get('a.txt');
    await commitOutside(mount.gitDir, { 'a.txt': 'theirs', 'run*': null });
    mount.notifier.clear();
    await mount.branch.follow();
    expect(mount.notifier.inodes).toContain(before['a.txt']);
    expect(await mount.text('a.txt')).toBe('theirs');
    expect((await mount.stat('a.txt')).mtime.sec).toBe(1_700_000_000);
    mount.forgetAll(await mount.get('a.txt'));
    expect((await mount.stat('a.txt')).mtime.sec).toBe(1_700_000_000);
    expect(await mount.stat('b.txt')).toEqual(untouched);
    expect(Object.keys(await numbers(mount))).not.toContain('run');
    await mount.expectCommitted();
  });

  test('show in a listing what they show alone, once others have changed them and back', async () => {
    const mount = await BranchMount.open({ files });
    await mount.list();
    for (const content of ['theirs', 'a']) {
      await commitOutside(mount.gitDir, { 'a.txt': content }, { timeSec: 1_800_000_000 });
      await mount.branch.follow();
    }
    // The sizes are known from here on.
    await mount.list(undefined, true);
    for (const ino of Object.values(await numbers(mount))) mount.forgetAll(ino as Ino);
    const { plus } = await mount.list(undefined, true);
    for (const { name: listed, entry } of plus) {
      expect(await mount.vfs.lookup(rootIno, listed as ByteString, caller)).toEqual(entry);
    }
    expect((await mount.stat('a.txt')).mtime).not.toEqual((await mount.stat('b.txt')).mtime);
  });
});
