import { constants } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Oid } from '../../../../src/git/oid.ts';
import { hashObject } from '../../../../src/git/object.ts';
import { parseRefName } from '../../../../src/git/refs/ref-name.ts';
import type { RefName } from '../../../../src/git/refs/ref-name.ts';
import { Repository } from '../../../../src/git/repository.ts';
import { FileSizes } from '../../../../src/mount/file-sizes.ts';
import { WritableBranches } from '../../../../src/mount/branch/writable-branches.ts';
import type { WritableBranchesOptions } from '../../../../src/mount/branch/writable-branches.ts';
import { WritableBranch } from '../../../../src/mount/branch/writable-branch.ts';
import { BranchRoot } from '../../../../src/mount/branch/branch-root.ts';
import type { BranchStatus } from '../../../../src/mount/observe/status.ts';
import { ErrnoError } from '../../../../src/mount/vfs/errno.ts';
import { rootIno } from '../../../../src/mount/vfs/operations.ts';
import type { Attr, Fh, Ino } from '../../../../src/mount/vfs/operations.ts';
import type { DirectoryVnode } from '../../../../src/mount/vfs/vnode.ts';
import { fsck, git, gitResult } from '../../../helpers/git.ts';
import { storedTree } from '../../../helpers/tree-listing.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';
import { MemoryNotifier, caller, memoryLog, name, newContext } from '../helpers/fake-nodes.ts';
import { Mounted } from '../helpers/mounted.ts';

export const mainRef: RefName = parseRefName('refs/heads/main');

/** Content by path; that of an executable file ends in `*`. */
export type Files = Readonly<Record<string, string>>;

export interface BranchMountOptions {
  /** What the first commit holds. */
  readonly files?: Files;
  readonly mount?: WritableBranchesOptions['mount'];
  /** Branches beside main, from the same commit. */
  readonly branches?: readonly string[];
  /** A repository that another mount uses too. */
  readonly gitDir?: string;
  /** As a daemon marks itself, so that others know whether it lives: until its repository is closed. */
  readonly markLocks?: boolean;
}

/** A file that is open on the mount. */
export interface OpenFile {
  readonly ino: Ino;
  readonly fh: Fh;
}

/** A bare repository with one commit on main, made by git alone. */
export async function newRepository(
  files: Files,
  branches: readonly string[] = [],
): Promise<string> {
  const gitDir = join(await temporaryDirectory(), 'repo.git');
  await git(['init', '-q', '--bare', gitDir]);
  await git(['--git-dir', gitDir, 'config', 'core.logAllRefUpdates', 'always']);
  await commitOutside(gitDir, files);
  for (const branch of branches) await git(['--git-dir', gitDir, 'branch', branch, 'main']);
  return gitDir;
}

/** How `commitOutside` commits. */
export interface OutsideCommit {
  readonly branch?: string;
  /** The parent; default is the tip of the branch. */
  readonly parent?: string;
  readonly timeSec?: number;
}

/**
 * Commits with git alone, as somebody else would: gives paths new content, or with `null` removes
 * them, in the tree of the parent. The branch moves to the commit, wherever it was before.
 */
export async function commitOutside(
  gitDir: string,
  changes: Readonly<Record<string, string | null>>,
  { branch = 'main', parent, timeSec = 1_700_000_000 }: OutsideCommit = {},
): Promise<Oid> {
  const ref = `refs/heads/${branch}`;
  const found = await gitResult([
    '--git-dir',
    gitDir,
    'rev-parse',
    '-q',
    '--verify',
    parent ?? ref,
  ]);
  const base = found.stdout.toString().trim();
  const lines = [
    `commit ${ref}`,
    `committer Carl Committer <carl@example.com> ${timeSec} +0000`,
    'data 12\nfrom outside',
    ...(base === '' ? [] : [`from ${base}`]),
  ];
  for (const [path, content] of Object.entries(changes)) {
    const quoted = `"${path.replace(/\*$/, '')}"`;
    if (content === null) {
      lines.push(`D ${quoted}`);
      continue;
    }
    const mode = path.endsWith('*') ? '100755' : '100644';
    lines.push(`M ${mode} inline ${quoted}`, `data ${Buffer.byteLength(content)}\n${content}`);
  }
  const args = ['--git-dir', gitDir, 'fast-import', '--quiet', '--force'];
  await git(args, { input: `${lines.join('\n')}\n` });
  return (await git(['--git-dir', gitDir, 'rev-parse', ref])).trim() as Oid;
}

/** A branch that is open at the root of a filesystem without a kernel. */
export class BranchMount extends Mounted {
  readonly gitDir: string;
  readonly repository: Repository;
  readonly branches: WritableBranches;
  readonly notifier: MemoryNotifier;
  readonly root: BranchRoot;
  #hasDied = false;

  private constructor(
    parts: Pick<BranchMount, 'gitDir' | 'repository' | 'branches' | 'notifier' | 'context'>,
    root: DirectoryVnode,
    logged: ReturnType<typeof memoryLog>,
  ) {
    super(parts.context, root, { xattrs: true }, logged);
    this.gitDir = parts.gitDir;
    this.repository = parts.repository;
    this.branches = parts.branches;
    this.notifier = parts.notifier;
    if (!(root instanceof BranchRoot)) throw new Error('not the root of a branch');
    this.root = root;
  }

  static async open(options: BranchMountOptions = {}): Promise<BranchMount> {
    const { files = {}, mount = {} } = options;
    const gitDir = options.gitDir ?? (await newRepository(files, options.branches));
    const repository = await Repository.open(gitDir, { markLocks: options.markLocks });
    const context = { ...newContext(), sizes: new FileSizes(repository.odb, undefined) };
    const notifier = new MemoryNotifier();
    const logged = memoryLog();
    const branches = new WritableBranches({
      repository,
      context,
      notifier,
      log: logged.log,
      identity: { name: 'Mo Mounter', email: 'mo@example.com' },
      // Long enough that only the tests themselves make commits.
      mount: { commitDelayMs: 60_000, ...mount },
    });
    const root = await branches.open(mainRef, { ino: rootIno, parent: null });
    const opened = new BranchMount(
      { gitDir, repository, branches, notifier, context },
      root,
      logged,
    );
    onTestFinished(async () => {
      await branches.stop().catch(() => undefined);
      if (!opened.#hasDied) await repository.close();
    });
    return opened;
  }

  /** Ends without a word, as far as other mounts can see. */
  async die(): Promise<void> {
    this.#hasDied = true;
    await this.repository.close();
  }

  get branch(): WritableBranch {
    const { branch } = this.root;
    if (!(branch instanceof WritableBranch)) throw new Error('not a branch');
    return branch;
  }

  get status(): BranchStatus {
    return this.branches.status().find(({ name: short }) => short === 'main')!;
  }

  /** Another branch's root, put into the inode table as a kernel would. */
  async openBranch(short: string): Promise<DirectoryVnode> {
    const place = { ino: this.context.inos.next(), parent: null };
    const root = await this.branches.open(parseRefName(`refs/heads/${short}`), place);
    this.context.inodes.hold(root);
    return root;
  }

  async commit(message?: string): Promise<void> {
    await this.branches.commitAll(message);
  }

  async git(...args: readonly string[]): Promise<string> {
    return (await git(['--git-dir', this.gitDir, ...args])).trim();
  }

  /** As a system call would say it. */
  override async get(path: string): Promise<Ino> {
    const ino = await this.find(path);
    if (ino === null) throw new ErrnoError('ENOENT', path);
    return ino;
  }

  async parentOf(path: string): Promise<[Ino, ReturnType<typeof name>]> {
    const at = path.lastIndexOf('/');
    const parent = at < 0 ? rootIno : await this.get(path.slice(0, at));
    return [parent, name(path.slice(at + 1))];
  }

  /** open(2); creates the file with O_CREAT. */
  async openFile(path: string, flags: number = constants.O_RDWR): Promise<OpenFile> {
    const known = await this.find(path);
    if (known !== null && (flags & constants.O_EXCL) === 0) {
      const { fh } = await this.vfs.open(known, flags, caller);
      return { ino: known, fh };
    }
    const created = await this.vfs.create(...(await this.parentOf(path)), 0o644, flags, caller);
    return { ino: created.entry.attr!.ino, fh: created.open.fh };
  }

  create(path: string): Promise<OpenFile> {
    return this.openFile(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR);
  }

  async writeAt({ ino, fh }: OpenFile, offset: number, content: string | Buffer): Promise<void> {
    const data = Buffer.from(content);
    expect(await this.vfs.write(ino, fh, offset, data)).toBe(data.length);
  }

  async readAt({ ino, fh }: OpenFile, offset = 0, size = 1 << 20): Promise<string> {
    return Buffer.from(await this.vfs.read(ino, fh, offset, size)).toString('latin1');
  }

  async fsync({ ino, fh }: OpenFile): Promise<void> {
    await this.vfs.fsync(ino, fh, false);
  }

  async close({ ino, fh }: OpenFile): Promise<void> {
    try {
      await this.vfs.flush(ino, fh);
    } finally {
      await this.vfs.release(ino, fh);
    }
  }

  /** What a shell's `>` does. */
  async write(path: string, content: string | Buffer): Promise<void> {
    const file = await this.openFile(
      path,
      constants.O_CREAT | constants.O_TRUNC | constants.O_WRONLY,
    );
    await this.writeAt(file, 0, content);
    await this.close(file);
  }

  async mkdir(path: string): Promise<void> {
    await this.vfs.mkdir(...(await this.parentOf(path)), 0o755, caller);
  }

  async symlink(target: string, path: string): Promise<void> {
    await this.vfs.symlink(...(await this.parentOf(path)), name(target), caller);
  }

  async link(path: string, newPath: string): Promise<void> {
    await this.vfs.link(await this.get(path), ...(await this.parentOf(newPath)));
  }

  async unlink(path: string): Promise<void> {
    await this.vfs.unlink(...(await this.parentOf(path)));
  }

  async rmdir(path: string): Promise<void> {
    await this.vfs.rmdir(...(await this.parentOf(path)));
  }

  async rename(from: string, to: string, flags = 0): Promise<void> {
    await this.vfs.rename(...(await this.parentOf(from)), ...(await this.parentOf(to)), flags);
  }

  async chmod(path: string, mode: number): Promise<Attr> {
    const { attr } = await this.vfs.setattr(await this.get(path), { mode }, undefined, caller);
    return attr;
  }

  async text(path: string): Promise<string> {
    return (await this.read(path)).toString('latin1');
  }

  async xattr(path: string, short: string): Promise<string> {
    const ino = path === '' ? rootIno : await this.get(path);
    return Buffer.from(await this.vfs.getxattr(ino, name(`user.vost.${short}`))).toString();
  }

  /** The whole content of a file, by its number. */
  async readFile(ino: Ino): Promise<Buffer> {
    const { fh } = await this.vfs.open(ino, constants.O_RDONLY, caller);
    const { size } = (await this.vfs.getattr(ino, fh)).attr;
    const content = Buffer.from(await this.vfs.read(ino, fh, 0, size));
    await this.vfs.release(ino, fh);
    return content;
  }

  /** The kernel forgets a node, however often it was looked up. */
  forgetAll(ino: Ino): void {
    this.vfs.forget(ino, 2 ** 31);
  }

  /** The mount as `storedTree` shows what git has. A listing with attributes has to show what a lookup does. */
  async shown(ino: Ino = rootIno, prefix = ''): Promise<string[]> {
    const lines: string[] = [];
    const { names, plus } = await this.list(ino, true);
    const listed = new Map(plus.map(({ name: listedName, entry }) => [listedName, entry]));
    for (const entryName of names) {
      const entry = await this.vfs.lookup(ino, name(entryName), caller);
      const { attr } = entry;
      if (attr === null) throw new Error(`${prefix}${entryName} is listed, but not there`);
      expect(listed.get(entryName), entryName).toEqual(entry);
      const path = `${prefix}${entryName}`;
      const type = attr.mode & constants.S_IFMT;
      if (type === constants.S_IFDIR) {
        lines.push(`040000 tree  ${path}`, ...(await this.shown(attr.ino, `${path}/`)));
      } else if (type === constants.S_IFLNK) {
        const target = Buffer.from(await this.vfs.readlink(attr.ino), 'latin1');
        lines.push(`120000 blob ${hashObject('sha1', 'blob', target)} ${path}`);
      } else if (type === constants.S_IFREG) {
        const content = await this.readFile(attr.ino);
        expect(content.length, path).toBe(attr.size);
        const mode = (attr.mode & 0o100) === 0 ? '100644' : '100755';
        lines.push(`${mode} blob ${hashObject('sha1', 'blob', content)} ${path}`);
      }
    }
    return lines.sort();
  }

  expectNothingStaged(): void {
    expect(this.status.stagedFiles).toBe(0);
  }

  /** Everything is committed, git has what the mount shows, and nothing is wrong with it. */
  async expectCommitted(): Promise<void> {
    this.expectNothingStaged();
    expect(await storedTree(this.gitDir, 'main')).toEqual(await this.shown());
    await fsck(this.gitDir);
  }
}
