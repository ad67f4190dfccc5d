import type { ByteString } from '../../../../src/git/byte-string.ts';
import { Log } from '../../../../src/mount/observe/log.ts';
import { plainAttr } from '../../../../src/mount/vfs/attr.ts';
import { ErrnoError } from '../../../../src/mount/vfs/errno.ts';
import { InoAllocator } from '../../../../src/mount/vfs/ino-allocator.ts';
import { InodeTable } from '../../../../src/mount/vfs/inode-table.ts';
import type { NodeContext } from '../../../../src/mount/vfs/node-context.ts';
import { forever, rootIno } from '../../../../src/mount/vfs/operations.ts';
import type {
  Attr,
  DirectorySink,
  EntryReply,
  Ino,
  KernelNotifier,
  MaybePromise,
} from '../../../../src/mount/vfs/operations.ts';
import { Vfs } from '../../../../src/mount/vfs/vfs.ts';
import type { VfsOptions } from '../../../../src/mount/vfs/vfs.ts';
import { DirectoryVnode, FileVnode } from '../../../../src/mount/vfs/vnode.ts';
import type {
  CacheRule,
  DirectoryEntry,
  DirectoryStream,
  FileHandle,
  Vnode,
} from '../../../../src/mount/vfs/vnode.ts';

export const name = (text: string): ByteString => text as ByteString;
export const caller = { uid: 0, gid: 0, pid: 1 };

export function newContext(firstIno?: number): NodeContext {
  const owner = { uid: 1000, gid: 100 };
  return { inos: new InoAllocator(firstIno), inodes: new InodeTable(), owner };
}

/** A log that keeps its lines. */
export function memoryLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  return { log: new Log({ write: (line) => lines.push(line) }, 'debug'), lines };
}

/** Takes `capacity` entries, then is full. */
export class MemorySink implements DirectorySink {
  readonly names: string[] = [];
  readonly inos: number[] = [];
  readonly offsets: number[] = [];
  readonly plus: { name: string; entry: EntryReply }[] = [];
  readonly #capacity: number;

  constructor(capacity = Infinity) {
    this.#capacity = capacity;
  }

  add(entryName: ByteString, ino: Ino, _mode: number, offset: number): boolean {
    if (this.names.length >= this.#capacity) return false;
    this.names.push(entryName);
    this.inos.push(ino);
    this.offsets.push(offset);
    return true;
  }

  addPlus(entryName: ByteString, entry: EntryReply, offset: number): boolean {
    if (!this.add(entryName, entry.attr!.ino, entry.attr!.mode, offset)) return false;
    this.plus.push({ name: entryName, entry });
    return true;
  }
}

/** Keeps the notices that a kernel would get. */
export class MemoryNotifier implements KernelNotifier {
  readonly entries: string[] = [];
  readonly inodes: number[] = [];

  invalidateInode(ino: Ino): void {
    this.inodes.push(ino);
  }

  invalidateEntry(parent: Ino, entryName: ByteString): void {
    this.entries.push(`${parent}/${entryName}`);
  }

  clear(): void {
    this.entries.length = 0;
    this.inodes.length = 0;
  }
}

/** When answers come: at once, or when the test says so. */
export class Gate {
  #open: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  close(): void {
    this.#closed = new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open?.();
    this.#closed = undefined;
  }

  pass<T>(answer: () => T): MaybePromise<T> {
    return this.#closed === undefined ? answer() : this.#closed.then(answer);
  }
}

const cache: CacheRule = { entriesValidSec: forever, attrValidSec: 7 };

export class FakeFile extends FileVnode {
  readonly ino: Ino;
  readonly cache = cache;
  readonly #context: NodeContext;
  readonly gate: Gate;
  content: Buffer;
  timesForgotten = 0;
  failure: Error | undefined;
  readonly handles: FakeHandle[] = [];

  constructor(context: NodeContext, gate: Gate, content = '') {
    super();
    this.ino = context.inos.next();
    this.#context = context;
    this.gate = gate;
    this.content = Buffer.from(content);
  }

  getattr(): MaybePromise<Attr> {
    return this.gate.pass(() => {
      if (this.failure !== undefined) throw this.failure;
      const time = { sec: 1, nsec: 2 };
      return plainAttr(this.#context, this.ino, 0o100644, this.content.length, time);
    });
  }

  open(): FakeHandle {
    const handle = new FakeHandle(this);
    this.handles.push(handle);
    return handle;
  }

  override read(offset: number, sizeBytes: number): Uint8Array {
    return this.content.subarray(offset, offset + sizeBytes);
  }

  override forgotten(): void {
    this.timesForgotten += 1;
  }
}

export class FakeHandle implements FileHandle {
  readonly keepCache = true;
  readonly noFlush = false;
  readonly file: FakeFile;
  timesReleased = 0;
  releaseFailure: Error | undefined;

  constructor(file: FakeFile) {
    this.file = file;
  }

  read(offset: number, sizeBytes: number): MaybePromise<Uint8Array> {
    return this.file.gate.pass(() => this.file.content.subarray(offset, offset + sizeBytes));
  }

  write(offset: number, data: Buffer): number {
    const grown = Buffer.alloc(Math.max(this.file.content.length, offset + data.length));
    this.file.content.copy(grown);
    data.copy(grown, offset);
    this.file.content = grown;
    return data.length;
  }

  flush(): void {
    // Nothing to report.
  }

  fsync(): void {
    // Nothing to do.
  }

  release(): MaybePromise<void> {
    return this.file.gate.pass(() => {
      this.timesReleased += 1;
      if (this.releaseFailure !== undefined) throw this.releaseFailure;
    });
  }

  fallocate(): void {
    throw new ErrnoError('EOPNOTSUPP');
  }

  lseek(offset: number): number {
    return offset;
  }
}

/** A directory in memory; its nodes are kept as long as they are in it. */
export class FakeDirectory extends DirectoryVnode {
  readonly ino: Ino;
  readonly cache: CacheRule = cache;
  readonly context: NodeContext;
  readonly gate: Gate;
  readonly children = new Map<ByteString, Vnode>();
  readonly #parent: DirectoryVnode | null;
  timesListed = 0;
  isReadOnly = false;

  constructor(context: NodeContext, gate: Gate, parent: DirectoryVnode | null = null) {
    super();
    this.ino = parent === null ? rootIno : context.inos.next();
    this.context = context;
    this.gate = gate;
    this.#parent = parent;
  }

  override get readOnly(): boolean {
    return this.isReadOnly;
  }

  get parent(): DirectoryVnode {
    return this.#parent ?? this;
  }

  addFile(fileName: string, content = ''): FakeFile {
    const file = new FakeFile(this.context, this.gate, content);
    this.children.set(name(fileName), file);
    return file;
  }

  addDirectory(directoryName: string): FakeDirectory {
    const directory = new FakeDirectory(this.context, this.gate, this);
    this.children.set(name(directoryName), directory);
    return directory;
  }

  getattr(): MaybePromise<Attr> {
    const time = { sec: 1, nsec: 2 };
    return this.gate.pass(() => plainAttr(this.context, this.ino, 0o040755, 0, time, 2));
  }

  lookup(childName: ByteString): MaybePromise<Vnode | null> {
    return this.gate.pass(() => this.children.get(childName) ?? null);
  }

  entries(): MaybePromise<DirectoryStream> {
    this.timesListed += 1;
    return this.gate.pass(() => {
      const entries: DirectoryEntry[] = Array.from(this.children, ([childName, node]) => ({
        name: childName,
        ino: node.ino,
        mode: node instanceof FakeDirectory ? 0o040000 : 0o100000,
      }));
      return { entry: (position) => this.gate.pass(() => entries[position]) };
    });
  }

  override create(fileName: ByteString): { node: FakeFile; handle: FakeHandle } {
    const node = this.addFile(fileName);
    return { node, handle: node.open() };
  }

  override rename(from: ByteString, target: DirectoryVnode, to: ByteString): void {
    const node = this.children.get(from);
    if (node === undefined || !(target instanceof FakeDirectory)) throw new ErrnoError('EXDEV');
    this.children.delete(from);
    target.children.set(to, node);
  }
}

/** A filesystem over fake nodes. */
export function fakeVfs(
  options: Partial<VfsOptions> = {},
  context: NodeContext = newContext(),
): {
  vfs: Vfs;
  root: FakeDirectory;
  gate: Gate;
  context: NodeContext;
  lines: string[];
} {
  const gate = new Gate();
  const root = new FakeDirectory(context, gate);
  const { log, lines } = memoryLog();
  const statfs = (): never => {
    throw new Error('not asked for');
  };
  const vfs = new Vfs({ root, inodes: context.inodes, log, statfs, ...options });
  return { vfs, root, gate, context, lines };
}
