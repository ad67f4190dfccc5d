import { constants } from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { BufferPool } from '../vfs/buffer-pool.ts';
import { whenReady } from '../vfs/maybe-promise.ts';
import type {
  AttrChange,
  AttrReply,
  EntryReply,
  Ino,
  MaybePromise,
  NewFile,
  OpenReply,
  VfsOperations,
} from '../vfs/operations.ts';
import { afterDirectWrite, newFileWithDirectWrites, withDirectWrites } from './direct-writes.ts';
import { DirectoryBuffer } from './directory-buffer.ts';
import { transferLimitBytes } from './handshake.ts';
import {
  fsyncDataOnly,
  getattrHasHandle,
  opcodes,
  openKillsPrivileges,
  setattrFields,
  writeKillsPrivileges,
  writeOfCache,
} from './opcodes.ts';
import type { OpcodeName } from './opcodes.ts';
import { changedBy, killPrivileges, withoutPrivileges } from './privileges.ts';
import { appendSized } from './reply.ts';
import type { Reply } from './reply.ts';
import { MalformedRequestError } from './request-reader.ts';
import type { RequestReader } from './request-reader.ts';
import * as wire from './wire.ts';

/** What the kernel keeps, as far as a request may need to change it before it is answered. */
export interface KernelCache {
  /** The kernel asks for the attributes of this inode the next time that somebody wants them. */
  dropAttributes(ino: Ino): void;
  /** The kernel keeps this as the content of an inode of that size, of which it waits for no page. */
  storeContent(ino: Ino, content: Uint8Array): void;
  /** A handle is there whose content a file may hold (`FileHandle.backing`); gives the kernel's number of that file. */
  openBacked(ino: Ino, backing: () => number | undefined): number | undefined;
  /** A handle is not there any more. */
  released(ino: Ino): void;
  /** Whether a write past the cache takes what it replaces out of it. */
  takesDirectWrites(): boolean;
  /** Resolves when the kernel has let go of these bytes of an inode, whoever reads them. */
  dropContent(ino: Ino, offset: number, sizeBytes: number): Promise<void>;
}

/** How one kind of request is served. */
export interface Operation<T> {
  readonly name: OpcodeName;
  /** Where in the body a file name stands, for traces. */
  readonly nameOffset: number | undefined;
  /** Takes what it needs out of the request before it returns, and asks the filesystem. */
  call(vfs: VfsOperations, request: RequestReader, kernel: KernelCache): MaybePromise<T>;
  /** Puts the result into the answer. */
  encode(reply: Reply, result: T): void;
  /** The answer was written: takes back what the result stood in. */
  answered?(result: T): void;
}

type Call<T> = Operation<T>['call'];

const nothing = (): void => undefined;
const entry = (reply: Reply, result: EntryReply): void =>
  wire.writeEntryOut(reply.words, result, reply.grow(wire.entryOutSizeBytes));
const attr = (reply: Reply, result: AttrReply): void =>
  wire.writeAttrOut(reply.words, result, reply.grow(wire.attrOutSizeBytes));
/** `backingId` is the kernel's number of the file that it reads from, where there is one. */
type OpenedReply = OpenReply & { readonly backingId?: number | undefined };

const opened = (reply: Reply, result: OpenedReply): void =>
  wire.writeOpenOut(reply.words, result, reply.grow(wire.openOutSizeBytes), result.backingId);
const created = (reply: Reply, result: NewFile): void => {
  entry(reply, result.entry);
  opened(reply, result.open);
};
const bytes = (reply: Reply, result: Uint8Array): void => reply.append(result);
const number32 = (reply: Reply, result: number): void => {
  reply.words[reply.grow(4) >>> 2] = result;
  reply.words[reply.grow(4) >>> 2] = 0;
};
const number64 = (reply: Reply, result: number): void =>
  wire.writeU64(reply.words, result, reply.grow(8));

const served: readonly Operation<unknown>[] = [
  // Names and attributes

  operation('lookup', (vfs, r) => vfs.lookup(r.ino, r.name(0), r.caller()), entry, 0),
  operation(
    'getattr',
    (vfs, r) =>
      vfs.getattr(r.ino, (r.u32(0) & getattrHasHandle) === 0 ? undefined : r.optionalFh(8)),
    attr,
  ),
  operation('setattr', setattr, attr),
  operation('access', (vfs, r) => vfs.access(r.ino, r.u32(0), r.caller()), nothing),
  operation(
    'readlink',
    (vfs, r) => whenReady(vfs.readlink(r.ino), (target) => Buffer.from(target, 'latin1')),
    bytes,
  ),
  operation(
    'statfs',
    (vfs, r) => vfs.statfs(r.ino),
    (reply, result) =>
      wire.writeStatfsOut(reply.words, result, reply.grow(wire.statfsOutSizeBytes)),
  ),

  // Changes of directories

  operation(
    'symlink',
    (vfs, r) => {
      const [name, target] = twoTexts(r, 0);
      return vfs.symlink(r.ino, name, target, r.caller());
    },
    entry,
    0,
  ),
  operation(
    'mknod',
    (vfs, r) => vfs.mknod(r.ino, r.name(16), r.u32(0), r.u32(4), r.caller()),
    entry,
    16,
  ),
  operation('mkdir', (vfs, r) => vfs.mkdir(r.ino, r.name(8), r.u32(0), r.caller()), entry, 8),
  operation('unlink', (vfs, r) => vfs.unlink(r.ino, r.name(0)), nothing, 0),
  operation('rmdir', (vfs, r) => vfs.rmdir(r.ino, r.name(0)), nothing, 0),
  operation('rename', (vfs, r) => rename(vfs, r, 8, 0), nothing, 8),
  operation('rename2', (vfs, r) => rename(vfs, r, 16, r.u32(8)), nothing, 16),
  operation('link', (vfs, r) => vfs.link(r.ino64(0), r.ino, r.name(8)), entry, 8),

  // Open files

  operation(
    'open',
    (vfs, r, kernel) => {
      const { ino } = r;
      const caller = r.caller();
      const flags = r.u32(0);
      const kills = (r.u32(4) & openKillsPrivileges) !== 0;
      const open = whenReady(vfs.open(ino, flags, caller), (result): OpenedReply => {
        const content = result.firstContent?.();
        if (content !== undefined && content.length > 0) kernel.storeContent(ino, content);
        if (result.backing === undefined) return withDirectWrites(flags, result, vfs, kernel);
        return { ...result, backingId: kernel.openBacked(ino, result.backing) };
      });
      if (!kills) return open;
      return whenReady(open, (result) => whenReady(killPrivileges(vfs, ino, caller), () => result));
    },
    opened,
  ),
  operation(
    'create',
    (vfs, r, kernel) => {
      const flags = r.u32(0);
      const made = vfs.create(r.ino, r.name(16), r.u32(4), flags, r.caller());
      return newFileWithDirectWrites(flags, made, vfs, kernel);
    },
    created,
    16,
  ),
  operation(
    'tmpfile',
    (vfs, r, kernel) => {
      const flags = r.u32(0);
      // What stands where create has the name is one that the kernel made up.
      const made = vfs.tmpfile(r.ino, r.u32(4), flags, r.caller());
      return newFileWithDirectWrites(flags, made, vfs, kernel);
    },
    created,
  ),
  {
    ...operation('read', read, (reply, { data }) => reply.append(data)),
    answered: ({ lent }: ReadReply) => {
      if (lent !== undefined) readBuffers.give(lent);
    },
  },
  operation('write', write, number32),
  operation('flush', (vfs, r) => vfs.flush(r.ino, r.optionalFh(0)), nothing),
  operation(
    'fsync',
    (vfs, r) => vfs.fsync(r.ino, r.optionalFh(0), (r.u32(8) & fsyncDataOnly) !== 0),
    nothing,
  ),
  operation(
    'release',
    (vfs, r, kernel) => {
      kernel.released(r.ino);
      return vfs.release(r.ino, r.fh(0));
    },
    nothing,
  ),
  operation(
    'fallocate',
    (vfs, r, kernel) => {
      const { ino } = r;
      const done = vfs.fallocate(ino, r.fh(0), r.filePosition(8), r.filePosition(16), r.u32(24));
      return changedBy(r.caller(), vfs, ino, kernel, done);
    },
    nothing,
  ),
  operation(
    'lseek',
    (vfs, r) => vfs.lseek(r.ino, r.optionalFh(0), r.byteCount(8), r.u32(16)),
    number64,
  ),
  operation(
    'copyfilerange',
    (vfs, r, kernel) => copyFileRange(vfs, r, kernel, 0xffff_f000),
    number32,
  ),
  operation(
    'copyfilerange64',
    (vfs, r, kernel) => copyFileRange(vfs, r, kernel, Number.MAX_SAFE_INTEGER),
    number64,
  ),

  // Directories

  operation('opendir', (vfs, r) => vfs.opendir(r.ino), opened),
  { ...operation('readdir', (vfs, r) => readdir(vfs, r, false), entries), answered: giveBack },
  { ...operation('readdirplus', (vfs, r) => readdir(vfs, r, true), entries), answered: giveBack },
  operation('releasedir', (vfs, r) => vfs.releasedir(r.ino, r.fh(0)), nothing),
  operation('fsyncdir', (vfs, r) => vfs.fsyncdir(r.ino, r.optionalFh(0)), nothing),

  // Extended attributes

  operation(
    'getxattr',
    (vfs, r) => {
      const roomBytes = r.u32(0);
      return whenReady(vfs.getxattr(r.ino, r.text(8)), (value) => ({ value, roomBytes }));
    },
    appendSized,
    8,
  ),
  operation(
    'listxattr',
    (vfs, r) => {
      const roomBytes = r.u32(0);
      return whenReady(vfs.listxattr(r.ino), (names) => {
        const value = Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1');
        return { value, roomBytes };
      });
    },
    appendSized,
  ),
  operation(
    'setxattr',
    (vfs, r) => {
      const name = r.text(8);
      // A copy: the filesystem may keep it.
      const value = Buffer.from(r.bytes(8 + name.length + 1, r.u32(0)));
      return vfs.setxattr(r.ino, name, value, r.u32(4));
    },
    nothing,
    8,
  ),
  operation('removexattr', (vfs, r) => vfs.removexattr(r.ino, r.text(0)), nothing, 0),
];

const byOpcode: (Operation<unknown> | undefined)[] = [];
for (const one of served) byOpcode[opcodes[one.name]] = one;

/** The operation of an opcode; `undefined` for one that is not served. */
export function operationOf(opcode: number): Operation<unknown> | undefined {
  return byOpcode[opcode];
}

function operation<T>(
  name: OpcodeName,
  call: Call<T>,
  encode: (reply: Reply, result: T) => void,
  nameOffset?: number,
): Operation<T> {
  return { name, nameOffset, call, encode };
}

function setattr(vfs: VfsOperations, r: RequestReader): MaybePromise<AttrReply> {
  const valid = r.u32(0);
  const has = (field: number): boolean => (valid & field) !== 0;
  const change: { -readonly [Field in keyof AttrChange]: AttrChange[Field] } = {};
  if (has(setattrFields.mode)) change.mode = r.u32(68) & 0o7777;
  if (has(setattrFields.uid)) change.uid = r.u32(76);
  if (has(setattrFields.gid)) change.gid = r.u32(80);
  if (has(setattrFields.size)) change.size = r.filePosition(16);
  if (has(setattrFields.atimeNow)) change.atime = 'now';
  else if (has(setattrFields.atime)) change.atime = r.time(32, 56);
  if (has(setattrFields.mtimeNow)) change.mtime = 'now';
  else if (has(setattrFields.mtime)) change.mtime = r.time(40, 60);
  const { ino } = r;
  const caller = r.caller();
  const fh = has(setattrFields.fh) ? r.optionalFh(8) : undefined;
  const apply = (): MaybePromise<AttrReply> => vfs.setattr(ino, change, fh, caller);
  if (!has(setattrFields.killPrivileges)) return apply();
  return whenReady(killPrivileges(vfs, ino, caller), apply);
}

/** What was read, and the memory that it may stand in. */
interface ReadReply {
  readonly data: Uint8Array;
  readonly lent: Buffer | undefined;
}

/**
 * Memory of large reads, used again: fresh mebibytes for each keep the garbage collector busy, which
 * took half of the time that reading a big file costs here.
 */
const readBuffers = new BufferPool(transferLimitBytes, 16);
/** Smaller reads have fresh memory, which is as quick. */
const smallestReusedBytes = 64 * 1024;

function read(vfs: VfsOperations, r: RequestReader): MaybePromise<ReadReply> {
  const sizeBytes = transferSize(r, 16);
  let lent: Buffer | undefined;
  const lend = (): Buffer => (lent = readBuffers.take(sizeBytes));
  const lendIfLarge = sizeBytes >= smallestReusedBytes ? lend : undefined;
  const read = vfs.read(r.ino, r.optionalFh(0), r.filePosition(8), sizeBytes, lendIfLarge);
  // After an error it is not taken back: something may still be read into it.
  return whenReady(read, (data) => {
    if (data.length > sizeBytes) throw new RangeError('read gave more than was asked for');
    return { data, lent };
  });
}

function write(vfs: VfsOperations, r: RequestReader, kernel: KernelCache): MaybePromise<number> {
  const { ino } = r;
  const fh = r.fh(0);
  const offset = r.filePosition(8);
  const data = r.bytes(40, transferSize(r, 16));
  const writeFlags = r.u32(20);
  const openFlags = r.u32(32);
  const appends = (writeFlags & writeOfCache) === 0 && (openFlags & constants.O_APPEND) !== 0;
  const kills = (writeFlags & writeKillsPrivileges) !== 0;
  const caller = r.caller();
  // First the data, which is not there any more when something had to be waited for.
  const written = vfs.write(ino, fh, offset, data, appends);
  const done = afterDirectWrite({ ino, fh, offset, writeFlags, openFlags }, vfs, kernel, written);
  return kills ? withoutPrivileges(caller, vfs, ino, kernel, done) : done;
}

function rename(
  vfs: VfsOperations,
  r: RequestReader,
  namesOffset: number,
  flags: number,
): MaybePromise<void> {
  const newParent = r.ino64(0);
  const name = r.name(namesOffset);
  const newName = r.name(namesOffset + name.length + 1);
  return vfs.rename(r.ino, name, newParent, newName, flags);
}

function copyFileRange(
  vfs: VfsOperations,
  r: RequestReader,
  kernel: KernelCache,
  limitBytes: number,
): MaybePromise<number> {
  if (r.u64(48) !== 0) throw new ErrnoError('EINVAL', 'copy_file_range has no flags');
  const length = Math.min(r.byteCount(40), limitBytes);
  const to = { ino: r.ino64(16), fh: r.fh(24), offset: r.filePosition(32) };
  const from = { ino: r.ino, fh: r.fh(0), offset: r.filePosition(8) };
  const copied = vfs.copyFileRange(
    from.ino,
    from.fh,
    from.offset,
    to.ino,
    to.fh,
    to.offset,
    length,
  );
  return changedBy(r.caller(), vfs, to.ino, kernel, copied);
}

function readdir(
  vfs: VfsOperations,
  r: RequestReader,
  plus: boolean,
): MaybePromise<DirectoryBuffer> {
  const listing = DirectoryBuffer.take(transferSize(r, 16), plus);
  const filled = vfs.readdir(r.ino, r.optionalFh(0), r.u64(8), plus, listing);
  return whenReady(filled, () => listing);
}

function entries(reply: Reply, listing: DirectoryBuffer): void {
  if (!listing.isEmpty) reply.append(listing.bytes);
}

function giveBack(listing: DirectoryBuffer): void {
  listing.giveBack();
}

/** A name and the text behind it. */
function twoTexts(r: RequestReader, offset: number): [ByteString, ByteString] {
  const name = r.name(offset);
  return [name, r.text(offset + name.length + 1)];
}

/** How much is to be read or written. */
function transferSize(r: RequestReader, offset: number): number {
  const sizeBytes = r.u32(offset);
  if (sizeBytes > transferLimitBytes) {
    throw new MalformedRequestError(`${sizeBytes} bytes at once were not agreed on`);
  }
  return sizeBytes;
}
