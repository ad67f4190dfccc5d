import { constants as fileFlags } from 'node:fs';
import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { UnsupportedKernelError } from '../../../../src/mount/fuse/handshake.ts';
import { opcodes } from '../../../../src/mount/fuse/opcodes.ts';
import type { OpcodeName } from '../../../../src/mount/fuse/opcodes.ts';
import { FuseSession } from '../../../../src/mount/fuse/session.ts';
import type { RequestTrace } from '../../../../src/mount/fuse/request-trace.ts';
import type { SessionOptions } from '../../../../src/mount/fuse/session.ts';
import { Log } from '../../../../src/mount/observe/log.ts';
import { ErrnoError, errnoNameOf, errnoNumber } from '../../../../src/mount/vfs/errno.ts';
import type {
  Attr,
  DirectorySink,
  EntryReply,
  Fh,
  Ino,
  OpenReply,
  VfsOperations,
} from '../../../../src/mount/vfs/operations.ts';
import { FakeFuseChannel } from '../../../helpers/fake-fuse-channel.ts';
import type { SentMessage } from '../../../helpers/fake-fuse-channel.ts';
import { nameBytes, pack, packRequest, unpack } from '../../../helpers/fuse-structs.ts';
import type { RequestValues } from '../../../helpers/fuse-structs.ts';

const { errno } = constants;
const time = { sec: 5, nsec: 6 };
const attr: Attr = {
  ...{ ino: 9 as Ino, mode: 0o100644, nlink: 1, uid: 1, gid: 2, rdev: 0, size: 3, blocks: 1 },
  ...{ atime: time, mtime: time, ctime: time },
};
const entry: EntryReply = { attr, entryValidSec: 10, attrValidSec: 20 };
const opened: OpenReply = { fh: 77 as Fh, keepCache: true };
const copyFields = { fh_in: 77, off_in: 1, nodeid_out: 12, fh_out: 78, off_out: 2 };
const caller = { uid: 1000, gid: 100, pid: 4242 };

type Call = [method: string, ...args: unknown[]];

/** A filesystem that notes what it was asked for, and answers what a test wants. */
function recordingVfs(answers: Partial<VfsOperations> = {}): { vfs: VfsOperations; calls: Call[] } {
  const calls: Call[] = [];
  const usual: Partial<Record<keyof VfsOperations, unknown>> = {
    ...{ lookup: entry, symlink: entry, mknod: entry, mkdir: entry, link: entry },
    ...{ getattr: { attr, attrValidSec: 20 }, setattr: { attr, attrValidSec: 20 } },
    ...{ open: opened, opendir: opened, create: { entry, open: opened } },
    tmpfile: { entry, open: opened },
    ...{ readlink: 'to/there', read: Buffer.from('abc'), write: 5, lseek: 2 ** 40 },
    ...{ copyFileRange: 11, getxattr: Buffer.from('value'), listxattr: ['user.a', 'user.b'] },
    statfs: { blocks: 1, bfree: 2, bavail: 3, files: 4, ffree: 5, bsize: 4096, namelen: 255 },
  };
  const vfs = new Proxy({} as VfsOperations, {
    get: (_target, property) => {
      const method = property as keyof VfsOperations;
      if (method === 'errnoOf') {
        return (error: unknown) => errnoNumber(errnoNameOf(error) ?? 'EIO');
      }
      return (...args: unknown[]) => {
        // Data is only there until the method returns.
        calls.push([method, ...args.map((arg) => (Buffer.isBuffer(arg) ? Buffer.from(arg) : arg))]);
        const answer = answers[method] as ((...args: unknown[]) => unknown) | undefined;
        return answer === undefined ? usual[method] : answer(...args);
      };
    },
  });
  return { vfs, calls };
}

interface Served {
  readonly session: FuseSession;
  readonly channel: FakeFuseChannel;
  readonly calls: Call[];
  readonly lines: string[];
  readonly ask: (opcode: OpcodeName | number, values?: Partial<RequestValues>) => SentMessage[];
}

function serve(
  answers: Partial<VfsOperations> = {},
  options: Partial<SessionOptions> = {},
): Served {
  const { vfs, calls } = recordingVfs(answers);
  const channel = new FakeFuseChannel();
  const lines: string[] = [];
  const log = new Log({ write: (line) => void lines.push(line) }, 'debug');
  const session = new FuseSession(channel, vfs, { log, ...options });
  session.start();
  const ask: Served['ask'] = (opcode, values = {}) =>
    channel.deliver(
      packRequest({ opcode: typeof opcode === 'string' ? opcodes[opcode] : opcode, ...values }),
    );
  return { session, channel, calls, lines, ask };
}

function introduce(served: Served, minor = 45): SentMessage[] {
  const init = { major: 7, minor, max_readahead: 4096, flags: 0xffff_ffff };
  return served.ask('init', { body: [pack('init_in', init)] });
}

function serveOpen(
  answers: Partial<VfsOperations> = {},
  options: Partial<SessionOptions> = {},
): Served {
  const served = serve(answers, options);
  introduce(served);
  return served;
}

describe('requests', () => {
  const data = Buffer.from('hello');
  const entryBytes = 128;
  const cases: [OpcodeName, Buffer[], Call, bodySizeBytes: number][] = [
    ['lookup', [nameBytes('n\xff')], ['lookup', 8, 'n\xff', caller], entryBytes],
    ['getattr', [pack('getattr_in', { getattr_flags: 1, fh: 77 })], ['getattr', 8, 77], 104],
    ['getattr', [pack('getattr_in', { getattr_flags: 0, fh: 77 })], ['getattr', 8, undefined], 104],
    ['readlink', [], ['readlink', 8], 8],
    ['symlink', [nameBytes('n'), nameBytes('../t')], ['symlink', 8, 'n', '../t', caller], 128],
    [
      'mknod',
      [pack('mknod_in', { mode: 0o10644, rdev: 259 }), nameBytes('n')],
      ['mknod', 8, 'n', 0o10644, 259, caller],
      entryBytes,
    ],
    [
      'mkdir',
      [pack('mkdir_in', { mode: 0o755 }), nameBytes('n')],
      ['mkdir', 8, 'n', 0o755, caller],
      entryBytes,
    ],
    ['unlink', [nameBytes('n')], ['unlink', 8, 'n'], 0],
    ['rmdir', [nameBytes('n')], ['rmdir', 8, 'n'], 0],
    [
      'rename',
      [pack('rename_in', { newdir: 12 }), nameBytes('old'), nameBytes('new')],
      ['rename', 8, 'old', 12, 'new', 0],
      0,
    ],
    [
      'rename2',
      [pack('rename2_in', { newdir: 12, flags: 2 }), nameBytes('old'), nameBytes('new')],
      ['rename', 8, 'old', 12, 'new', 2],
      0,
    ],
    ['link', [pack('link_in', { oldnodeid: 5 }), nameBytes('n')], ['link', 5, 8, 'n'], entryBytes],
    [
      'open',
      [pack('open_in', { flags: 0o100002, open_flags: 0 })],
      ['open', 8, 0o100002, caller],
      16,
    ],
    [
      'read',
      [pack('read_in', { fh: 77, offset: 2 ** 33, size: 4096 })],
      ['read', 8, 77, 2 ** 33, 4096, undefined],
      3,
    ],
    [
      'read',
      [pack('read_in', { fh: 0, offset: 0, size: 3 })],
      ['read', 8, undefined, 0, 3, undefined],
      3,
    ],
    [
      'write',
      [pack('write_in', { fh: 77, offset: 2 ** 33, size: 5, write_flags: 0 }), data],
      ['write', 8, 77, 2 ** 33, data, false],
      8,
    ],
    [
      'write',
      [pack('write_in', { fh: 77, offset: 9, size: 5, write_flags: 0, flags: 0o2001 }), data],
      ['write', 8, 77, 9, data, true],
      8,
    ],
    [
      'write',
      // The page cache writes, and names any handle.
      [pack('write_in', { fh: 77, offset: 9, size: 5, write_flags: 1, flags: 0o2001 }), data],
      ['write', 8, 77, 9, data, false],
      8,
    ],
    ['statfs', [], ['statfs', 8], 80],
    ['release', [pack('release_in', { fh: 77 })], ['release', 8, 77], 0],
    ['fsync', [pack('fsync_in', { fh: 77, fsync_flags: 1 })], ['fsync', 8, 77, true], 0],
    ['fsync', [pack('fsync_in', { fh: 77, fsync_flags: 0 })], ['fsync', 8, 77, false], 0],
    [
      'setxattr',
      [pack('setxattr_in', { size: 5, flags: 1 }), nameBytes('user.a'), data],
      ['setxattr', 8, 'user.a', data, 1],
      0,
    ],
    [
      'getxattr',
      [pack('getxattr_in', { size: 100 }), nameBytes('user.a')],
      ['getxattr', 8, 'user.a'],
      5,
    ],
    ['listxattr', [pack('getxattr_in', { size: 100 })], ['listxattr', 8], 14],
    ['removexattr', [nameBytes('user.a')], ['removexattr', 8, 'user.a'], 0],
    ['flush', [pack('flush_in', { fh: 77 })], ['flush', 8, 77], 0],
    ['opendir', [pack('open_in', { flags: 0 })], ['opendir', 8], 16],
    ['releasedir', [pack('release_in', { fh: 77 })], ['releasedir', 8, 77], 0],
    ['fsyncdir', [pack('fsync_in', { fh: 0 })], ['fsyncdir', 8, undefined], 0],
    ['access', [pack('access_in', { mask: 2 })], ['access', 8, 2, caller], 0],
    [
      'create',
      [pack('create_in', { flags: 0o102, mode: 0o100600 }), nameBytes('n')],
      ['create', 8, 'n', 0o100600, 0o102, caller],
      entryBytes + 16,
    ],
    [
      'tmpfile',
      [pack('create_in', { flags: 0o20200002, mode: 0o100600 }), nameBytes('/')],
      ['tmpfile', 8, 0o100600, 0o20200002, caller],
      entryBytes + 16,
    ],
    [
      'fallocate',
      [pack('fallocate_in', { fh: 77, offset: 1, length: 2 ** 40, mode: 3 })],
      ['fallocate', 8, 77, 1, 2 ** 40, 3],
      0,
    ],
    ['lseek', [pack('lseek_in', { fh: 77, offset: 4, whence: 3 })], ['lseek', 8, 77, 4, 3], 8],
    [
      'copyfilerange',
      [pack('copy_file_range_in', { ...copyFields, len: 2n ** 63n, flags: 0 })],
      ['copyFileRange', 8, 77, 1, 12, 78, 2, 0xffff_f000],
      8,
    ],
    [
      'copyfilerange64',
      [pack('copy_file_range_in', { ...copyFields, len: 2 ** 40, flags: 0 })],
      ['copyFileRange', 8, 77, 1, 12, 78, 2, 2 ** 40],
      8,
    ],
  ];

  it.each(cases)('%s is decoded, and its result sent', (opcode, body, call, bodySizeBytes) => {
    const { ask, calls } = serveOpen();
    const [answer, ...more] = ask(opcode, { nodeid: 8, unique: 1234, body });
    expect(calls[0]).toEqual(call);
    // Of these the kernel does not say whether they take set-user-id bits away.
    const looksAtMode = /^(fallocate|copyfilerange)/.test(opcode);
    expect(calls.slice(1).map(([name]) => name)).toEqual(looksAtMode ? ['getattr'] : []);
    expect(more).toEqual([]);
    expect(answer).toMatchObject({ unique: 1234, error: 0 });
    expect(answer?.body.length).toBe(bodySizeBytes);
  });

  it.each(cases)('%s is refused with EINVAL when its end is missing', (opcode, body) => {
    const bytes = Buffer.concat(body);
    for (let sizeBytes = 0; sizeBytes < bytes.length; sizeBytes++) {
      const { ask, calls, lines } = serveOpen();
      const answers = ask(opcode, { nodeid: 8, body: [bytes.subarray(0, sizeBytes)] });
      // A field that nobody reads may be missing.
      if (calls.length > 0) {
        expect(answers[0]?.error).toBe(0);
        continue;
      }
      expect(lines).toEqual([expect.stringContaining(`request-refused operation=${opcode}`)]);
      expect(answers).toEqual([{ unique: 2, error: -errno.EINVAL, body: Buffer.alloc(0) }]);
    }
  });

  it('setattr says which attributes are meant', () => {
    const fields = {
      ...{ fh: 77, size: 2 ** 34, atime: -1, mtime: 8, atimensec: 5, mtimensec: 6 },
      ...{ mode: 0o100755, uid: 3, gid: 4 },
    };
    const changes: [number, object, number?][] = [
      [0, {}],
      [1, { mode: 0o755 }],
      [2, { uid: 3 }],
      [4, { gid: 4 }],
      [8, { size: 2 ** 34 }],
      [8 | 64, { size: 2 ** 34 }, 77],
      [16 | 32, { atime: { sec: -1, nsec: 5 }, mtime: { sec: 8, nsec: 6 } }],
      [16 | 32 | 128 | 256, { atime: 'now', mtime: 'now' }],
    ];
    for (const [valid, change, fh] of changes) {
      const { ask, calls } = serveOpen();
      ask('setattr', { nodeid: 8, body: [pack('setattr_in', { ...fields, valid })] });
      expect(calls).toEqual([['setattr', 8, change, fh, caller]]);
    }
  });

  it('getxattr and listxattr tell how much room is needed', () => {
    const { ask } = serveOpen();
    const asked = (size: number): SentMessage | undefined =>
      ask('getxattr', { body: [pack('getxattr_in', { size }), nameBytes('user.a')] })[0];
    expect(unpack('getxattr_out', asked(0)?.body ?? Buffer.alloc(0))).toMatchObject({ size: 5 });
    expect(asked(4)?.error).toBe(-errno.ERANGE);
    expect(asked(5)?.body.toString()).toBe('value');
    const [list] = ask('listxattr', { body: [pack('getxattr_in', { size: 14 })] });
    expect(list?.body.toString()).toBe('user.a\0user.b\0');
  });

  it('content that comes with an open is given to the kernel before the answer', () => {
    const content = Buffer.from('abc');
    const { ask } = serveOpen({ open: () => ({ ...opened, firstContent: () => content }) });
    const [store, answer] = ask('open', { nodeid: 8, body: [pack('open_in', { flags: 0 })] });
    expect(store).toMatchObject({ unique: 0, error: 4 });
    const { body } = store!;
    const [ino, offset, size] = [body.readUInt32LE(0), body.readUInt32LE(8), body.readUInt32LE(16)];
    expect({ ino, offset, size }).toEqual({ ino: 8, offset: 0, size: 3 });
    expect(body.subarray(24).toString()).toBe('abc');
    expect(unpack('open_out', answer!.body)).toMatchObject({ fh: 77 });
  });

  it('large reads get memory of their own, which is used again once they are answered', async () => {
    const reads: { into: Buffer; end: (error?: Error) => void }[] = [];
    const read: VfsOperations['read'] = (_ino, _fh, offset, _size, lend) =>
      new Promise((resolve, reject) => {
        const into = lend!();
        const end = (error?: Error): void =>
          error === undefined ? resolve(into.fill(offset)) : reject(error);
        reads.push({ into, end });
      });
    const { ask, channel } = serveOpen({ read });
    const readAt = (offset: number): void => {
      const body = [pack('read_in', { fh: 77, offset, size: 100_000 })];
      ask('read', { unique: 10 + 2 * offset, body });
    };
    readAt(1);
    readAt(2);
    readAt(3);
    const memory = new Set(reads.map(({ into }) => into.buffer));
    expect(memory.size).toBe(3);
    reads[0]!.end();
    reads[1]!.end(new ErrnoError('EIO'));
    await nextTurn();
    readAt(4);
    readAt(5);
    expect(reads[3]!.into.buffer).toBe(reads[0]!.into.buffer);
    // Something may still be read into that of the one that failed.
    expect(memory.has(reads[4]!.into.buffer)).toBe(false);
    for (const { end } of reads) end();
    await nextTurn();
    const answers = channel.sent.filter(({ body }) => body.length === 100_000);
    expect(answers.map(({ unique }) => (unique - 10) / 2)).toEqual([1, 3, 4, 5]);
    for (const { unique, body } of answers) {
      expect(body.equals(Buffer.alloc(100_000, (unique - 10) / 2))).toBe(true);
    }
  });

  it('readdir and readdirplus get a sink of the size that was asked for', () => {
    const readdir: VfsOperations['readdir'] = (_ino, _fh, _offset, plus, sink: DirectorySink) => {
      let count = 0;
      const name = 'n' as Parameters<DirectorySink['add']>[0];
      while (plus ? sink.addPlus(name, entry, count) : sink.add(name, 9 as Ino, 0o100644, count)) {
        count += 1;
      }
    };
    const { ask, calls } = serveOpen({ readdir });
    const body = [pack('read_in', { fh: 77, offset: 3, size: 4096 })];
    const [plain] = ask('readdir', { nodeid: 8, body });
    const [plus] = ask('readdirplus', { nodeid: 8, body });
    expect(calls.map((call) => call.slice(0, 5))).toEqual([
      ['readdir', 8, 77, 3, false],
      ['readdir', 8, 77, 3, true],
    ]);
    expect(plain?.body.length).toBe(128 * 32);
    expect(plus?.body.length).toBe(25 * 160);
  });

  it('a name that is missing is an answer of its own, and may be kept', () => {
    const { ask } = serveOpen({
      lookup: () => ({ attr: null, entryValidSec: 99, attrValidSec: 0 }),
    });
    const [answer] = ask('lookup', { body: [nameBytes('n')] });
    expect(answer?.error).toBe(0);
    expect(unpack('entry_out', answer?.body ?? Buffer.alloc(0))).toMatchObject({
      ...{ nodeid: 0, entry_valid: 99 },
    });
  });

  it('a file position beyond 2^53 is EFBIG', () => {
    const { ask } = serveOpen();
    const body = [
      pack('write_in', { fh: 77, offset: 2n ** 60n, size: 5, write_flags: 0 }),
      Buffer.from('hello'),
    ];
    expect(ask('write', { body })[0]?.error).toBe(-errno.EFBIG);
  });

  it('what is not served is ENOSYS, and no event', () => {
    const { ask, lines } = serveOpen();
    for (const opcode of ['ioctl', 'poll', 'bmap', 'statx', 'syncfs', 7, 99, 4096] as const) {
      expect(ask(opcode, { unique: 6 })).toMatchObject([{ unique: 6, error: -errno.ENOSYS }]);
    }
    expect(lines).toEqual([]);
  });

  it('a writer without the right to keep set-user-id bits takes them away', () => {
    const setUserId = { attr: { ...attr, mode: 0o106755 }, attrValidSec: 1 };
    const { ask, calls } = serveOpen({ getattr: () => setUserId });
    const killFlag = 4;
    const fields = { fh: 77, offset: 0, size: 5, write_flags: killFlag };
    const sent = ask('write', {
      nodeid: 8,
      body: [pack('write_in', fields), Buffer.from('hello')],
    });
    expect(calls.slice(1)).toEqual([
      ['getattr', 8, undefined],
      ['setattr', 8, { mode: 0o755 }, undefined, caller],
    ]);
    expect(sent.map(({ unique }) => unique)).toEqual([0, 2]);
    // The kernel forgets the mode that it keeps, and nothing of the content.
    expect(unpack('notify_inval_inode_out', sent[0]?.body ?? Buffer.alloc(0))).toEqual({
      ...{ ino: 8, off: -1, len: 0 },
    });
    const mandatoryLock = serveOpen({
      getattr: () => ({ attr: { ...attr, mode: 0o102644 }, attrValidSec: 1 }),
    });
    mandatoryLock.ask('write', {
      nodeid: 8,
      body: [pack('write_in', fields), Buffer.from('hello')],
    });
    expect(mandatoryLock.calls.map(([method]) => method)).toEqual(['write', 'getattr']);
  });
});

describe('a handle that can only write', () => {
  const write = { fh: 77, offset: 4000, size: 5 };
  const body = (fields: object): Buffer[] => [
    pack('write_in', { ...write, ...fields }),
    Buffer.from('hello'),
  ];
  const [directIo, keepCache] = [1, 2];
  const openFlags = (served: Served, flags: number): number => {
    const [sent] = served.ask('open', { body: [pack('open_in', { flags })] });
    return Number(unpack('open_out', sent?.body ?? Buffer.alloc(0))['open_flags']);
  };
  const newFile = { entry: { attr, entryValidSec: 1, attrValidSec: 1 }, open: opened };

  it('passes by the cache of the kernel, if nobody else has the file open', () => {
    const alone = serveOpen({ isShared: () => false });
    expect(openFlags(alone, fileFlags.O_WRONLY)).toBe(directIo + keepCache);
    expect(openFlags(alone, fileFlags.O_WRONLY | fileFlags.O_APPEND)).toBe(directIo + keepCache);
    expect(openFlags(alone, fileFlags.O_RDWR)).toBe(keepCache);
    expect(openFlags(alone, fileFlags.O_RDONLY)).toBe(keepCache);
    const shared = serveOpen({ isShared: () => true });
    expect(openFlags(shared, fileFlags.O_WRONLY)).toBe(keepCache);
    expect(shared.calls.at(-1)).toEqual(['isShared', 77]);
    const before = serve({ isShared: () => false });
    introduce(before, 38);
    expect(openFlags(before, fileFlags.O_WRONLY)).toBe(keepCache);
  });

  it('also when it makes the file', () => {
    const { ask } = serveOpen({
      ...{ create: () => newFile, tmpfile: () => newFile, isShared: () => false },
    });
    for (const opcode of ['create', 'tmpfile'] as const) {
      const flagsOf = (flags: number): unknown => {
        const made = ask(opcode, { body: [pack('create_in', { flags }), nameBytes('n')] });
        return unpack('open_out', made[0]?.body.subarray(128) ?? Buffer.alloc(0))['open_flags'];
      };
      expect(flagsOf(fileFlags.O_WRONLY)).toBe(directIo + keepCache);
      expect(flagsOf(fileFlags.O_RDWR)).toBe(keepCache);
    }
  });

  it('has its write answered when the kernel has dropped what others have read meanwhile', async () => {
    const { ask, channel } = serveOpen({ write: () => 5, isShared: () => true });
    expect(ask('write', { unique: 9, nodeid: 8, body: body({ write_flags: 2 }) })).toEqual([]);
    await vi.waitFor(() => expect(channel.sent.length).toBe(3));
    expect(channel.sent.slice(1).map(({ unique }) => unique)).toEqual([0, 9]);
    expect(unpack('notify_inval_inode_out', channel.sent[1]?.body ?? Buffer.alloc(0))).toEqual({
      ...{ ino: 8, off: 4000, len: 5 },
    });
    // Through the cache, and alone, there is nothing to wait for.
    expect(ask('write', { unique: 10, body: body({ write_flags: 0 }) }).length).toBe(1);
    const alone = serveOpen({ write: () => 5, isShared: () => false });
    expect(alone.ask('write', { body: body({ write_flags: 2 }) })).toMatchObject([{ error: 0 }]);
  });

  it('has the kernel drop what others can have read who have closed the file meanwhile', async () => {
    let timesOpened = 1;
    let isShared = false;
    let written = (_count: number): void => undefined;
    const { ask, channel } = serveOpen({
      write: () => new Promise((resolve) => (written = resolve)),
      isShared: () => isShared,
      timesOpened: () => timesOpened,
    });
    const answered = async (unique: number): Promise<number[]> => {
      const before = channel.sent.length;
      written(5);
      await vi.waitFor(() => expect(channel.sent.at(-1)).toMatchObject({ unique, error: 0 }));
      return channel.sent.slice(before).map((sent) => sent.unique);
    };
    ask('write', { unique: 9, nodeid: 8, body: body({ write_flags: 2 }) });
    timesOpened += 1;
    expect(await answered(9)).toEqual([0, 9]);
    isShared = true;
    ask('write', { unique: 10, nodeid: 8, body: body({ write_flags: 2 }) });
    isShared = false;
    expect(await answered(10)).toEqual([0, 10]);
    ask('write', { unique: 11, nodeid: 8, body: body({ write_flags: 2 }) });
    expect(await answered(11)).toEqual([11]);
  });

  it('is synced for O_SYNC and O_DSYNC before the answer, and its failure is the write’s', async () => {
    let fail = (_error: Error): void => undefined;
    const { ask, calls, channel } = serveOpen({
      write: () => 5,
      isShared: () => false,
      fsync: (_ino, _fh, datasync) =>
        datasync ? undefined : new Promise((_resolve, reject) => (fail = reject)),
      errnoOf: () => errno.EIO,
    });
    const dataSync = body({ write_flags: 2, flags: fileFlags.O_DSYNC });
    expect(ask('write', { nodeid: 8, body: dataSync })).toMatchObject([{ error: 0 }]);
    expect(calls.at(-1)).toEqual(['fsync', 8, 77, true]);
    const sync = body({ write_flags: 2, flags: fileFlags.O_SYNC });
    expect(ask('write', { unique: 9, nodeid: 8, body: sync })).toEqual([]);
    expect(calls.at(-1)).toEqual(['fsync', 8, 77, false]);
    fail(new Error('the disk is gone'));
    await vi.waitFor(() =>
      expect(channel.sent.at(-1)).toMatchObject({ unique: 9, error: -errno.EIO }),
    );
    // Behind a write to the cache the kernel sends FSYNC itself.
    ask('write', { nodeid: 8, body: body({ write_flags: 0, flags: fileFlags.O_SYNC }) });
    expect(calls.at(-1)?.[0]).toBe('write');
  });
});

describe('answers that take time', () => {
  it('are sent when they come, in whatever order', async () => {
    const resolvers = new Map<number, (data: Uint8Array) => void>();
    const read: VfsOperations['read'] = (_ino, _fh, offset) =>
      new Promise((resolve) => resolvers.set(offset, resolve));
    const { session, ask, channel } = serveOpen({ read });
    const readAt = (offset: number, unique: number): SentMessage[] =>
      ask('read', { unique, body: [pack('read_in', { fh: 77, offset, size: 10 })] });
    expect(readAt(1, 10)).toEqual([]);
    expect(readAt(2, 20)).toEqual([]);
    expect(session.pendingCount).toBe(2);
    resolvers.get(2)?.(Buffer.from('two'));
    await nextTurn();
    resolvers.get(1)?.(Buffer.from('one'));
    await nextTurn();
    expect(channel.sent.slice(1).map(({ unique, body }) => [unique, body.toString()])).toEqual([
      [20, 'two'],
      [10, 'one'],
    ]);
    expect(session.pendingCount).toBe(0);
  });

  it('are not hurried by INTERRUPT, which has no answer', async () => {
    let resolveRead: (data: Uint8Array) => void = () => undefined;
    const read = (): Promise<Uint8Array> => new Promise((resolve) => (resolveRead = resolve));
    const { ask, channel } = serveOpen({ read });
    ask('read', { unique: 10, body: [pack('read_in', { fh: 77, offset: 0, size: 10 })] });
    for (const unique of [10, 12, 99]) {
      expect(ask('interrupt', { unique: 11, body: [pack('interrupt_in', { unique })] })).toEqual(
        [],
      );
    }
    resolveRead(Buffer.from('late'));
    await nextTurn();
    expect(channel.sent.at(-1)).toMatchObject({ unique: 10, error: 0 });
  });

  it('may fail', async () => {
    const { ask, channel } = serveOpen({ read: () => Promise.reject(new ErrnoError('ENOSPC')) });
    ask('read', { body: [pack('read_in', { fh: 77, offset: 0, size: 10 })] });
    await nextTurn();
    expect(channel.sent.at(-1)).toMatchObject({ unique: 2, error: -errno.ENOSPC });
  });

  it('are refused when they are no answers', async () => {
    const tooMuch = Buffer.alloc(11);
    const body = [pack('read_in', { fh: 77, offset: 0, size: 10 })];
    const atOnce = serveOpen({ read: () => tooMuch });
    expect(atOnce.ask('read', { body })[0]?.error).toBe(-errno.EIO);
    const later = serveOpen({ read: () => Promise.resolve(tooMuch) });
    later.ask('read', { body });
    await nextTurn();
    expect(later.channel.sent.at(-1)?.error).toBe(-errno.EIO);
    const nonsense = serveOpen({
      getattr: () => ({ attr: { ...attr, uid: -5 }, attrValidSec: 1 }),
    });
    const [answer] = nonsense.ask('getattr', { body: [pack('getattr_in', { getattr_flags: 0 })] });
    expect(answer).toMatchObject({ error: -errno.EIO, body: Buffer.alloc(0) });
  });
});

describe('a session', () => {
  it('begins with the handshake', async () => {
    const served = serve();
    expect(served.ask('statfs')[0]?.error).toBe(-errno.ENOTCONN);
    expect(served.calls).toEqual([]);
    expect(introduce(served)).toMatchObject([{ unique: 2, error: 0 }]);
    expect((await served.session.ready).minor).toBe(45);
    expect(introduce(served)[0]?.error).toBe(-errno.EINVAL);
    expect(served.lines).toEqual([expect.stringContaining('request-refused operation=init')]);
    expect(served.ask('statfs')[0]?.error).toBe(0);
  });

  it('is not ready when the mount is taken away before the kernel has introduced itself', async () => {
    const { session, channel } = serve();
    channel.end('ENODEV');
    await expect(session.ready).rejects.toThrow('the kernel went away before it was ready: ENODEV');
    expect(await session.done).toEqual({ code: 'ENODEV' });
  });

  it('is not ready when the kernel is too old', async () => {
    const served = serve();
    expect(introduce(served, 12)[0]?.error).toBe(-errno.EPROTO);
    await expect(served.session.ready).rejects.toThrow(UnsupportedKernelError);
  });

  it('ends with the mount: the filesystem is told once, and late answers go nowhere', async () => {
    let resolveRead: (data: Uint8Array) => void = () => undefined;
    const { session, ask, channel, calls } = serveOpen({
      read: () => new Promise((resolve) => (resolveRead = resolve)),
    });
    ask('read', { body: [pack('read_in', { fh: 77, offset: 0, size: 10 })] });
    const sentBefore = channel.sent.length;
    channel.end('ENODEV');
    channel.end('ENODEV');
    resolveRead(Buffer.from('late'));
    expect(await session.done).toEqual({ code: 'ENODEV' });
    await session.close();
    expect(channel.isClosed).toBe(true);
    expect(channel.sent.length).toBe(sentBefore);
    expect(calls.filter(([method]) => method === 'destroy').length).toBe(1);
  });

  it('answers what still waits when it is closed, and all that comes then', async () => {
    const { session, ask, channel } = serveOpen({ read: () => new Promise(() => undefined) });
    ask('read', { unique: 10, body: [pack('read_in', { fh: 77, offset: 0, size: 10 })] });
    const closed = session.close();
    expect(channel.sent.at(-1)).toMatchObject({ unique: 10, error: -errno.ENOTCONN });
    expect(ask('statfs', { unique: 12 })).toMatchObject([{ unique: 12, error: -errno.ENOTCONN }]);
    await closed;
    expect(await session.done).toEqual({ code: 'CLOSED' });
  });

  it('answers DESTROY, and waits for the end', () => {
    const { ask, calls } = serveOpen();
    expect(ask('destroy')).toMatchObject([{ unique: 2, error: 0 }]);
    expect(calls).toEqual([]);
  });

  it('goes on where another daemon died, and first says what it is told to', async () => {
    const agreed = { minor: 45, features: new Set<never>(), maxWriteBytes: 4096 };
    const firstNotices = [{ kind: 'resend' }, { kind: 'epoch' }] as const;
    const { session, channel, ask } = serve({}, { agreed, firstNotices });
    expect(await session.ready).toBe(agreed);
    const told = [7, 8].map((error) => ({ unique: 0, error, body: Buffer.alloc(0) }));
    expect(channel.sent).toEqual(told);
    expect(ask('statfs')[0]?.error).toBe(0);
  });

  it('counts what the kernel forgets', async () => {
    const { ask, calls } = serveOpen();
    expect(ask('forget', { nodeid: 8, body: [pack('forget_in', { nlookup: 3 })] })).toEqual([]);
    const pairs = Array.from({ length: 5000 }, (_, index) =>
      pack('forget_one', { nodeid: index + 10, nlookup: index }),
    );
    const body = [pack('batch_forget_in', { count: pairs.length }), ...pairs];
    expect(ask('batchforget', { body })).toEqual([]);
    expect(calls.length).toBeLessThan(5000);
    while (calls.length < 5001) await nextTurn();
    expect(calls[0]).toEqual(['forget', 8, 3]);
    expect(calls.slice(1)).toEqual(pairs.map((_, index) => ['forget', index + 10, index]));
  });

  it('never answers a FORGET, whatever is wrong with it', () => {
    const forget = (): never => {
      throw new TypeError('a bug in forget');
    };
    const { ask } = serveOpen({ forget });
    expect(ask('forget', { body: [pack('forget_in', { nlookup: 1 })] })).toEqual([]);
    expect(ask('forget', { body: [] })).toEqual([]);
    const body = [pack('batch_forget_in', { count: 1000 }), pack('forget_one', { nodeid: 8 })];
    expect(ask('batchforget', { body })).toEqual([]);
  });

  it('goes on when an answer cannot be written', () => {
    const { ask, channel, lines } = serveOpen();
    channel.writeError = Object.assign(new Error('nobody waits'), { code: 'ENOENT' });
    expect(ask('statfs')).toEqual([]);
    expect(lines).toEqual([]);
    channel.writeError = Object.assign(new Error('strange'), { code: 'EINVAL' });
    expect(ask('statfs')).toEqual([]);
    expect(lines).toEqual([
      expect.stringContaining('reply-failed operation=statfs reason=strange'),
    ]);
    expect(ask('statfs')[0]?.error).toBe(0);
  });

  it('tells who asks to see it of each request, with names that cannot harm a terminal', () => {
    const traces: RequestTrace[] = [];
    const measures: unknown[][] = [];
    const lookup: VfsOperations['lookup'] = () => {
      throw new ErrnoError('ENOENT');
    };
    const { ask } = serveOpen(
      { lookup },
      { trace: (trace) => traces.push(trace), measure: (...measure) => measures.push(measure) },
    );
    ask('lookup', { nodeid: 8, unique: 4, body: [nameBytes('a\\\x1b[2J\n\xff')] });
    expect(traces.at(-1)).toMatchObject({
      ...{ operation: 'lookup', ino: 8, unique: 4, errno: errno.ENOENT, replySizeBytes: 16 },
      name: String.raw`a\x5c\x1b[2J\x0a\xff`,
    });
    expect(traces.at(-1)?.durationMs).toBeGreaterThanOrEqual(0);
    expect(measures.map(([operation]) => operation)).toEqual(['init', 'lookup']);
    expect(measures[1]?.[2]).toBe(errno.ENOENT);
  });
});

describe('requests of random bytes', () => {
  const unanswered: ReadonlySet<number> = new Set([
    ...[opcodes.forget, opcodes.batchforget, opcodes.interrupt],
  ]);

  it('get exactly one answer, and never end the session', () => {
    const served = serveOpen();
    const anyOpcode = fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...Object.values(opcodes)) },
      { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
    );
    fc.assert(
      fc.property(
        anyOpcode,
        fc.maxSafeInteger().map((unique) => Math.abs(unique) || 1),
        fc.maxSafeNat(),
        fc.uint8Array({ maxLength: 200 }),
        (opcode, unique, nodeid, bytes) => {
          const values = { unique, nodeid, body: [Buffer.from(bytes)] };
          const answers = served.ask(opcode, values);
          expect(answers.map((answer) => answer.unique)).toEqual(
            unanswered.has(opcode) ? [] : [unique],
          );
        },
      ),
      { numRuns: 5000 },
    );
    expect(served.ask('statfs')[0]?.error).toBe(0);
  });

  it('are survived whichever bytes of a good request are changed', () => {
    const served = serveOpen();
    const good = packRequest({
      opcode: opcodes.setxattr,
      body: [pack('setxattr_in', { size: 5 }), nameBytes('user.a'), Buffer.from('hello')],
    });
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    const bytesOf = fc
      .tuple(fc.array(change, { minLength: 1, maxLength: 6 }), fc.integer({ min: -45, max: 45 }))
      .map(([changes, growth]) => {
        const bytes = Buffer.concat([good, Buffer.alloc(45, 1)]).subarray(0, good.length + growth);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        return bytes;
      });
    fc.assert(
      fc.property(bytesOf, (bytes) => {
        expect(served.channel.deliver(bytes).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 5000 },
    );
    expect(served.ask('statfs')[0]?.error).toBe(0);
  });
});

describe('requests that a daemon had read before it died', () => {
  // As far above 2^63 as a double can tell apart.
  const again = 2n ** 63n + 4096n;
  const mkdir = [pack('mkdir_in', { mode: 0o755 }), nameBytes('n')];
  const renamed = [pack('rename_in', { newdir: 9 }), nameBytes('a'), nameBytes('b')];
  const failing = (code: 'EEXIST' | 'ENOENT'): Partial<VfsOperations> => {
    const fail = (): never => {
      throw new ErrnoError(code);
    };
    return { mkdir: fail, rmdir: fail, rename: fail, unlink: fail };
  };

  it('are answered under the number that they have now', async () => {
    const { channel, ask } = serveOpen();
    ask('getattr', { unique: again, body: [pack('getattr_in', {})] });
    ask('rmdir', { unique: again, body: [nameBytes('n')] });
    await nextTurn();
    expect(channel.sent.slice(1)).toMatchObject([
      { unique: Number(again), error: 0 },
      { unique: Number(again), error: 0 },
    ]);
  });

  it('have succeeded when they were done already', async () => {
    const { channel, ask, calls } = serveOpen(failing('ENOENT'));
    ask('rmdir', { unique: again, body: [nameBytes('n')] });
    ask('rename', { unique: again + 4096n, body: renamed });
    await nextTurn();
    expect(channel.sent.slice(1).map(({ error }) => error)).toEqual([0, 0]);
    const made = serveOpen(failing('EEXIST'));
    made.ask('mkdir', { unique: again, body: mkdir });
    await nextTurn();
    expect(made.channel.sent.slice(1)).toMatchObject([{ error: 0 }]);
    expect(made.channel.sent[1]?.body).toHaveLength(128);
    expect(made.calls.at(-1)).toEqual(['lookup', 1, 'n', caller]);
    expect(calls).toHaveLength(2);
  });

  it('fail for any other reason, and so do those that come for the first time', async () => {
    const { channel, ask } = serveOpen(failing('EEXIST'));
    ask('rmdir', { unique: again, body: [nameBytes('n')] });
    ask('mkdir', { unique: 4, body: mkdir });
    ask('unlink', { unique: again + 4096n, body: [nameBytes('n')] });
    await nextTurn();
    expect(channel.sent.slice(1).map(({ error }) => error)).toEqual([-17, -17, -17]);
  });
});
