import { appendFile, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ByteString } from '../../../../src/git/byte-string.ts';
import { ResumeJournal } from '../../../../src/mount/resume/resume-journal.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Fh, Ino } from '../../../../src/mount/vfs/operations.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const ino = (number: number): Ino => number as Ino;
const fh = (number: number): Fh => number as Fh;
const place = (name: string, parent = rootIno): { parent: Ino; name: ByteString } => ({
  parent,
  name: name as ByteString,
});

async function journalPath(): Promise<string> {
  return join(await temporaryDirectory(), 'journal');
}

describe('ResumeJournal', () => {
  it('tells the next daemon what the one before has told', async () => {
    const path = await journalPath();
    const first = ResumeJournal.open(path);
    expect([first.life, first.agreed]).toEqual([0, undefined]);
    const agreed = { minor: 45, features: new Set(['maxPages'] as const), maxWriteBytes: 4096 };
    first.agree(agreed);
    first.place(ino(5), place('dir \xff\n"'), true);
    first.place(ino(6), place('file', ino(5)), false);
    first.opened(fh(8), ino(6), 2);
    first.opened(fh(9), ino(5), undefined);
    first.setUnsynced(ino(6), 'written');
    first.close();
    const second = ResumeJournal.open(path);
    expect([second.life, second.agreed]).toEqual([1, agreed]);
    expect([...second.nodes]).toEqual([
      [5, { ...place('dir \xff\n"'), isDirectory: true }],
      [6, { ...place('file', ino(5)), isDirectory: false }],
    ]);
    expect([...second.handles]).toEqual([
      [8, { ino: 6, flags: 2, isLost: false }],
      [9, { ino: 5, flags: undefined, isLost: false }],
    ]);
    expect(second.unsynced(ino(6))).toBe('written');
    expect(second.nodeAt(ino(5), 'file' as ByteString)).toBe(6);
    second.setUnsynced(ino(6), { oid: 'abc' });
    second.lost(fh(8));
    second.forget(ino(5));
    second.close();
    const third = ResumeJournal.open(path);
    expect(third.unsynced(ino(6))).toEqual({ oid: 'abc' });
    expect(third.handles.get(fh(8))?.isLost).toBe(true);
    expect([third.life, third.nodes.has(ino(5))]).toEqual([2, false]);
    third.close();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('forgets a file and its state with its last handle, but no directory', async () => {
    const journal = ResumeJournal.open(await journalPath());
    journal.place(ino(5), place('dir'), true);
    journal.place(ino(6), place('file'), false);
    for (const number of [1, 2]) journal.opened(fh(number), ino(6), 2);
    journal.opened(fh(3), ino(5), undefined);
    journal.setUnsynced(ino(6), 'written');
    journal.closed(fh(1));
    expect([journal.isOpen(ino(6)), journal.unsynced(ino(6))]).toEqual([true, 'written']);
    for (const number of [2, 3]) journal.closed(fh(number));
    expect([journal.isOpen(ino(6)), journal.unsynced(ino(6))]).toEqual([false, undefined]);
    expect([...journal.nodes.keys()]).toEqual([5]);
    // Nobody has it open: there is nobody to tell.
    journal.setUnsynced(ino(6), 'written');
    expect(journal.unsynced(ino(6))).toBeUndefined();
    journal.close();
  });

  it('follows a name that is given to another node', async () => {
    const journal = ResumeJournal.open(await journalPath());
    journal.place(ino(5), place('a'), true);
    journal.place(ino(6), place('b'), true);
    journal.place(ino(5), place('b'), true);
    journal.forget(ino(6));
    expect(journal.nodeAt(rootIno, 'b' as ByteString)).toBe(5);
    expect(journal.nodeAt(rootIno, 'a' as ByteString)).toBeUndefined();
    journal.close();
  });

  it('passes over a line that was not finished', async () => {
    const path = await journalPath();
    const first = ResumeJournal.open(path);
    first.place(ino(5), place('a'), true);
    first.close();
    await appendFile(path, '["node",7,1,"b",tr');
    const second = ResumeJournal.open(path);
    expect([...second.nodes.keys()]).toEqual([5]);
    second.close();
  });

  it('stays as small as what it tells, however often files are opened', async () => {
    const path = await journalPath();
    const journal = ResumeJournal.open(path);
    journal.place(ino(5), place('dir'), true);
    for (let number = 1; number <= 20_000; number++) {
      journal.place(ino(6), place('file'), false);
      journal.opened(fh(number), ino(6), 0);
      journal.closed(fh(number));
    }
    journal.close();
    expect((await readFile(path, 'utf8')).split('\n').length).toBeLessThan(10_100);
    const next = ResumeJournal.open(path);
    expect([next.life, ...next.nodes.keys()]).toEqual([1, 5]);
    next.close();
  });
});
