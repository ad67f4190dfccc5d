import type * as nodeFs from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { ByteString } from '../../../../src/git/byte-string.ts';
import { ResumableVfs } from '../../../../src/mount/resume/resumable-vfs.ts';
import { ResumeJournal } from '../../../../src/mount/resume/resume-journal.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Fh, Ino } from '../../../../src/mount/vfs/operations.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';
import { caller, fakeVfs, name, newContext } from '../helpers/fake-nodes.ts';

/** What is left of the disk that holds the journal. */
const disk = vi.hoisted(() => ({ freeBytes: Infinity }));

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof nodeFs>();
  const full = (): Error =>
    Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write', errno: -28 });
  const writeSync = (fd: number, bytes: Buffer, offset: number): number => {
    if (disk.freeBytes === 0) throw full();
    const length = Math.min(bytes.length - offset, disk.freeBytes);
    disk.freeBytes -= length;
    return fs.writeSync(fd, bytes, offset, length);
  };
  const writeFileSync = (path: string, text: string, options: object): void => {
    fs.writeFileSync(path, text.slice(0, disk.freeBytes), options);
    if (text.length > disk.freeBytes) throw full();
  };
  return { ...fs, writeSync, writeFileSync };
});

const ino = (number: number): Ino => number as Ino;
const fh = (number: number): Fh => number as Fh;
const place = (text: string): { parent: Ino; name: ByteString } => ({
  parent: rootIno,
  name: name(text),
});

let path: string;
beforeEach(async () => {
  disk.freeBytes = Infinity;
  path = join(await temporaryDirectory(), 'journal');
});

/** What the next daemon is told. */
function whatIsLeft(journal: ResumeJournal): { nodes: Ino[]; handles: Fh[] } {
  journal.close();
  disk.freeBytes = Infinity;
  const next = ResumeJournal.open(path);
  const left = { nodes: [...next.nodes.keys()], handles: [...next.handles.keys()] };
  next.close();
  return left;
}

describe('a journal on a full disk', () => {
  it.each([0, 5])('keeps what it has, when there is room for %i bytes more', (freeBytes) => {
    const journal = ResumeJournal.open(path);
    journal.place(ino(5), place('before'), true);
    journal.opened(fh(7), ino(5), undefined);
    disk.freeBytes = freeBytes;
    journal.place(ino(6), place('missing'), true);
    journal.closed(fh(7));
    expect(whatIsLeft(journal)).toEqual({ nodes: [5], handles: [7] });
  });

  it('tells what was missing as soon as there is room, and nothing before that', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const journal = ResumeJournal.open(path);
      disk.freeBytes = 5;
      journal.place(ino(5), place('missing'), true);
      journal.opened(fh(7), ino(6), 2);
      // Room for a line, but not for all that is missing.
      disk.freeBytes = 60;
      expect(() => journal.setUnsynced(ino(6), 'written')).toThrow('no room');
      expect(journal.unsynced(ino(6))).toBeUndefined();
      disk.freeBytes = Infinity;
      vi.advanceTimersByTime(1000);
      journal.setUnsynced(ino(6), 'written');
      journal.close();
      const next = ResumeJournal.open(path);
      expect(next.unsynced(ino(6))).toBe('written');
      expect([[...next.nodes.keys()], [...next.handles.keys()]]).toEqual([[5], [7]]);
      next.close();
    } finally {
      vi.useRealTimers();
    }
  });

  it('goes on with the file of the daemon before', () => {
    const first = ResumeJournal.open(path);
    first.place(ino(5), place('dir'), true);
    first.close();
    disk.freeBytes = 20;
    const second = ResumeJournal.open(path);
    expect([second.life, ...second.nodes.keys()]).toEqual([1, 5]);
    second.close();
    disk.freeBytes = Infinity;
    const third = ResumeJournal.open(path);
    expect([third.life, ...third.nodes.keys()]).toEqual([2, 5]);
    third.close();
  });
});

describe('a filesystem whose journal is on a full disk', () => {
  it('can be looked at and read, and takes no content that a crash could lose unnoticed', async () => {
    const journal = ResumeJournal.open(path);
    const context = newContext();
    const { vfs: behind, root } = fakeVfs({}, context);
    const file = root.addDirectory('dir').addFile('file', 'content');
    const vfs = new ResumableVfs(behind, context.inodes, journal);
    const errnoOf = async (work: () => unknown): Promise<number> => {
      try {
        await work();
        return 0;
      } catch (error) {
        return vfs.errnoOf(error, 'test');
      }
    };
    disk.freeBytes = 5;
    const dir = (await vfs.lookup(rootIno, name('dir'), caller)).attr!.ino;
    const number = (await vfs.lookup(dir, name('file'), caller)).attr!.ino;
    const opened = await vfs.open(number, 2, caller);
    const read = await vfs.read(number, opened.fh, 0, 100);
    expect(Buffer.from(read).toString()).toBe('content');
    const write = (): unknown => vfs.write(number, opened.fh, 0, Buffer.from('lost'));
    expect(await errnoOf(write)).toBe(28);
    expect(file.content.toString()).toBe('content');
    await vfs.release(number, opened.fh);
    vfs.forget(number, 1);
    vfs.forget(dir, 1);
    expect(behind.counts()).toEqual({ inodes: 1, openFiles: 0, openDirectories: 0 });
    journal.close();
  });
});
