import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ByteString } from '../../../../src/git/byte-string.ts';
import { NoticeQueue, encodeNotice } from '../../../../src/mount/fuse/notify.ts';
import { Log } from '../../../../src/mount/observe/log.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { unpack } from '../../../helpers/fuse-structs.ts';

const ino = (number: number): Ino => number as Ino;
const bytes = (name: string): ByteString => name as ByteString;

/** A queue whose writes are noted, and end when the test lets them. */
function queueOf(minor = 45): {
  queue: NoticeQueue;
  written: Buffer[];
  lines: string[];
  finish: (error?: Error) => Promise<void>;
} {
  const written: Buffer[] = [];
  const lines: string[] = [];
  let settle: (error?: Error) => void = () => undefined;
  const write = (message: Buffer): Promise<void> => {
    written.push(message);
    return new Promise((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
  };
  const queue = new NoticeQueue(write, new Log({ write: (line) => void lines.push(line) }));
  if (minor > 0) queue.open(minor);
  const finish = async (error?: Error): Promise<void> => {
    settle(error);
    await nextTurn();
  };
  return { queue, written, lines, finish };
}

function kindOf(message: Buffer | undefined): unknown {
  return unpack('out_header', message ?? Buffer.alloc(0))['error'];
}

describe('the notices', () => {
  it('have the form of the kernel header', () => {
    const inode = encodeNotice({ kind: 'inode', ino: ino(2 ** 40) });
    expect(unpack('out_header', inode)).toEqual({ len: 40, error: 2, unique: 0 });
    expect(unpack('notify_inval_inode_out', inode, 16)).toEqual({ ino: 2 ** 40, off: 0, len: 0 });
    const attributes = encodeNotice({ kind: 'attributes', ino: ino(5) });
    expect(unpack('notify_inval_inode_out', attributes, 16)).toEqual({ ino: 5, off: -1, len: 0 });
    const content = encodeNotice({
      ...{ kind: 'content', ino: ino(5), offset: 2 ** 33, sizeBytes: 4097 },
    });
    expect(unpack('notify_inval_inode_out', content, 16)).toEqual({
      ...{ ino: 5, off: 2 ** 33, len: 4097 },
    });
    const entry = encodeNotice({ kind: 'entry', parent: ino(7), name: bytes('n\xff') });
    expect(unpack('out_header', entry)).toEqual({ len: 35, error: 3, unique: 0 });
    expect(unpack('notify_inval_entry_out', entry, 16)).toEqual({
      parent: 7,
      namelen: 2,
      flags: 0,
    });
    expect(entry.toString('latin1', 32)).toBe('n\xff\0');
    expect(unpack('out_header', encodeNotice({ kind: 'epoch' }))).toEqual({
      ...{ len: 16, error: 8, unique: 0 },
    });
  });
});

describe('NoticeQueue', () => {
  it('sends one at a time, in order', async () => {
    const { queue, written, finish } = queueOf();
    queue.invalidateEntry(ino(1), bytes('a'));
    queue.invalidateInode(ino(2));
    expect(written).toEqual([]);
    await nextTurn();
    expect(written.map(kindOf)).toEqual([3]);
    await nextTurn();
    expect(written.length).toBe(1);
    await finish();
    expect(written.map(kindOf)).toEqual([3, 2]);
    const drained = queue.drained();
    await finish();
    await drained;
    expect(queue.length).toBe(0);
  });

  it('drops content past what waits, one after the other, and says when it is done', async () => {
    const written: { kind: unknown; finish: () => void }[] = [];
    const queue = new NoticeQueue(
      (message) => new Promise((finish) => void written.push({ kind: kindOf(message), finish })),
      new Log({ write: () => undefined }),
    );
    await queue.dropContent(ino(2), 0, 5);
    queue.open(45);
    queue.invalidateEntry(ino(1), bytes('a'));
    await nextTurn();
    let dropped = 0;
    const drops = [5, 6].map((size) => queue.dropContent(ino(2), 0, size).then(() => dropped++));
    await nextTurn();
    expect(written.map(({ kind }) => kind)).toEqual([3, 2]);
    written[1]?.finish();
    await nextTurn();
    expect(dropped).toBe(1);
    expect(written.map(({ kind }) => kind)).toEqual([3, 2, 2]);
    written[2]?.finish();
    await Promise.all(drops);
    queue.close();
    await queue.dropContent(ino(2), 0, 5);
    expect(written.length).toBe(3);
    written[0]?.finish();
  });

  it('says once what waits already, and again what was sent before', async () => {
    const { queue, written, finish } = queueOf();
    for (let count = 0; count < 3; count++) {
      queue.invalidateInode(ino(2));
      queue.invalidateEntry(ino(1), bytes('a'));
      queue.invalidateEntry(ino(1), bytes('b'));
    }
    expect(queue.length).toBe(3);
    await nextTurn();
    // The first is on its way now: what is said after that is about a later state.
    queue.invalidateInode(ino(2));
    for (let count = 0; count < 4; count++) await finish();
    expect(written.map(kindOf)).toEqual([2, 3, 3, 2]);
  });

  it('asks for an epoch instead of very many names, and keeps what is said of inodes', async () => {
    const { queue, written, finish } = queueOf();
    queue.invalidateInode(ino(2));
    for (let index = 0; index < 20_000; index++) queue.invalidateEntry(ino(1), bytes(`n${index}`));
    // The inode, the directory of all these names (whose listing may be kept) and the epoch.
    expect(queue.length).toBe(3);
    await nextTurn();
    await finish();
    await finish();
    expect(written.map(kindOf)).toEqual([2, 2, 8]);
    queue.invalidateEntry(ino(1), bytes('n'));
    await finish();
    expect(written.map(kindOf)).toEqual([2, 2, 8, 3]);
  });

  it('names every name to a kernel that knows no epochs', () => {
    const { queue } = queueOf(43);
    for (let index = 0; index < 20_000; index++) queue.invalidateEntry(ino(1), bytes(`n${index}`));
    expect(queue.length).toBe(20_000);
  });

  it('tells of the directory when the kernel does not know the name, but may keep a listing', async () => {
    const { queue, written, finish } = queueOf();
    queue.invalidateEntry(ino(1), bytes('a'));
    queue.invalidateEntry(ino(1), bytes('b'));
    await nextTurn();
    const unknown = Object.assign(new Error('unknown'), { code: 'ENOENT' });
    await finish(unknown);
    await finish(unknown);
    await finish(unknown);
    expect(written.map(kindOf)).toEqual([3, 3, 2]);
    expect(unpack('notify_inval_inode_out', written[2] ?? Buffer.alloc(0), 16)['ino']).toBe(1);
    expect(queue.length).toBe(0);
  });

  it('does not mind that the kernel keeps nothing, and logs what is strange', async () => {
    const { queue, written, lines, finish } = queueOf();
    const failure = (code: string): Error => Object.assign(new Error(code), { code });
    for (const code of ['ENOENT', 'ENODEV', 'EINVAL']) {
      queue.invalidateInode(ino(2));
      await nextTurn();
      await finish(failure(code));
    }
    expect(written.length).toBe(3);
    expect(lines).toEqual([expect.stringContaining('notice-failed kind=inode message=EINVAL')]);
  });

  it('is silent before the handshake and after the end', async () => {
    const early = queueOf(0);
    early.queue.invalidateInode(ino(2));
    early.queue.invalidateEntry(ino(2), bytes('a'));
    await nextTurn();
    expect(early.written).toEqual([]);
    const late = queueOf();
    late.queue.invalidateInode(ino(2));
    late.queue.close();
    late.queue.invalidateInode(ino(3));
    await nextTurn();
    expect(late.written).toEqual([]);
  });
});
