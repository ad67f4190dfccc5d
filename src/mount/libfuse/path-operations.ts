import { constants as fsConstants } from 'node:fs';
import type { ByteString } from '../../git/byte-string.ts';
import { ErrnoError } from '../vfs/errno.ts';
import { rootIno } from '../vfs/operations.ts';
import type {
  AttrChange,
  Caller,
  DirectorySink,
  EntryReply,
  Fh,
  Ino,
  MaybePromise,
  VfsOperations,
} from '../vfs/operations.ts';
import type { Answer, NativeOperations, NativeStat, NativeStatfs } from './fuse-native.ts';
import { HeldInodes } from './held-inodes.ts';
import { bytesOf, nativeStat, textOf, timespec } from './native-values.ts';

/** How many inodes keep their number; with more, the ones not asked for longest may change theirs. */
const heldInodeLimit = 100_000;
/** "Leave it as it is", to chown(2). */
const unchangedId = 0xffff_ffff;
/** fuse-native hands numbers of 32 bits to statfs. */
const statfsLimit = 0xffff_ffff;

/** Told of each request with an answer. Must not throw. */
export type RequestObserver = (
  operation: string,
  path: string,
  durationMs: number,
  errno: number,
  /** The number that was the answer, where it is one: bytes of content for `read` and `write`. */
  count: number,
) => void;

/** The names in a directory, and beside them what each is. */
interface Listing {
  readonly names: string[];
  readonly stats: Pick<NativeStat, 'ino' | 'mode'>[];
}

/** The filesystem as libfuse asks for it: every path is looked up from the root, name by name. */
export class PathOperations implements NativeOperations {
  readonly #vfs: VfsOperations;
  readonly #observe: RequestObserver;
  readonly #held: HeldInodes;
  /** The inode of each open file. */
  readonly #open = new Map<number, Ino>();
  /** libfuse does not tell who asks. What a caller makes belongs to the owner of the mount anyway. */
  readonly #caller: Caller = {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    pid: process.pid,
  };

  constructor(vfs: VfsOperations, observe: RequestObserver) {
    this.#vfs = vfs;
    this.#observe = observe;
    this.#held = new HeldInodes(vfs, heldInodeLimit);
  }

  getattr(path: string, answer: Answer<NativeStat>): void {
    this.#answer('getattr', path, answer, async () => {
      const { attr } = await this.#vfs.getattr(await this.#resolve(path), undefined);
      return nativeStat(attr);
    });
  }

  readdir: NativeOperations['readdir'] = (path, answer) => {
    const answerBoth: Answer<Listing> = (result, listing) =>
      answer(result, listing?.names, listing?.stats);
    this.#answer('readdir', path, answerBoth, async () => this.#list(await this.#resolve(path)));
  };

  readlink(path: string, answer: Answer<string>): void {
    this.#answer('readlink', path, answer, async () => {
      const target = await this.#vfs.readlink(await this.#resolve(path));
      const text = textOf(target);
      if (text === undefined) throw new ErrnoError('EILSEQ', 'the target is no UTF-8');
      return text;
    });
  }

  statfs(path: string, answer: Answer<NativeStatfs>): void {
    this.#answer('statfs', path, answer, async () => {
      const { blocks, bfree, bavail, files, ffree, bsize, namelen } =
        await this.#vfs.statfs(rootIno);
      const fits = (count: number): number => Math.min(count, statfsLimit);
      return {
        ...{ bsize, frsize: bsize, namemax: namelen },
        ...{ blocks: fits(blocks), bfree: fits(bfree), bavail: fits(bavail) },
        ...{ files: fits(files), ffree: fits(ffree), favail: fits(ffree) },
      };
    });
  }

  mknod(path: string, mode: number, rdev: number, answer: Answer): void {
    this.#answerEntry('mknod', path, answer, (parent, name) =>
      this.#vfs.mknod(parent, name, mode, rdev, this.#caller),
    );
  }

  mkdir(path: string, mode: number, answer: Answer): void {
    this.#answerEntry('mkdir', path, answer, (parent, name) =>
      this.#vfs.mkdir(parent, name, mode, this.#caller),
    );
  }

  symlink(target: string, path: string, answer: Answer): void {
    this.#answerEntry('symlink', path, answer, (parent, name) =>
      this.#vfs.symlink(parent, name, bytesOf(target), this.#caller),
    );
  }

  link(from: string, to: string, answer: Answer): void {
    this.#answerEntry('link', to, answer, async (parent, name) =>
      this.#vfs.link(await this.#resolve(from), parent, name),
    );
  }

  unlink(path: string, answer: Answer): void {
    this.#answer('unlink', path, answer, async () => {
      const [parent, name] = await this.#place(path);
      return this.#vfs.unlink(parent, name);
    });
  }

  rmdir(path: string, answer: Answer): void {
    this.#answer('rmdir', path, answer, async () => {
      const [parent, name] = await this.#place(path);
      return this.#vfs.rmdir(parent, name);
    });
  }

  rename(from: string, to: string, answer: Answer): void {
    this.#answer('rename', from, answer, async () => {
      const [parent, name] = await this.#place(from);
      const [newParent, newName] = await this.#place(to);
      return this.#vfs.rename(parent, name, newParent, newName, 0);
    });
  }

  chmod(path: string, mode: number, answer: Answer): void {
    this.#setattr('chmod', path, { mode: mode & 0o7777 }, answer);
  }

  chown(path: string, uid: number, gid: number, answer: Answer): void {
    const change = {
      ...(uid === unchangedId ? {} : { uid }),
      ...(gid === unchangedId ? {} : { gid }),
    };
    this.#setattr('chown', path, change, answer);
  }

  utimens(path: string, atimeMs: number, mtimeMs: number, answer: Answer): void {
    const change = { atime: timespec(atimeMs), mtime: timespec(mtimeMs) };
    this.#setattr('utimens', path, change, answer);
  }

  truncate(path: string, size: number, answer: Answer): void {
    this.#setattr('truncate', path, { size }, answer);
  }

  ftruncate(path: string, fh: number, size: number, answer: Answer): void {
    this.#answer('ftruncate', path, answer, async () => {
      await this.#vfs.setattr(this.#inoOf(fh), { size }, fh as Fh, this.#caller);
    });
  }

  open(path: string, flags: number, answer: Answer<number>): void {
    this.#answer('open', path, answer, async () => {
      const ino = await this.#resolve(path);
      const { fh } = await this.#vfs.open(ino, flags, this.#caller);
      this.#open.set(fh, ino);
      return fh;
    });
  }

  create(path: string, mode: number, answer: Answer<number>): void {
    this.#answer('create', path, answer, async () => {
      const [parent, name] = await this.#place(path);
      // The flags of the caller do not come through; who opened for less is held to it by the kernel.
      const flags = fsConstants.O_RDWR | fsConstants.O_CREAT;
      const { entry, open } = await this.#vfs.create(parent, name, mode, flags, this.#caller);
      this.#open.set(open.fh, this.#heldIno(entry));
      return open.fh;
    });
  }

  read(
    path: string,
    fh: number,
    into: Buffer,
    size: number,
    offset: number,
    answer: (result: number) => void,
  ): void {
    this.#answerCount('read', path, answer, async () => {
      const data = await this.#vfs.read(this.#inoOf(fh), fh as Fh, offset, size);
      into.set(data);
      return data.length;
    });
  }

  write(
    path: string,
    fh: number,
    data: Buffer,
    size: number,
    offset: number,
    answer: (result: number) => void,
  ): void {
    this.#answerCount('write', path, answer, () =>
      this.#vfs.write(this.#inoOf(fh), fh as Fh, offset, data.subarray(0, size)),
    );
  }

  flush(path: string, fh: number, answer: Answer): void {
    this.#answer('flush', path, answer, () => this.#vfs.flush(this.#inoOf(fh), fh as Fh));
  }

  fsync(path: string, datasync: number, fh: number, answer: Answer): void {
    this.#answer('fsync', path, answer, () =>
      this.#vfs.fsync(this.#inoOf(fh), fh as Fh, datasync !== 0),
    );
  }

  release(path: string, fh: number, answer: Answer): void {
    this.#answer('release', path, answer, () => {
      const ino = this.#inoOf(fh);
      this.#open.delete(fh);
      return this.#vfs.release(ino, fh as Fh);
    });
  }

  fsyncdir(path: string, _datasync: number, _fh: number, answer: Answer): void {
    this.#answer('fsyncdir', path, answer, async () =>
      this.#vfs.fsyncdir(await this.#resolve(path), undefined),
    );
  }

  getxattr(path: string, name: string, _position: number, answer: Answer<Buffer>): void {
    this.#answer('getxattr', path, answer, async () =>
      Buffer.from(await this.#vfs.getxattr(await this.#resolve(path), bytesOf(name))),
    );
  }

  listxattr(path: string, answer: Answer<string[]>): void {
    this.#answer('listxattr', path, answer, async () => {
      const names = await this.#vfs.listxattr(await this.#resolve(path));
      return names.map((name) => textOf(name)).filter((name) => name !== undefined);
    });
  }

  setxattr(
    path: string,
    name: string,
    value: Buffer,
    _position: number,
    flags: number,
    answer: Answer,
  ): void {
    this.#answer('setxattr', path, answer, async () =>
      this.#vfs.setxattr(await this.#resolve(path), bytesOf(name), Buffer.from(value), flags),
    );
  }

  removexattr(path: string, name: string, answer: Answer): void {
    this.#answer('removexattr', path, answer, async () =>
      this.#vfs.removexattr(await this.#resolve(path), bytesOf(name)),
    );
  }

  #setattr(operation: string, path: string, change: AttrChange, answer: Answer): void {
    this.#answer(operation, path, answer, async () => {
      await this.#vfs.setattr(await this.#resolve(path), change, undefined, this.#caller);
    });
  }

  async #list(ino: Ino): Promise<Listing> {
    const { fh } = await this.#vfs.opendir(ino);
    try {
      const listing: Listing = { names: [], stats: [] };
      let next = 0;
      const sink: DirectorySink = {
        add: (name, entryIno, mode, offset) => {
          next = offset;
          const text = textOf(name);
          if (text === undefined) return true;
          listing.names.push(text);
          listing.stats.push({ ino: entryIno, mode });
          return true;
        },
        addPlus: () => false,
      };
      // A listing may stop early, as where it is searched for on the disk; it is over when nothing came.
      for (let before = -1; before !== next;) {
        before = next;
        await this.#vfs.readdir(ino, fh, next, false, sink);
      }
      return listing;
    } finally {
      await this.#vfs.releasedir(ino, fh);
    }
  }

  async #resolve(path: string): Promise<Ino> {
    let ino = rootIno;
    for (const name of bytesOf(path).split('/')) {
      if (name !== '') ino = await this.#lookup(ino, name as ByteString);
    }
    return ino;
  }

  /** The directory of a path, and the name in it. */
  async #place(path: string): Promise<[Ino, ByteString]> {
    const slash = path.lastIndexOf('/');
    const parent = await this.#resolve(path.slice(0, slash));
    return [parent, bytesOf(path.slice(slash + 1))];
  }

  async #lookup(parent: Ino, name: ByteString): Promise<Ino> {
    return this.#heldIno(await this.#vfs.lookup(parent, name, this.#caller));
  }

  /** The inode of an answer that counts a lookup. */
  #heldIno({ attr }: EntryReply): Ino {
    if (attr === null) throw new ErrnoError('ENOENT');
    this.#held.hold(attr.ino);
    return attr.ino;
  }

  #inoOf(fh: number): Ino {
    const ino = this.#open.get(fh);
    if (ino === undefined) throw new ErrnoError('EBADF');
    return ino;
  }

  #answerEntry(
    operation: string,
    path: string,
    answer: Answer,
    make: (parent: Ino, name: ByteString) => MaybePromise<EntryReply>,
  ): void {
    this.#answer(operation, path, answer, async () => {
      this.#heldIno(await make(...(await this.#place(path))));
    });
  }

  #answerCount(
    operation: string,
    path: string,
    answer: (result: number) => void,
    work: () => MaybePromise<number>,
  ): void {
    void this.#run(operation, path, work).then(({ errno, value }) => answer(value ?? -errno));
  }

  #answer<T>(
    operation: string,
    path: string,
    answer: Answer<T>,
    work: () => MaybePromise<T>,
  ): void {
    void this.#run(operation, path, work).then(({ errno, value }) => {
      if (errno === 0) answer(0, value);
      else answer(-errno);
    });
  }

  /** Never rejects. */
  async #run<T>(
    operation: string,
    path: string,
    work: () => MaybePromise<T>,
  ): Promise<{ errno: number; value?: T }> {
    const startedMs = performance.now();
    let outcome: { errno: number; value?: T };
    try {
      outcome = { errno: 0, value: await work() };
    } catch (error) {
      outcome = { errno: this.#vfs.errnoOf(error, operation) };
    }
    const { errno, value } = outcome;
    const count = typeof value === 'number' ? value : 0;
    this.#observe(operation, path, performance.now() - startedMs, errno, count);
    return outcome;
  }
}
