import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { git } from '../../../helpers/git.ts';
import { storedTree } from '../../../helpers/tree-listing.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import { caller, name } from '../helpers/fake-nodes.ts';
import { BranchMount, commitOutside, mainRef } from './branch-mount.ts';

const files = {
  'README.md': 'read me',
  'src/a.txt': 'a',
  'src/b.txt': 'b',
  'src/deep/c.txt': 'c',
  'src/deep/d.txt': 'd',
  'other/x': 'x',
};

async function mountOf(): Promise<BranchMount> {
  const mount = await BranchMount.open({ files });
  // Everything is known to the kernel.
  await mount.shown();
  mount.notifier.clear();
  return mount;
}

async function follow(mount: BranchMount): Promise<void> {
  await mount.branches.refsChanged([mainRef]);
}

async function expectShown(mount: BranchMount, treeish = 'main'): Promise<void> {
  expect(await mount.shown()).toEqual(await storedTree(mount.gitDir, treeish));
}

describe('a commit from outside', () => {
  test('shows, and the kernel is told of what changed and nothing else', async () => {
    const mount = await mountOf();
    const [readme, b, src, deep, other] = [
      await mount.get('README.md'),
      await mount.get('src/b.txt'),
      await mount.get('src'),
      await mount.get('src/deep'),
      await mount.get('other'),
    ];
    await commitOutside(mount.gitDir, {
      'README.md': 'changed outside',
      'src/new.txt': 'new',
      'src/b.txt': null,
      'src/deep/c.txt*': 'c',
    });
    await follow(mount);
    expect(mount.notifier.entries.sort()).toEqual([`${src}/b.txt`, `${src}/new.txt`].sort());
    expect(mount.notifier.inodes).toContain(readme);
    expect(mount.notifier.inodes).toContain(deep);
    expect(mount.notifier.inodes).not.toContain(other);
    expect(await mount.get('README.md')).toBe(readme);
    expect(mount.context.inodes.get(b)).toBeDefined();
    await expectShown(mount);
    expect((await mount.stat('README.md')).mtime.sec).toBe(1_700_000_000);
    await mount.expectCommitted();
    expect(mount.branch.tip).toBe(await mount.git('rev-parse', 'main'));
  });

  test('is appended to where it ends, also by who has not heard of it', async () => {
    const mount = await mountOf();
    const readme = await mount.get('README.md');
    const kernelsEnd = (await mount.stat('README.md')).size;
    await commitOutside(mount.gitDir, { 'README.md': 'longer than what was there before\n' });
    await follow(mount);
    mount.notifier.clear();
    const append = async (offset: number, text: string): Promise<void> => {
      const file = await mount.openFile('README.md', constants.O_WRONLY | constants.O_APPEND);
      expect(file.ino).toBe(readme);
      const data = Buffer.from(text);
      expect(await mount.vfs.write(readme, file.fh, offset, data, true)).toBe(data.length);
      await mount.close(file);
    };
    await append(kernelsEnd, 'ours\n');
    expect(mount.notifier.inodes).toEqual([readme]);
    mount.notifier.clear();
    await append((await mount.stat('README.md')).size, 'more\n');
    expect(mount.notifier.inodes).toEqual([]);
    await mount.commit();
    const content = await mount.git('show', 'main:README.md');
    expect(content).toBe('longer than what was there before\nours\nmore');
  });

  test.each(['fast-forward', 'rewound'])('keeps what is staged: %s', async (kind) => {
    const mount = await mountOf();
    const first = await mount.git('rev-parse', 'main');
    await mount.write('base.txt', 'second commit');
    await mount.commit();
    await mount.write('staged.txt', 'staged');
    await mount.write('src/a.txt', 'A');
    await mount.unlink('src/deep/c.txt');
    await mount.rename('other', 'moved');
    const outside = await commitOutside(
      mount.gitDir,
      { 'src/b.txt': 'B', 'outside.txt': 'o' },
      kind === 'rewound' ? { parent: first } : {},
    );
    // Nobody tells the mount: the commit finds out.
    await mount.commit();
    expect(await mount.git('rev-parse', 'main^')).toBe(outside);
    expect(mount.branches.counts).toEqual({ commits: 2, retries: 1, failures: 0, reconciles: 1 });
    await mount.expectCommitted();
    expect(await mount.text('staged.txt')).toBe('staged');
    expect(await mount.text('src/a.txt')).toBe('A');
    expect(await mount.text('src/b.txt')).toBe('B');
    expect(await mount.text('outside.txt')).toBe('o');
    expect(await mount.text('moved/x')).toBe('x');
    expect(await mount.find('src/deep/c.txt')).toBeNull();
    expect(await mount.find('base.txt')).toBe(
      kind === 'rewound' ? null : await mount.get('base.txt'),
    );
    expect(mount.status.conflicts).toEqual([]);
  });

  test('a path that both changed gets the content of the mount, and everybody is told', async () => {
    const mount = await mountOf();
    await mount.write('README.md', 'ours');
    await mount.write('both-new', 'ours');
    await mount.unlink('src/a.txt');
    await mount.write('src/b.txt', 'ours');
    await mount.write('src/deep/c.txt', 'the same');
    await commitOutside(mount.gitDir, {
      'README.md': 'theirs',
      'both-new': 'theirs',
      'src/a.txt': 'theirs',
      'src/b.txt': null,
      'src/deep/c.txt': 'the same',
    });
    await follow(mount);
    const conflicts = ['README.md', 'both-new', 'src/a.txt', 'src/b.txt'];
    expect([...mount.status.conflicts].sort()).toEqual(conflicts);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('README.md')).toBe('ours');
    expect(await mount.git('show', 'main^:README.md')).toBe('theirs');
    const reflog = await mount.git('reflog', 'show', '-1', '--format=%gs', 'main');
    for (const path of conflicts) expect(reflog).toContain(path);
    await mount.write('README.md', 'again');
    await mount.commit();
    expect(await mount.git('reflog', 'show', '-1', '--format=%gs', 'main')).toBe(
      'commit: ~ README.md',
    );
  });

  test('open handles keep what they opened', async () => {
    const mount = await mountOf();
    const reader = await mount.openFile('README.md', constants.O_RDONLY);
    const gone = await mount.openFile('src/a.txt', constants.O_RDONLY);
    await commitOutside(mount.gitDir, { 'README.md': 'new content', 'src/a.txt': null });
    await follow(mount);
    expect(await mount.readAt(reader)).toBe('read me');
    expect(await mount.readAt(gone)).toBe('a');
    expect(await mount.text('README.md')).toBe('new content');
    expect(await mount.get('README.md')).not.toBe(reader.ino);
    await mount.close(reader);
    await mount.close(gone);
    await expectShown(mount);
    await mount.expectCommitted();
  });

  test('a file that is open for writing shows the change when it is closed unchanged', async () => {
    const mount = await mountOf();
    const writer = await mount.openFile('README.md');
    const doomed = await mount.openFile('src/deep/c.txt');
    await commitOutside(mount.gitDir, {
      'README.md': 'theirs',
      'src/deep/c.txt': null,
      'src/deep/d.txt': null,
    });
    await follow(mount);
    expect(await mount.text('README.md')).toBe('read me');
    expect(await mount.text('src/deep/c.txt')).toBe('c');
    await mount.commit();
    expect(await mount.git('show', 'main:README.md')).toBe('theirs');
    mount.notifier.clear();
    await mount.close(writer);
    await mount.close(doomed);
    expect(mount.notifier.inodes).toContain(writer.ino);
    expect(await mount.text('README.md')).toBe('theirs');
    expect(await mount.find('src/deep')).toBeNull();
    await expectShown(mount);
    expect(mount.status.conflicts).toEqual([]);
  });

  test('a file that was changed and has its content again is not changed', async () => {
    const mount = await mountOf();
    await mount.write('README.md.new', 'read me');
    await mount.rename('README.md.new', 'README.md');
    await mount.write('src/a.txt', 'A');
    await mount.write('src/a.txt', 'a');
    await mount.chmod('src/b.txt', 0o755);
    await mount.chmod('src/b.txt', 0o644);
    await mount.rename('other/x', 'other/y');
    await mount.rename('other/y', 'other/x');
    await mount.symlink('c.txt', 'src/deep/link');
    await mount.commit();
    await mount.unlink('src/deep/link');
    await mount.symlink('c.txt', 'src/deep/link');
    const outside = {
      'README.md': 'theirs',
      'src/a.txt': null,
      'src/b.txt*': 'b',
      'other/x': 'theirs',
      'src/deep/link': 'a file',
    };
    await commitOutside(mount.gitDir, outside);
    await follow(mount);
    await expectShown(mount);
    const tip = await mount.git('rev-parse', 'main');
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.git('rev-parse', 'main')).toBe(tip);
    expect(mount.status.conflicts).toEqual([]);
  });

  test('nor is one that is open for writing as long as nothing is written to it', async () => {
    const mount = await mountOf();
    for (const path of ['README.md', 'src/a.txt']) {
      await mount.write(`${path}.new`, await mount.text(path));
      await mount.rename(`${path}.new`, path);
    }
    const [unchanged, changed] = [
      await mount.openFile('README.md'),
      await mount.openFile('src/a.txt'),
    ];
    for (const content of ['theirs', 'theirs again']) {
      await commitOutside(mount.gitDir, { 'README.md': content, 'src/a.txt': content });
      await follow(mount);
      await mount.commit();
    }
    expect(await mount.git('show', 'main:README.md')).toBe('theirs again');
    await mount.writeAt(changed, 0, 'A');
    await mount.close(unchanged);
    await mount.close(changed);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('README.md')).toBe('theirs again');
    expect(await mount.text('src/a.txt')).toBe('A');
    expect(mount.status.conflicts).toEqual(['src/a.txt']);
  });

  test('what is written into a file that others changed meanwhile wins', async () => {
    const mount = await mountOf();
    const writer = await mount.openFile('README.md');
    const doomed = await mount.openFile('src/deep/c.txt');
    await mount.writeAt(doomed, 0, 'C');
    await commitOutside(mount.gitDir, {
      'README.md': 'theirs',
      'src/deep/c.txt': null,
      'src/deep/d.txt': null,
    });
    await follow(mount);
    await mount.writeAt(writer, 0, 'READ');
    await mount.close(writer);
    await mount.close(doomed);
    expect([...mount.status.conflicts].sort()).toEqual(['README.md', 'src/deep/c.txt']);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('README.md')).toBe('READ me');
    expect(await mount.ls('src/deep')).toEqual(['c.txt']);
  });

  test('a new file that others made too, while it was open, wins', async () => {
    const mount = await mountOf();
    const file = await mount.create('new');
    await mount.writeAt(file, 0, 'ours');
    await commitOutside(mount.gitDir, { new: 'theirs' });
    await follow(mount);
    expect(await mount.text('new')).toBe('ours');
    await mount.close(file);
    expect(mount.status.conflicts).toEqual(['new']);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.git('show', 'main:new')).toBe('ours');
  });

  test('directories that both made come together', async () => {
    const mount = await mountOf();
    await mount.mkdir('made');
    await mount.write('made/ours', '1');
    await mount.mkdir('made/inner');
    await mount.write('made/inner/ours', '2');
    await commitOutside(mount.gitDir, { 'made/theirs': '3', 'made/inner/theirs': '4' });
    await follow(mount);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.ls('made/inner')).toEqual(['ours', 'theirs']);
    expect(mount.status.conflicts).toEqual([]);
  });

  test('what others put into a directory that the mount removed or moved stays', async () => {
    const mount = await mountOf();
    await mount.rename('src', 'moved');
    await mount.unlink('other/x');
    await mount.rmdir('other');
    await commitOutside(mount.gitDir, {
      'src/new.txt': 'new',
      'src/deep/new.txt': 'new too',
      'src/a.txt': 'theirs',
      'other/x': 'theirs',
    });
    await follow(mount);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.ls('src')).toEqual(['deep', 'new.txt']);
    expect(await mount.ls('src/deep')).toEqual(['new.txt']);
    expect(await mount.text('moved/a.txt')).toBe('a');
    expect(await mount.find('other')).toBeNull();
    expect([...mount.status.conflicts].sort()).toEqual(['other', 'src/a.txt']);
  });

  test('what the mount deleted from a directory that it made again stays deleted', async () => {
    const mount = await mountOf();
    for (const file of ['a.txt', 'b.txt', 'deep/c.txt', 'deep/d.txt']) {
      await mount.unlink(`src/${file}`);
    }
    await mount.rmdir('src/deep');
    await mount.rmdir('src');
    await mount.mkdir('src');
    await mount.write('src/ours', 'ours');
    await commitOutside(mount.gitDir, {
      'src/a.txt': 'theirs',
      'src/deep/c.txt': 'theirs',
      'src/theirs': 'theirs',
    });
    await follow(mount);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.ls('src')).toEqual(['ours', 'theirs']);
    expect([...mount.status.conflicts].sort()).toEqual(['src/a.txt', 'src/deep']);
  });

  test('what was moved out of a directory that is made again is not there twice', async () => {
    const mount = await mountOf();
    await mount.rename('src', 'moved');
    await mount.mkdir('src');
    await commitOutside(mount.gitDir, { 'src/deep/new': 'theirs' });
    await follow(mount);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.ls('moved')).toEqual(['a.txt', 'b.txt', 'deep']);
    expect(await mount.ls('src')).toEqual(['deep']);
    expect(await mount.ls('src/deep')).toEqual(['new']);
    expect(mount.status.conflicts).toEqual([]);
  });

  test('a directory that another one was moved over has what is new on both sides', async () => {
    const mount = await mountOf();
    await mount.mkdir('next');
    await mount.mkdir('next/deep');
    await mount.write('next/a.txt', 'ours');
    await mount.write('next/b.txt', 'b');
    await mount.write('next/deep/c.txt', 'c');
    await mount.write('next/deep/ours', 'ours');
    await mount.commit();
    await mount.rename('src', 'old');
    await mount.rename('next', 'src');
    await commitOutside(mount.gitDir, {
      'src/b.txt': 'theirs',
      'src/deep/c.txt': null,
      'src/deep/d.txt': 'theirs',
      'src/deep/theirs': 'theirs',
    });
    await follow(mount);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.ls('src')).toEqual(['a.txt', 'b.txt', 'deep']);
    expect(await mount.ls('src/deep')).toEqual(['ours', 'theirs']);
    expect(await mount.text('src/a.txt')).toBe('ours');
    expect(await mount.text('old/deep/d.txt')).toBe('d');
    expect(mount.status.conflicts).toContain('src/deep/d.txt');
  });

  test('a directory that was moved away and back is where it was', async () => {
    const mount = await mountOf();
    const src = await mount.get('src');
    await mount.rename('src', 'away');
    await mount.rename('away', 'src');
    await commitOutside(mount.gitDir, { 'src/a.txt': 'theirs', 'src/new': 'theirs' });
    await follow(mount);
    expect(await mount.get('src')).toBe(src);
    expect(await mount.text('src/a.txt')).toBe('theirs');
    expect(await mount.text('src/new')).toBe('theirs');
    await mount.commit();
    await mount.expectCommitted();
    expect(mount.status.conflicts).toEqual([]);
    expect(await mount.git('rev-list', '--count', 'main')).toBe('2');
  });

  test('what others put where the mount moved a directory comes to what is in that', async () => {
    const mount = await mountOf();
    const [moved, file] = [await mount.get('src/deep'), await mount.get('src/deep/d.txt')];
    await mount.rename('src/deep', 'z');
    await mount.unlink('z/c.txt');
    await commitOutside(mount.gitDir, {
      'z/1': 'theirs',
      'z/c.txt': 'theirs',
      'z/d.txt': 'theirs',
    });
    await follow(mount);
    expect(await mount.get('z')).toBe(moved);
    expect(await mount.get('z/d.txt')).toBe(file);
    await mount.commit();
    await mount.expectCommitted();
    expect((await mount.ls('z')).sort()).toEqual(['1', 'c.txt', 'd.txt']);
    expect(await mount.text('z/d.txt')).toBe('d');
    expect(mount.status.conflicts).toEqual(['z/d.txt']);
  });

  test('a directory that others removed keeps what the mount changed in it', async () => {
    const mount = await mountOf();
    await mount.write('src/deep/c.txt', 'ours');
    await commitOutside(mount.gitDir, {
      'src/a.txt': null,
      'src/b.txt': null,
      'src/deep/c.txt': null,
      'src/deep/d.txt': null,
    });
    await follow(mount);
    expect(await mount.ls('src')).toEqual(['deep']);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.ls('src/deep')).toEqual(['c.txt']);
    expect(mount.status.conflicts).toEqual(['src/deep/c.txt']);
  });

  test('what others change stays as accessible as the session made it', async () => {
    const mount = await mountOf();
    const [root, bits] = [await mount.get('src'), 0o7777];
    const modeOf = async (path: string): Promise<number> => (await mount.stat(path)).mode & bits;
    await mount.chmod('src', 0o700);
    await mount.vfs.setattr(rootIno, { mode: 0o2770 }, undefined, caller);
    await mount.chmod('README.md', 0o600);
    await mount.chmod('src/a.txt', 0o640);
    await mount.chmod('src/b.txt', 0o711);
    await mount.chmod('other/x', 0o600);
    await mount.link('src/deep/c.txt', 'second');
    await mount.chmod('second', 0o600);
    await mount.commit();
    const reader = await mount.openFile('other/x', constants.O_RDONLY);
    await commitOutside(mount.gitDir, {
      new: 'theirs',
      'src/new': 'theirs',
      'README.md': 'theirs',
      'src/a.txt*': 'theirs',
      'src/b.txt': 'theirs',
      'other/x': 'theirs',
      'src/deep/c.txt': 'theirs',
    });
    await follow(mount);
    expect((await mount.vfs.getattr(rootIno, undefined)).attr.mode & bits).toBe(0o2770);
    expect(await mount.get('src')).toBe(root);
    expect(await modeOf('src')).toBe(0o700);
    expect(await modeOf('README.md')).toBe(0o600);
    expect(await modeOf('src/a.txt')).toBe(0o750);
    expect(await modeOf('src/b.txt')).toBe(0o600);
    expect(await modeOf('other/x')).toBe(0o600);
    expect(await modeOf('second')).toBe(0o600);
    expect(await modeOf('src/deep/c.txt')).toBe(0o600);
    expect(await modeOf('src/new')).toBe(0o644);
    expect(await mount.text('other/x')).toBe('theirs');
    expect(await mount.text('src/deep/c.txt')).toBe('theirs');
    expect(await mount.readAt(reader)).toBe('x');
    await mount.close(reader);
    await mount.mkdir('inherits');
    expect(await modeOf('inherits')).toBe(0o2755);
    await mount.commit();
    await mount.expectCommitted();
  });

  test('a directory that others removed goes when the mount only deleted in it', async () => {
    const mount = await mountOf();
    await mount.unlink('src/deep/c.txt');
    await mount.write('src/deep/passing', 'x');
    await mount.unlink('src/deep/passing');
    await mount.unlink('other/x');
    const open = await mount.openFile('src/b.txt');
    await commitOutside(mount.gitDir, {
      'src/a.txt': null,
      'src/b.txt': null,
      'src/deep/c.txt': null,
      'src/deep/d.txt': null,
      'other/x': null,
      other: 'now a file',
    });
    await follow(mount);
    expect(await mount.ls('src')).toEqual(['b.txt']);
    await mount.commit();
    await mount.close(open);
    await expectShown(mount);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.ls()).toEqual(['README.md', 'other']);
    expect(await mount.text('other')).toBe('now a file');
    expect(mount.status.conflicts).toEqual([]);
  });

  test('what both deleted is no conflict, and does not hide what others put in its place', async () => {
    const mount = await mountOf();
    await mount.unlink('other/x');
    await mount.rmdir('other');
    await mount.unlink('README.md');
    await mount.rename('src', 'moved');
    await mount.write('src', 'a file');
    await commitOutside(mount.gitDir, {
      'other/x': null,
      other: 'now a file',
      'README.md': null,
      'README.md/inner': 'now a directory',
      'src/a.txt': null,
      'src/deep/c.txt': null,
    });
    await follow(mount);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.text('other')).toBe('now a file');
    expect(await mount.text('README.md/inner')).toBe('now a directory');
    expect(await mount.text('src')).toBe('a file');
    expect(mount.status.conflicts).toEqual([]);
    await mount.unlink('moved/b.txt');
    await mount.rename('moved', 'again');
    await commitOutside(mount.gitDir, { 'moved/deep/c.txt': null, 'moved/b.txt': null });
    await follow(mount);
    expect(mount.status.conflicts).toEqual([]);
  });

  test('types change', async () => {
    const mount = await mountOf();
    const readme = await mount.get('README.md');
    await commitOutside(mount.gitDir, { 'README.md': null, 'README.md/now': 'a directory' });
    await commitOutside(mount.gitDir, {
      'src/a.txt': null,
      'src/b.txt': null,
      'src/deep/c.txt': null,
      'src/deep/d.txt': null,
      src: 'now a file',
    });
    await follow(mount);
    await expectShown(mount);
    expect(await mount.get('README.md')).not.toBe(readme);
    expect(await mount.text('src')).toBe('now a file');
    await mount.expectCommitted();
  });

  test('a file in the way of a directory that the mount changed gives way', async () => {
    const mount = await mountOf();
    await mount.write('src/a.txt', 'ours');
    await mount.unlink('README.md');
    await mount.mkdir('README.md');
    await mount.write('README.md/inner', 'ours');
    await commitOutside(mount.gitDir, {
      'README.md': 'theirs',
      'src/a.txt': null,
      'src/b.txt': null,
      'src/deep/c.txt': null,
      'src/deep/d.txt': null,
      src: 'now a file',
    });
    await follow(mount);
    await mount.commit();
    await mount.expectCommitted();
    expect(await mount.ls('src')).toEqual(['a.txt']);
    expect(await mount.ls('README.md')).toEqual(['inner']);
    expect(mount.status.conflicts).toContain('src');
    expect(mount.status.conflicts).toContain('README.md');
  });

  test('a name of a hard link changes alone', async () => {
    const mount = await mountOf();
    await mount.link('README.md', 'second');
    await mount.commit();
    await commitOutside(mount.gitDir, { 'README.md': 'theirs' });
    await follow(mount);
    expect(await mount.text('README.md')).toBe('theirs');
    expect(await mount.text('second')).toBe('read me');
    expect((await mount.stat('second')).nlink).toBe(1);
    await mount.expectCommitted();
  });

  test('scratch files and fifos are not in the way', async () => {
    const mount = await mountOf();
    await mount.write('src/a~', 'ours');
    const [parent, fifo] = await mount.parentOf('src/fifo');
    await mount.vfs.mknod(parent, fifo, 0o010600, 0, { uid: 0, gid: 0, pid: 1 });
    await commitOutside(mount.gitDir, {
      'src/a~': 'theirs',
      'src/fifo': 'theirs',
      'src/a.txt': null,
    });
    await follow(mount);
    expect(await mount.text('src/a~')).toBe('ours');
    expect((await mount.stat('src/fifo')).mode & 0o170000).toBe(0o010000);
    expect(await mount.find('src/a.txt')).toBeNull();
    mount.expectNothingStaged();
  });

  test('a branch that others rewind while it is committed again and again loses nothing', async () => {
    const mount = await mountOf();
    for (let round = 0; round < 8; round++) {
      await mount.write(`ours-${round}`, 'x');
      const [outside] = await Promise.all([
        // git says so when it was overtaken, and a person tries again.
        eventually(() => commitOutside(mount.gitDir, { [`theirs-${round}`]: 'y' })),
        mount.commit(),
      ]);
      await mount.commit();
      const ancestors = await mount.git('rev-list', 'main');
      // Either was first; in a race fast-import may also have gone back behind our commit.
      expect(ancestors.split('\n')).toContain(outside);
    }
    // Theirs may have been last, with nothing of ours left to be put on top.
    await follow(mount);
    await mount.expectCommitted();
  });
});

describe('a branch that others deleted', () => {
  test('leaves a file that has a name in another branch, too, which can be written there', async () => {
    const mount = await BranchMount.open({ files, branches: ['other'] });
    const other = await mount.openBranch('other');
    await mount.write('shared', 'first');
    await mount.vfs.link(await mount.get('shared'), other.ino, name('shared'));
    await mount.commit();
    await mount.git('update-ref', '-d', 'refs/heads/other');
    await mount.branches.refsChanged([parseRefName('refs/heads/other')]);
    const file = await mount.openFile('shared');
    await mount.writeAt(file, 0, 'FIRST');
    await mount.close(file);
    await mount.commit();
    expect(await mount.git('show', 'main:shared')).toBe('FIRST');
    await mount.expectCommitted();
  });

  test('answers ESTALE to writers, and what was staged gets a ref of its own', async () => {
    const mount = await mountOf();
    const tip = await mount.git('rev-parse', 'main');
    await mount.write('staged.txt', 'precious');
    const open = await mount.openFile('README.md');
    await mount.writeAt(open, 0, 'READ');
    await mount.git('update-ref', '-d', 'refs/heads/main');
    await follow(mount);
    const stale = 116;
    expect(await mount.errnoOf(() => mount.write('src/a.txt', 'x'))).toBe(stale);
    expect(await mount.errnoOf(() => mount.mkdir('d'))).toBe(stale);
    expect(await mount.errnoOf(() => mount.unlink('README.md'))).toBe(stale);
    expect(await mount.errnoOf(() => mount.writeAt(open, 0, 'x'))).toBe(stale);
    expect(await mount.errnoOf(() => mount.close(open))).toBe(stale);
    expect(await mount.text('src/b.txt')).toBe('b');
    const [ref, ...others] = (
      await mount.git('for-each-ref', '--format=%(refname)', 'refs/vost/orphaned/main/')
    ).split('\n');
    expect(others).toEqual([]);
    expect(await mount.git('show', `${ref}:staged.txt`)).toBe('precious');
    expect(await mount.git('rev-parse', `${ref}^`)).toBe(tip);
    expect(mount.lines.join('')).toContain('branch-deleted');
    expect(mount.branches.status()).toEqual([]);
  });

  test('lets go of what was not closed when nobody has it open any more', async () => {
    const mount = await mountOf();
    const { writing, referred } = mount.root.inode.context;
    const known = await mount.openFile('README.md');
    await mount.writeAt(known, 0, 'READ');
    const made = await mount.create('made');
    await mount.writeAt(made, 0, Buffer.alloc(2 ** 21, 'big'));
    const small = await mount.create('small');
    const reader = await mount.openFile('small', constants.O_RDONLY);
    await mount.writeAt(small, 0, 'small');
    await mount.git('update-ref', '-d', 'refs/heads/main');
    await follow(mount);
    const stale = 116;
    for (const file of [known, made, small]) {
      expect(await mount.errnoOf(() => mount.close(file))).toBe(stale);
    }
    expect(await mount.readAt(reader)).toBe('small');
    await mount.close(reader);
    expect(writing.memory.usedBytes).toBe(0);
    expect(referred.openFiles.size).toBe(0);
    expect(mount.notifier.inodes).toContain(made.ino);
    expect(await mount.text('README.md')).toBe('read me');
    for (const { ino } of [made, small]) {
      expect(await mount.errnoOf(() => mount.vfs.getattr(ino, undefined))).toBe(stale);
    }
  });

  test('leaves nothing behind when nothing was staged', async () => {
    const mount = await mountOf();
    await mount.git('update-ref', '-d', 'refs/heads/main');
    await mount.commit();
    await follow(mount);
    expect(await mount.git('for-each-ref')).toBe('');
    expect(await mount.text('README.md')).toBe('read me');
  });

  test('is another branch when it is made again', async () => {
    const mount = await mountOf();
    await mount.write('staged.txt', 'precious');
    const tip = await mount.git('rev-parse', 'main');
    await git(['--git-dir', mount.gitDir, 'update-ref', '-d', 'refs/heads/main']);
    await follow(mount);
    await git(['--git-dir', mount.gitDir, 'update-ref', 'refs/heads/main', tip]);
    const place = { ino: mount.context.inos.next(), parent: null };
    const root = await mount.branches.open(mainRef, place);
    expect(root).not.toBe(mount.root);
    expect(await root.lookup('staged.txt' as never)).toBeNull();
    expect(await root.lookup('README.md' as never)).not.toBeNull();
  });
});
