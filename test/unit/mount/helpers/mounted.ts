import { expect } from 'vitest';
import { Namespace } from '../../../../src/mount/namespace/namespace.ts';
import type { NamespaceOptions } from '../../../../src/mount/namespace/namespace-options.ts';
import type { NodeContext } from '../../../../src/mount/vfs/node-context.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Ino } from '../../../../src/mount/vfs/operations.ts';
import { Vfs } from '../../../../src/mount/vfs/vfs.ts';
import type { VfsOptions } from '../../../../src/mount/vfs/vfs.ts';
import { DirectoryVnode } from '../../../../src/mount/vfs/vnode.ts';
import { FakeBranches } from './fake-branches.ts';
import { MemoryNotifier, MemorySink, caller, memoryLog, name, newContext } from './fake-nodes.ts';
import type { TestRepository } from './repositories.ts';

/** A filesystem without a kernel, and what a kernel would do with it. */
export class Mounted {
  readonly vfs: Vfs;
  readonly context: NodeContext;
  /** What was written to the log. */
  readonly lines: string[];

  constructor(
    context: NodeContext,
    root: DirectoryVnode,
    options: Partial<VfsOptions> = {},
    { log, lines }: ReturnType<typeof memoryLog> = memoryLog(),
  ) {
    this.context = context;
    this.lines = lines;
    const statfs = (): never => {
      throw new Error('not asked for');
    };
    this.vfs = new Vfs({ root, inodes: context.inodes, log, statfs, ...options });
  }

  /** Looks a path up, name by name; the lookups are left counted. */
  async find(path: string): Promise<Ino | null> {
    let ino: Ino = rootIno;
    for (const part of path.split('/')) {
      const { attr } = await this.vfs.lookup(ino, name(part), caller);
      if (attr === null) return null;
      ino = attr.ino;
    }
    return ino;
  }

  async get(path: string): Promise<Ino> {
    const ino = await this.find(path);
    expect(ino, path).not.toBeNull();
    return ino!;
  }

  async directory(path: string): Promise<DirectoryVnode> {
    const node = this.context.inodes.get(await this.get(path));
    expect(node).toBeInstanceOf(DirectoryVnode);
    return node as DirectoryVnode;
  }

  async stat(path: string) {
    return (await this.vfs.getattr(await this.get(path), undefined)).attr;
  }

  /** The names in a directory, and their numbers. */
  async list(ino: Ino = rootIno, plus = false): Promise<MemorySink> {
    const { fh } = await this.vfs.opendir(ino);
    const sink = new MemorySink();
    for (let seen = -1; seen < sink.names.length;) {
      seen = sink.names.length;
      await this.vfs.readdir(ino, fh, sink.offsets.at(-1) ?? 2, plus, sink);
    }
    await this.vfs.releasedir(ino, fh);
    return sink;
  }

  async ls(path?: string): Promise<string[]> {
    return (await this.list(path === undefined ? rootIno : await this.get(path))).names;
  }

  /** The whole content of a file. */
  async read(path: string): Promise<Buffer> {
    const ino = await this.get(path);
    const { fh } = await this.vfs.open(ino, 0, caller);
    const parts: Uint8Array[] = [];
    for (let offset = 0; ;) {
      const part = await this.vfs.read(ino, fh, offset, 128 * 1024);
      if (part.length === 0) break;
      parts.push(Uint8Array.from(part));
      offset += part.length;
    }
    await this.vfs.release(ino, fh);
    return Buffer.concat(parts);
  }

  /** The error number that something is answered with; 0 when it works. */
  async errnoOf(work: () => unknown): Promise<number> {
    try {
      await work();
    } catch (error) {
      return this.vfs.errnoOf(error, 'test');
    }
    return 0;
  }
}

/** A mount of a whole repository; its branches have nothing in them. */
export class MountedNamespace extends Mounted {
  readonly namespace: Namespace;
  readonly branches: FakeBranches;
  readonly notifier: MemoryNotifier;

  private constructor(
    context: NodeContext,
    namespace: Namespace,
    branches: FakeBranches,
    notifier: MemoryNotifier,
    logged: ReturnType<typeof memoryLog>,
    vfsOptions: Partial<VfsOptions>,
  ) {
    super(context, namespace.root, vfsOptions, logged);
    this.namespace = namespace;
    this.branches = branches;
    this.notifier = notifier;
  }

  static async open(
    repository: TestRepository,
    options: Partial<NamespaceOptions> = {},
    vfsOptions: Partial<VfsOptions> = {},
  ): Promise<MountedNamespace> {
    const context = newContext();
    const notifier = new MemoryNotifier();
    const branches = new FakeBranches(context, repository);
    const logged = memoryLog();
    const namespace = await Namespace.open({
      context,
      algorithm: 'sha1',
      odb: repository.odb,
      refs: repository.refs,
      branches,
      identity: { name: 'Mo Mounter', email: 'mo@example.com' },
      notifier,
      lookAgain: () => undefined,
      log: logged.log,
      status: () => '{}\n',
      metrics: () => '',
      ...options,
    });
    return new MountedNamespace(context, namespace, branches, notifier, logged, vfsOptions);
  }
}
