import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { MountFailedError } from '../fuse/mounting.ts';

/** How an operation ends: 0 (or a count of bytes) or a negative error number, and what it gives. */
export type Answer<T = unknown> = (result: number, value?: T) => void;

/** What `stat` shows, as fuse-native takes it: times in milliseconds. */
export interface NativeStat {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly ino: number;
  readonly size: number;
  readonly blocks: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

/** What fuse-native takes as the answer to a statfs; counts in units of `bsize` bytes. */
export interface NativeStatfs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly favail: number;
  readonly namemax: number;
}

/** The operations of libfuse 2.9 that fuse-native passes on. Paths are UTF-8 text from the root, `/a/b`. */
export interface NativeOperations {
  getattr(path: string, answer: Answer<NativeStat>): void;
  /** Of what goes with each name, libfuse looks at the number and the type alone. */
  readdir(
    path: string,
    answer: (result: number, names?: string[], stats?: Pick<NativeStat, 'ino' | 'mode'>[]) => void,
  ): void;
  readlink(path: string, answer: Answer<string>): void;
  statfs(path: string, answer: Answer<NativeStatfs>): void;
  mknod(path: string, mode: number, rdev: number, answer: Answer): void;
  mkdir(path: string, mode: number, answer: Answer): void;
  unlink(path: string, answer: Answer): void;
  rmdir(path: string, answer: Answer): void;
  symlink(target: string, path: string, answer: Answer): void;
  rename(from: string, to: string, answer: Answer): void;
  link(from: string, to: string, answer: Answer): void;
  chmod(path: string, mode: number, answer: Answer): void;
  chown(path: string, uid: number, gid: number, answer: Answer): void;
  utimens(path: string, atimeMs: number, mtimeMs: number, answer: Answer): void;
  truncate(path: string, size: number, answer: Answer): void;
  ftruncate(path: string, fh: number, size: number, answer: Answer): void;
  open(path: string, flags: number, answer: Answer<number>): void;
  create(path: string, mode: number, answer: Answer<number>): void;
  read(
    path: string,
    fh: number,
    into: Buffer,
    size: number,
    offset: number,
    answer: (result: number) => void,
  ): void;
  write(
    path: string,
    fh: number,
    data: Buffer,
    size: number,
    offset: number,
    answer: (result: number) => void,
  ): void;
  flush(path: string, fh: number, answer: Answer): void;
  fsync(path: string, datasync: number, fh: number, answer: Answer): void;
  release(path: string, fh: number, answer: Answer): void;
  fsyncdir(path: string, datasync: number, fh: number, answer: Answer): void;
  getxattr(path: string, name: string, position: number, answer: Answer<Buffer>): void;
  listxattr(path: string, answer: Answer<string[]>): void;
  setxattr(
    path: string,
    name: string,
    value: Buffer,
    position: number,
    flags: number,
    answer: Answer,
  ): void;
  removexattr(path: string, name: string, answer: Answer): void;
}

/** A mount made by fuse-native. */
export interface NativeMount {
  mount(done: (error: Error | null) => void): void;
  /** Lets go of what keeps the process alive. Only when the mount is gone; does not unmount. */
  letGo(): void;
}

type Signal = (result: number, buffer?: unknown) => void;

/** What is used of the class that fuse-native exports. Not its own types: it has none. */
interface FuseClass {
  new (
    mountpoint: string,
    operations: NativeOperations,
    options: { readonly timeout: false },
  ): {
    mount(done: (error: Error | null) => void): void;
    readonly ops: NativeOperations;
    readonly mnt: string;
    readonly _thread: unknown;
  };
}

interface Binding {
  fuse_native_unmount(mountpoint: string, thread: unknown): void;
}

const require = createRequire(import.meta.url);
const errnoRange = -34;
/** Strings are cut off beyond this when they are handed to libfuse. */
const stringLimitBytes = 1023;

/**
 * Prepares a mount.
 *
 * @param options as in `mount -o`, joined by commas
 * @throws {MountFailedError} when fuse-native is not there or does not load, or the paths are too long
 */
export function nativeMount(
  mountpoint: string,
  operations: NativeOperations,
  options: string,
): NativeMount {
  for (const text of [mountpoint, `-o${options}`]) {
    if (Buffer.byteLength(text) > stringLimitBytes) {
      throw new MountFailedError(
        'the paths of the repository and the mountpoint are too long for fuse-native; use --transport kernel',
        mountpoint,
      );
    }
  }
  const { Fuse, binding } = load(mountpoint);

  // The package puts options together from parts that it does not escape, and hands out attributes
  // without a look at the room there is for them; both are done here instead.
  class Mount extends Fuse {
    _fuseOptions(): string {
      return `-o${options}`;
    }

    _op_getxattr(signal: Signal, path: string, name: string, room: Buffer, position: number): void {
      this.ops.getxattr(path, name, position, (result, value) => {
        signal(result < 0 || value === undefined ? result : putInto(room, value), room.buffer);
      });
    }

    _op_listxattr(signal: Signal, path: string, room: Buffer): void {
      this.ops.listxattr(path, (result, names) => {
        const list = Buffer.from((names ?? []).map((name) => `${name}\0`).join(''));
        signal(result < 0 ? result : putInto(room, list), room.buffer);
      });
    }

    letGo(): void {
      binding.fuse_native_unmount(this.mnt, this._thread);
    }
  }
  // Without a time limit: by default, what takes longer than 15 s is given up.
  return new Mount(mountpoint, operations, { timeout: false });
}

/** Who asks without room wants to know the size. */
function putInto(room: Buffer, value: Buffer): number {
  if (room.length === 0) return value.length;
  if (value.length > room.length) return errnoRange;
  return value.copy(room);
}

function load(mountpoint: string): { Fuse: FuseClass; binding: Binding } {
  try {
    const Fuse = require('fuse-native') as FuseClass;
    const entry = require.resolve('fuse-native');
    const nodeGypBuild = createRequire(entry)('node-gyp-build') as (directory: string) => Binding;
    return { Fuse, binding: nodeGypBuild(dirname(entry)) };
  } catch (error) {
    throw new MountFailedError(
      'the package fuse-native is not installed or does not load here; add it, and the libfuse.so.2 that ' +
        'it looks for, with: apt install libfuse2 && npm install fuse-native, or use --transport kernel',
      mountpoint,
      error,
    );
  }
}
