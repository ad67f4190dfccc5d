import { constants } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { ResumableVfs } from '../../../../src/mount/resume/resumable-vfs.ts';
import { ResumeJournal, firstNumber } from '../../../../src/mount/resume/resume-journal.ts';
import { InodeRow } from '../../../../src/mount/vfs/inode-rows.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { EntryReply, Fh, Ino } from '../../../../src/mount/vfs/operations.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';
import { MemoryNotifier, MemorySink, caller, fakeVfs, name } from '../helpers/fake-nodes.ts';
import { memoryLog, newContext } from '../helpers/fake-nodes.ts';
import type { FakeDirectory } from '../helpers/fake-nodes.ts';

interface Daemon {
  readonly vfs: ResumableVfs;
  readonly root: FakeDirectory;
  readonly isKnown: (ino: Ino) => boolean;
  readonly die: () => void;
}

/** Daemons that follow each other on one mount, over a tree that `fill` makes anew for each. */
async function daemons(fill: (root: FakeDirectory) => void): Promise<() => Promise<Daemon>> {
  const path = join(await temporaryDirectory(), 'journal');
  return async () => {
    const journal = ResumeJournal.open(path);
    const context = newContext(firstNumber(journal.life));
    const { vfs: behind, root } = fakeVfs({}, context);
    fill(root);
    const vfs = new ResumableVfs(behind, context.inodes, journal);
    if (journal.life > 0) await vfs.resume(memoryLog().log);
    return {
      ...{ vfs, root, die: () => journal.close() },
      isKnown: (ino) => context.inodes.get(ino) !== undefined,
    };
  };
}

async function lookup({ vfs }: Daemon, parent: Ino, child: string): Promise<Ino> {
  const entry: EntryReply = await vfs.lookup(parent, name(child), caller);
  return entry.attr!.ino;
}

const tree = (root: FakeDirectory): void => {
  root.addDirectory('other');
  root.addDirectory('dir').addDirectory('sub').addFile('file', 'content');
};

describe('ResumableVfs', () => {
  it('gives the kernel no content along with an open', async () => {
    const journal = ResumeJournal.open(join(await temporaryDirectory(), 'journal'));
    const context = newContext();
    const { vfs: behind, root } = fakeVfs({}, context);
    root.addFile('file', 'content');
    vi.spyOn(behind, 'open').mockReturnValue({ fh: 1 as Fh, firstContent: () => Buffer.alloc(1) });
    const vfs = new ResumableVfs(behind, context.inodes, journal);
    const { attr } = await vfs.lookup(rootIno, name('file'), caller);
    expect((await vfs.open(attr!.ino, 0, caller)).firstContent).toBeUndefined();
    journal.close();
  });

  it('knows directories of the daemon before by their numbers, and no files', async () => {
    const next = await daemons(tree);
    const first = await next();
    const dir = await lookup(first, rootIno, 'dir');
    const sub = await lookup(first, dir, 'sub');
    const file = await lookup(first, sub, 'file');
    first.die();
    const second = await next();
    expect((await second.vfs.getattr(sub, undefined)).attr.ino).toBe(sub);
    expect(await lookup(second, rootIno, 'dir')).toBe(dir);
    expect(() => second.vfs.getattr(file, undefined)).toThrow(/not known/);
    const fileNow = await lookup(second, sub, 'file');
    expect(fileNow).toBeGreaterThan(2 ** 40);
    second.die();
    const third = await next();
    expect(await lookup(third, dir, 'sub')).toBe(sub);
    third.die();
  });

  it('lists old directories under their old numbers, before and after they were found', async () => {
    const next = await daemons(tree);
    const first = await next();
    const dir = await lookup(first, rootIno, 'dir');
    first.die();
    const second = await next();
    for (const plus of [false, false, true]) {
      const sink = new MemorySink();
      const { fh } = await second.vfs.opendir(rootIno);
      await second.vfs.readdir(rootIno, fh, 0, plus, sink);
      expect(sink.inos[sink.names.indexOf('dir')]).toBe(dir);
      await second.vfs.releasedir(rootIno, fh);
    }
    second.die();
  });

  it('lists a file that has no node of its own, and whose handle was lost two daemons ago', async () => {
    const next = await daemons((root) => root.addFile('file', 'content'));
    const first = await next();
    const flags = constants.O_RDWR;
    // Written, and never synced.
    const { entry } = await first.vfs.create(rootIno, name('file'), 0o644, flags, caller);
    const file = entry.attr!.ino;
    first.die();
    (await next()).die();
    const third = await next();
    const { root } = third;
    const node = root.children.get(name('file'))!;
    const ino = root.context.inos.reserve(1);
    const row = new InodeRow(ino, 1, { rowNode: () => node });
    Object.assign(node, { ino });
    vi.spyOn(node, 'row', 'get').mockReturnValue(row);
    const attr = await node.getattr();
    vi.spyOn(root, 'entries').mockReturnValue({
      entry: () => undefined,
      placed: (position) => (position === 0 ? { name: name('file'), attr, row } : undefined),
    });
    for (const room of [2, 3, 3]) {
      const sink = new MemorySink(room);
      const directory = await third.vfs.opendir(rootIno);
      await third.vfs.readdir(rootIno, directory.fh, 0, true, sink);
      expect(sink.inos.slice(2)).toEqual(room === 2 ? [] : [file]);
    }
    // The daemons before have told the kernel of it once at least, and this one has twice.
    third.vfs.forget(file, 2);
    expect(third.isKnown(ino)).toBe(true);
    third.vfs.forget(file, 1);
    expect(third.isKnown(ino)).toBe(false);
    third.die();
  });

  it('does not count an entry for which there was no room', async () => {
    const next = await daemons(tree);
    const first = await next();
    const dir = await lookup(first, rootIno, 'dir');
    first.die();
    const second = await next();
    const { fh } = await second.vfs.opendir(rootIno);
    await second.vfs.readdir(rootIno, fh, 0, true, new MemorySink(3));
    const { ino } = second.root.children.get(name('dir'))!;
    // The kernel was told of it by the first daemon alone, and forgets that.
    second.vfs.forget(dir, 1);
    expect(second.isKnown(ino)).toBe(false);
    second.die();
  });

  it('lets go of an old directory when the kernel forgets more than this daemon has told', async () => {
    const next = await daemons(tree);
    const first = await next();
    const dir = await lookup(first, rootIno, 'dir');
    for (let count = 0; count < 4; count++) await lookup(first, rootIno, 'dir');
    first.die();
    const second = await next();
    for (let count = 0; count < 2; count++) await lookup(second, rootIno, 'dir');
    const { ino } = second.root.children.get(name('dir'))!;
    second.vfs.forget(dir, 1);
    expect(second.isKnown(ino)).toBe(true);
    second.vfs.forget(dir, 6);
    expect(second.isKnown(ino)).toBe(false);
    expect(await lookup(second, rootIno, 'dir')).toBe(ino);
    // One that nobody has asked for since is forgotten too.
    second.vfs.forget(ino, 1);
    second.die();
    const third = await next();
    expect(() => third.vfs.getattr(ino, undefined)).toThrow(/not known/);
    third.die();
  });

  it('finds a directory where it was moved to, and no other thing in its place', async () => {
    let isMoved = false;
    const next = await daemons((root) => {
      root.addDirectory(isMoved ? 'moved' : 'dir');
      if (isMoved) root.addFile('other');
      else root.addDirectory('other');
    });
    const first = await next();
    const dir = await lookup(first, rootIno, 'dir');
    const other = await lookup(first, rootIno, 'other');
    await first.vfs.rename(rootIno, name('dir'), rootIno, name('moved'), 0);
    first.die();
    isMoved = true;
    const second = await next();
    expect(await lookup(second, rootIno, 'moved')).toBe(dir);
    expect(await lookup(second, rootIno, 'other')).not.toBe(other);
    expect(() => second.vfs.getattr(other, undefined)).toThrow(/not there any more/);
    second.die();
  });

  it('tells the kernel of changes by the numbers that it has', async () => {
    const next = await daemons(tree);
    const first = await next();
    const dir = await lookup(first, rootIno, 'dir');
    first.die();
    const second = await next();
    await lookup(second, rootIno, 'dir');
    const { ino } = second.root.children.get(name('dir'))!;
    const kernel = new MemoryNotifier();
    const notifier = second.vfs.notifier(kernel);
    notifier.invalidateInode(ino);
    notifier.invalidateEntry(ino, name('x'));
    expect([kernel.inodes, kernel.entries]).toEqual([[dir], [`${dir}/x`]]);
    second.die();
  });
});
