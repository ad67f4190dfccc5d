import { IsADirectoryError, NotADirectoryError } from '../errors.ts';
import { textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { canonicalMode, isGitlinkMode, isTreeMode } from '../git/mode.ts';
import type { Tree, TreeEntry } from '../git/object.ts';
import { forEachBounded } from '../git/odb/for-each-bounded.ts';
import { isNothingThere } from '../git/system-error.ts';
import { Descent, depthFirst } from '../snapshot/depth-first.ts';
import type { Walk } from '../snapshot/depth-first.ts';
import { fileModeFromOption } from '../snapshot/file-type.ts';
import type { FS } from '../snapshot/fs.ts';
import { directoryAt, fileAt } from '../snapshot/path-errors.ts';
import {
  joinPath,
  parentPath,
  pathFromText,
  refuseForbiddenNames,
  rootPath,
} from '../snapshot/path.ts';
import { isDirectoryEntry } from '../snapshot/snapshot-reader.ts';
import type { StagedTree } from '../snapshot/staged-tree.ts';
import { entryAt, treeOf } from '../snapshot/tree.ts';
import { DiskSource } from './disk-source.ts';
import type { DiskEntry, DiskItem } from './disk-source.ts';
import type { ExcludeFilter } from './exclude-filter.ts';
import { ItemStager } from './item-stager.ts';
import type { LocalSource } from './local-path.ts';
import { identitiesOfRepository } from './own-repository.ts';
import { isDirectoryPart, mergeParts } from './source-parts.ts';
import type { SourcePart } from './source-parts.ts';
import type { CopyInOptions } from './transfer-options.ts';
import { TransferRun } from './transfer-run.ts';

/** A copy from the disk into a branch. */
export interface CopyIn {
  readonly sources: readonly LocalSource[];
  /** The directory in the snapshot that is copied into. */
  readonly dest: string;
  /** Names the operation in the commit's message. */
  readonly operation: string;
  readonly options: CopyInOptions;
}

type Part = SourcePart<DiskItem>;

// As many files as are read at the same time. Each waits a few times for another thread; with this many
// there is always one that is ready, also on a busy machine. Small ones are in memory meanwhile.
const filesAtOnce = 64;

/**
 * Copies files from the disk into the branch of a snapshot, in one commit, under rsync's rules. The
 * disk and the tree are gone through side by side, a directory at a time; content goes to the
 * repository as it is read, and what is stored already at its place is not written again.
 *
 * Failures of single files, and of whole sources, are collected when the caller ignores errors;
 * then whatever could not be looked at stays in the snapshot, also with `delete`.
 */
export async function copyIn(fs: FS, copy: CopyIn): Promise<FS> {
  const { dryRun, message, parents } = copy.options;
  const how = { dryRun, message, parents, operation: copy.operation, alwaysReports: true };
  const dest = pathFromText(copy.dest);
  refuseForbiddenNames(dest);
  return fs.transact(how, async ({ staged, staging }) => {
    const run = new TransferRun(copy.options);
    const { repository } = fs.context;
    const forbidden = await identitiesOfRepository(repository);
    const disk = new DiskSource(run, copy.options.followSymlinks ?? false, forbidden);
    const parts = await partsOf(copy.sources, disk, run);
    const stager = new ItemStager(repository.odb, {
      staging: dryRun === true ? null : staging,
      mode: copy.options.mode === undefined ? undefined : fileModeFromOption(copy.options.mode),
      follow: copy.options.followSymlinks ?? false,
      unchangedSinceSec:
        copy.options.checksum === false ? fs.head.commit.committer.timeSec : undefined,
    });
    const walk = new CopyInWalk(fs, { staged, disk, run, stager, options: copy.options });
    await walk.copy(dest, parts);
    return { origins: walk.origins, errors: run.errors, warnings: run.warnings };
  });
}

async function partsOf(
  sources: readonly LocalSource[],
  disk: DiskSource,
  run: TransferRun,
): Promise<Part[]> {
  const parts: Part[] = [];
  for (const { path, contents, names } of sources) {
    const item = await run.attempt(path, async () => {
      const found = await disk.find(path, contents);
      if (!contents || found.isDirectory) return found;
      const text = textFromBytes(path);
      throw new NotADirectoryError(`not a directory: ${text}`, { path: text });
    });
    if (item !== undefined) parts.push({ names, item });
  }
  return parts;
}

interface Task {
  readonly path: ByteString;
  readonly rel: ByteString;
  readonly item: DiskItem;
  /** What stands there before. */
  readonly entry: TreeEntry | undefined;
}

/** A directory of the destination, and what is to be put there. */
interface Visit {
  readonly path: ByteString;
  /** The path seen from the destination, which exclude rules judge. */
  readonly rel: ByteString;
  readonly parts: readonly Part[];
  readonly tree: Tree | null;
  /** A file or link stands in its place, and goes away. */
  readonly isObstructed: boolean;
}

class CopyInWalk {
  /** For paths in the snapshot, the local paths that they came from. */
  readonly origins = new Map<ByteString, ByteString>();
  readonly #fs: FS;
  readonly #staged: StagedTree;
  readonly #disk: DiskSource;
  readonly #run: TransferRun;
  readonly #stager: ItemStager;
  readonly #ignoreExisting: boolean;
  readonly #exclude: ExcludeFilter | null;
  readonly #deletes: boolean;

  constructor(
    fs: FS,
    parts: {
      readonly staged: StagedTree;
      readonly disk: DiskSource;
      readonly run: TransferRun;
      readonly stager: ItemStager;
      readonly options: CopyInOptions;
    },
  ) {
    const { exclude, ignoreExisting = false } = parts.options;
    this.#fs = fs;
    this.#staged = parts.staged;
    this.#disk = parts.disk;
    this.#run = parts.run;
    this.#stager = parts.stager;
    this.#ignoreExisting = ignoreExisting;
    this.#exclude = exclude?.active === true ? exclude : null;
    // What a source that is missing holds is not known, so nothing is known to be too much.
    this.#deletes = parts.options.delete === true && !parts.run.hasFailed;
    this.#exclude?.leaveDirectories();
  }

  async copy(dest: ByteString, parts: readonly Part[]): Promise<void> {
    const tree = await this.#destination(dest);
    const root = { path: dest, rel: rootPath, parts, tree, isObstructed: false };
    const tasks = depthFirst(this.#directory(root));
    await forEachBounded(tasks, filesAtOnce, (task) => this.#place(task));
    this.#run.throwIfAborted();
  }

  /** The directory that is copied into; `null` when it has to be made. */
  async #destination(dest: ByteString): Promise<Tree | null> {
    const { odb } = this.#fs.context.repository;
    const root = this.#fs.head.commit.tree;
    for (let path = dest; ; path = parentPath(path)) {
      const entry = await entryAt(odb, root, path);
      if (entry === null) continue;
      if (!isTreeMode(entry.mode)) throw fileAt(path);
      return path === dest ? treeOf(odb, entry.oid) : null;
    }
  }

  /** The files that a directory and those below it come to, after it has made way for them. */
  async *#directory(visit: Visit): Walk<Task> {
    const { path, rel, tree } = visit;
    const listing = await this.#list(visit);
    const merged = mergeParts(
      listing.named.filter(
        ([name, part]) => !this.#isExcluded(joinPath(rel, name), isDirectoryPart(part)),
      ),
    );
    if (visit.isObstructed) {
      if (!listing.isComplete) return;
      await this.#staged.clear(path);
    }
    if (this.#deletes && listing.pours && listing.isComplete) {
      for (const entry of tree ?? []) {
        const at = [joinPath(path, entry.name), joinPath(rel, entry.name)] as const;
        if (!merged.has(entry.name)) await this.#deleteVisible(...at, entry);
      }
    }
    for (const [name, next] of merged) {
      const below = { path: joinPath(path, name), rel: joinPath(rel, name) };
      const entry = tree?.get(name);
      if (name === '.git') {
        this.#run.warn(below.path, 'git does not store what is called .git');
      } else if (next.kind === 'leaf') {
        yield { ...below, item: next.item, entry };
      } else if (entry !== undefined && isGitlinkMode(entry.mode)) {
        this.#run.warn(below.path, 'a submodule is there, and stays as it is');
      } else if (entry === undefined || isTreeMode(entry.mode)) {
        const { odb } = this.#fs.context.repository;
        const standing = entry === undefined ? null : await treeOf(odb, entry.oid);
        yield new Descent(
          this.#directory({ ...below, ...next, tree: standing, isObstructed: false }),
        );
      } else if (!this.#ignoreExisting) {
        yield new Descent(this.#directory({ ...below, ...next, tree: null, isObstructed: true }));
      }
    }
  }

  async #list({ rel, parts }: Visit): Promise<{
    readonly named: (readonly [ByteString, Part])[];
    /** Whether all that is in some directory of the disk belongs here. */
    readonly pours: boolean;
    readonly isComplete: boolean;
  }> {
    const named: (readonly [ByteString, Part])[] = [];
    const poured: { readonly item: DiskItem; readonly entries: readonly DiskEntry[] }[] = [];
    let isComplete = true;
    for (const { names, item } of parts) {
      const [name, ...rest] = names;
      if (name !== undefined) {
        named.push([name, { names: rest, item }]);
        continue;
      }
      const entries = await this.#run.attempt(item.path, () => this.#disk.list(item));
      if (entries === undefined || entries === null) {
        isComplete = false;
        continue;
      }
      poured.push({ item, entries });
      for (const entry of entries) named.push([entry.name, { names: [], item: entry.item }]);
    }
    // The rules are those of the `.gitignore` that comes to stand here, the first one.
    const ruling = poured.find(({ entries }) => entries.some(({ name }) => name === '.gitignore'));
    const rulingDirectory = (ruling ?? poured[0])?.item.path;
    if (rulingDirectory !== undefined) {
      this.#exclude?.enterDirectory(textFromBytes(rulingDirectory), textFromBytes(rel));
    }
    return { named, pours: poured.length > 0, isComplete };
  }

  #isExcluded(rel: ByteString, isDirectory: boolean): boolean {
    return this.#exclude?.isExcludedInWalk(textFromBytes(rel), isDirectory) ?? false;
  }

  /** Deletes an entry of the tree, but not what is excluded in it. Tells whether all of it went away. */
  async #deleteVisible(path: ByteString, rel: ByteString, entry: TreeEntry): Promise<boolean> {
    if (this.#isExcluded(rel, isDirectoryEntry(entry))) return false;
    if (isTreeMode(entry.mode) && this.#exclude !== null) {
      let isGone = true;
      for (const child of await treeOf(this.#fs.context.repository.odb, entry.oid)) {
        const at = [joinPath(path, child.name), joinPath(rel, child.name)] as const;
        if (!(await this.#deleteVisible(...at, child))) isGone = false;
      }
      return isGone;
    }
    await this.#staged.clear(path);
    return true;
  }

  async #place({ path, rel, item, entry }: Task): Promise<void> {
    if (item.kind === 'special') {
      this.#run.warn(item.path, 'neither a file, nor a directory or a link: not copied');
    } else if (item.kind !== 'unknown' && !(this.#ignoreExisting && entry !== undefined)) {
      await this.#run.attempt(item.path, () => this.#write({ path, rel, item, entry }));
    }
  }

  async #write({ path, rel, item, entry }: Task): Promise<void> {
    const isBlocked = entry !== undefined && isDirectoryEntry(entry);
    if (isBlocked && !this.#deletes) throw directoryAt(path);
    const staged = await this.#stage(item, isBlocked ? undefined : entry);
    if (staged === null) return;
    if (isBlocked) {
      // As in rsync, what excludes the directory says nothing of a file of its name, which is to be
      // copied: only what is excluded in the directory keeps it.
      this.#exclude?.admitDirectory(textFromBytes(rel));
      const isGone = await this.#deleteVisible(path, rel, entry);
      if (!isGone) {
        const text = textFromBytes(path);
        throw new IsADirectoryError(`a directory with excluded files: ${text}`, { path: text });
      }
      await this.#staged.clear(path);
    }
    const { object, sizeBytes } = staged;
    if (object.oid !== entry?.oid || object.mode !== canonicalMode(entry.mode)) {
      this.origins.set(path, item.path);
      await this.#staged.write(path, object);
    }
    this.#run.advance(item.path, sizeBytes);
  }

  async #stage(
    item: DiskItem,
    entry: TreeEntry | undefined,
  ): Promise<Awaited<ReturnType<ItemStager['stage']>>> {
    try {
      const staged = await this.#stager.stage(item, entry);
      if (staged === null) this.#run.warn(item.path, 'it is no file or link any more: not copied');
      return staged;
    } catch (error) {
      if (!isNothingThere(error)) throw error;
      this.#run.warn(item.path, 'it went away before it was read');
      return null;
    }
  }
}
