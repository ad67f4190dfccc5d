import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Repository } from '../../src/git/repository.ts';
import { opcodes } from '../../src/mount/fuse/opcodes.ts';
import type { OpcodeName } from '../../src/mount/fuse/opcodes.ts';
import { FuseSession } from '../../src/mount/fuse/session.ts';
import { WritableBranches } from '../../src/mount/branch/writable-branches.ts';
import { Log } from '../../src/mount/observe/log.ts';
import { parseRefName } from '../../src/git/refs/ref-name.ts';
import { InoAllocator } from '../../src/mount/vfs/ino-allocator.ts';
import { InodeTable } from '../../src/mount/vfs/inode-table.ts';
import { rootIno } from '../../src/mount/vfs/operations.ts';
import { Vfs } from '../../src/mount/vfs/vfs.ts';
import { FakeFuseChannel } from '../helpers/fake-fuse-channel.ts';
import type { SentMessage } from '../helpers/fake-fuse-channel.ts';
import {
  nameBytes,
  pack,
  packRequest,
  structFields,
  structSizeBytes,
} from '../helpers/fuse-structs.ts';
import type { StructName } from '../helpers/fuse-structs.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { Mutator } from './mutations.ts';

const bodies: Partial<Record<OpcodeName, StructName>> = {
  ...{ getattr: 'getattr_in', setattr: 'setattr_in', mknod: 'mknod_in', mkdir: 'mkdir_in' },
  ...{ rename: 'rename_in', rename2: 'rename2_in', link: 'link_in', open: 'open_in' },
  ...{
    create: 'create_in',
    tmpfile: 'create_in',
    read: 'read_in',
    write: 'write_in',
    release: 'release_in',
  },
  ...{ flush: 'flush_in', fsync: 'fsync_in', setxattr: 'setxattr_in', getxattr: 'getxattr_in' },
  ...{ listxattr: 'getxattr_in', access: 'access_in', interrupt: 'interrupt_in' },
  ...{ fallocate: 'fallocate_in', lseek: 'lseek_in', copyfilerange: 'copy_file_range_in' },
  ...{ opendir: 'open_in', readdir: 'read_in', readdirplus: 'read_in', releasedir: 'release_in' },
  ...{ fsyncdir: 'fsync_in', forget: 'forget_in' },
};
const named: ReadonlySet<string> = new Set([
  ...['lookup', 'symlink', 'mknod', 'mkdir', 'unlink', 'rmdir', 'rename', 'rename2', 'link'],
  ...['create', 'tmpfile', 'setxattr', 'getxattr', 'removexattr'],
]);
const names = ['a', 'b', 'dir', '.git', '..', 'a/b', 'ü', 'x'.repeat(256), '', '.x.swp'];
/** Fields that hold what an earlier answer gave, or a size; a large size asks for a large answer. */
const small: ReadonlySet<string> = new Set([
  'fh',
  'fh_in',
  'fh_out',
  'oldnodeid',
  'newdir',
  'nodeid_out',
]);
const sizes: ReadonlySet<string> = new Set([
  'size',
  'len',
  'length',
  'offset',
  'off_in',
  'off_out',
]);

/** A whole request with fields that make sense, more or less. */
function sensible(name: OpcodeName, mutator: Mutator): Buffer {
  const struct = bodies[name];
  const body: Buffer[] = [];
  if (struct !== undefined) {
    const values: Record<string, number> = {};
    for (const field of structFields(struct)) {
      values[field] = small.has(field)
        ? mutator.below(20)
        : sizes.has(field)
          ? mutator.pick([0, 1, 10, 4096, 70_000])
          : mutator.pick([0, 1, 2, 0o644, 0o40755, 0x8000, mutator.below(2 ** 32)]);
    }
    body.push(pack(struct, values));
  }
  if (named.has(name)) {
    body.push(nameBytes(mutator.pick(names)));
    if (name.startsWith('rename') || name === 'symlink') body.push(nameBytes(mutator.pick(names)));
  }
  if (name === 'write' || name === 'setxattr') body.push(mutator.bytes(mutator.below(50)));
  return packRequest({ opcode: opcodes[name], nodeid: mutator.below(30), body });
}

/** Requests that begin with a handle. */
const withHandle: ReadonlySet<number> = new Set(
  Object.entries(bodies)
    .filter(([, struct]) => ['fh', 'fh_in'].includes(structFields(struct)[0] ?? ''))
    .map(([name]) => opcodes[name as OpcodeName]),
);

const seedCount = 1000;
const handshake = packRequest({
  opcode: opcodes.init,
  body: [pack('init_in', { major: 7, minor: 45, max_readahead: 65_536, flags: 0xffff_ffff })],
});
/** Events of the log that tell of an error nobody foresaw, or of an answer that cannot be right. */
const fault = / (unexpected-error|reply-failed|notice-failed) /;

const headerBytes = structSizeBytes('in_header');
const entryAnswers: ReadonlySet<number> = new Set(
  (['lookup', 'mkdir', 'mknod', 'symlink', 'link', 'create', 'tmpfile'] as const).map(
    (name) => opcodes[name],
  ),
);
const entryOutBytes = 128;
const knownLimit = 50;

/** What earlier answers gave, so that requests are about nodes and handles that are there. */
class Answers {
  readonly #opcodeOf = new Map<number, number>();
  readonly #inos: bigint[] = [1n];
  readonly #lookups = new Map<bigint, number>();
  readonly #handles: bigint[] = [1n];

  /** Puts a number that was given into a request, most of the time, and its own number. */
  aim(request: Buffer, unique: number, mutator: Mutator): void {
    const opcode = request.readUInt32LE(4);
    request.writeBigUInt64LE(BigInt(unique), 8);
    this.#opcodeOf.set(unique, opcode);
    if (mutator.below(4) > 0) request.writeBigUInt64LE(mutator.pick(this.#inos), 16);
    if (opcode === opcodes.forget) this.#forget(request);
    const hasHandle = withHandle.has(opcode) && request.length >= headerBytes + 8;
    if (hasHandle && mutator.below(4) > 0) {
      request.writeBigUInt64LE(mutator.pick(this.#handles), headerBytes);
    }
  }

  learn(sent: readonly SentMessage[]): void {
    for (const { unique, error, body } of sent) {
      const opcode = this.#opcodeOf.get(unique);
      this.#opcodeOf.delete(unique);
      if (opcode === undefined || error !== 0) continue;
      if (entryAnswers.has(opcode) && body.length >= entryOutBytes) {
        this.#keep(this.#inos, body, 0);
        const ino = body.readBigUInt64LE(0);
        this.#lookups.set(ino, (this.#lookups.get(ino) ?? 0) + 1);
      }
      if (opcode === opcodes.create) this.#keep(this.#handles, body, entryOutBytes);
      if (opcode === opcodes.open || opcode === opcodes.opendir) this.#keep(this.#handles, body, 0);
    }
  }

  /** A kernel that forgot what it was never told of would take the references of open files. */
  #forget(request: Buffer): void {
    const ino = request.readBigUInt64LE(16);
    const lookups = this.#lookups.get(ino) ?? 0;
    if (request.length < headerBytes + 8) return;
    request.writeBigUInt64LE(lookups > 0 ? 1n : 0n, headerBytes);
    this.#lookups.set(ino, Math.max(0, lookups - 1));
  }

  #keep(known: bigint[], body: Buffer, at: number): void {
    const number = body.readBigUInt64LE(at);
    if (number === 0n || known.includes(number)) return;
    known.push(number);
    // The oldest goes, but for the root.
    if (known.length > knownLimit) known.splice(1, 1);
  }
}

/** Requests to a branch that can be written, one after the other, as no kernel would send them. */
export const fuseTarget: FuzzTarget = {
  name: 'fuse',
  open: async () => {
    const path = mkdtempSync('/dev/shm/vost-fuzz-');
    const git = (...args: string[]): string =>
      execFileSync('git', ['--git-dir', path, ...args], { encoding: 'utf8' });
    execFileSync('git', ['init', '--quiet', '--bare', path]);
    const tree = git('hash-object', '-t', 'tree', '-w', '/dev/null').trim();
    const identity = ['-c', 'user.name=F', '-c', 'user.email=f@x'];
    const commit = git(...identity, 'commit-tree', '-m', 'x', tree).trim();
    git('update-ref', 'refs/heads/main', commit);

    const repository = await Repository.open(path);
    const faults: string[] = [];
    const succeeded = new Set<string>();
    const log = new Log({
      write: (line) => {
        if (fault.test(line)) faults.push(line);
      },
    });
    const context = {
      inos: new InoAllocator(),
      inodes: new InodeTable(),
      owner: { uid: 1000, gid: 100 },
    };
    const channel = new FakeFuseChannel();
    const session: { current?: FuseSession } = {};
    const branches = new WritableBranches({
      ...{ repository, context, log, identity: { name: 'F', email: 'f@x' } },
      notifier: {
        invalidateInode: (ino) => session.current?.notifier.invalidateInode(ino),
        invalidateEntry: (parent, name) => session.current?.notifier.invalidateEntry(parent, name),
      },
      mount: { commitOn: 'manual', commitDelayMs: 60_000, maxFileSizeBytes: 1 << 20 },
    });
    const root = await branches.open(parseRefName('refs/heads/main'), {
      ...{ ino: rootIno, parent: null },
    });
    const vfs = new Vfs({
      ...{ root, inodes: context.inodes, log, xattrs: true },
      statfs: () => ({
        blocks: 1,
        bfree: 1,
        bavail: 1,
        files: 1,
        ffree: 1,
        bsize: 512,
        namelen: 255,
      }),
    });
    const served = new FuseSession(channel, vfs, {
      log,
      measure: (operation, _durationMs, errno) => {
        if (errno === 0) succeeded.add(operation);
      },
    });
    session.current = served;
    served.start();
    channel.deliver(handshake);
    await served.ready;

    const mutator = new Mutator(1);
    const kinds = Object.keys(opcodes).filter((name) => name !== 'init' && name !== 'destroy');
    const answers = new Answers();
    let delivered = 0;
    return {
      seeds: Array.from({ length: seedCount }, () =>
        sensible(mutator.pick(kinds) as OpcodeName, mutator),
      ),
      read: async (input, inputMutator) => {
        const isWhole = input.length >= headerBytes;
        const opcode = input.length >= 8 ? input.readUInt32LE(4) : 0;
        if (opcode === opcodes.destroy || opcode === opcodes.init) return;
        // The kernel says how long a request is; what it says wrongly is refused at once.
        if (isWhole && inputMutator.below(8) > 0) input.writeUInt32LE(input.length, 0);
        delivered += 1;
        if (isWhole) answers.aim(input, delivered, inputMutator);
        channel.deliver(input);
        if (delivered % 16 === 0) {
          while (served.pendingCount > 0) await nextTurn();
        }
        answers.learn(channel.sent.splice(0));
        if (faults.length > 0) throw new Error(faults.join(''));
      },
      close: async () => {
        await served.close();
        await branches.stop();
        await repository.close();
        git('fsck', '--strict', '--no-progress', 'main');
        rmSync(path, { recursive: true });
        if (faults.length > 0) throw new Error(faults.join(''));
        // Requests that are all refused would prove nothing.
        if (delivered > 1000 && succeeded.size < 15) {
          throw new Error(`only these were ever answered: ${[...succeeded].join(', ')}`);
        }
      },
    };
  },
};
