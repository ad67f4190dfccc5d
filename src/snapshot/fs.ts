import { InvalidArgumentError, PermissionError } from '../errors.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import type { Oid } from '../git/oid.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { Batch } from './batch.ts';
import { emptyChangeReport } from './change-report.ts';
import type { ChangeError, ChangeReport } from './change-report.ts';
import { formatCommitMessage } from './commit-message.ts';
import { commitChanges, previewChanges, stageCommit } from './commit.ts';
import { moveRef } from './ref-move.ts';
import { stageBytes, stageLocalFile, stageSymlink, stageValue } from './content.ts';
import type { WriteValue } from './content.ts';
import { copyFromTree } from './copy-from.ts';
import { fileModeFromOption } from './file-type.ts';
import { ancestor, firstParent, readCommit, walkHistory } from './history.ts';
import type { IdentifiedCommit, LogFilter } from './history.ts';
import { addOrigins } from './origins.ts';
import type { Origins } from './origins.ts';
import { innerPathFromText, pathFromText, writablePathFromText } from './path.ts';
import { redoMessage, redoTarget, undoMessage } from './redo.ts';
import { movePaths, removePaths } from './reorganize.ts';
import { resolveRevision } from './revision.ts';
import type { Revision } from './revision.ts';
import { requireSameRepository } from './snapshot-context.ts';
import type { SnapshotContext } from './snapshot-context.ts';
import { SnapshotView } from './snapshot-view.ts';
import { sourceList } from './source-path.ts';
import { StagedTree } from './staged-tree.ts';
import { encodeText } from './text-encoding.ts';
import type { PlacedObject } from './tree-edit.ts';
import type {
  BatchOptions,
  CommitOptions,
  CopyFromRefOptions,
  DryRunOptions,
  LogOptions,
  ReorganizeOptions,
  WriteOptions,
  WriteTextOptions,
} from './write-options.ts';
import { FsWriter, checkWriterMode } from './writer.ts';
import type { WriterMode } from './writer.ts';

/** Changes on their way to becoming a commit. @internal */
export interface Transaction {
  readonly staged: StagedTree;
  /** Where content is put first. */
  readonly staging: StagingArea;
}

/** What a transaction knows of its changes beyond themselves. @internal */
export interface TransactionNotes {
  readonly origins?: Origins;
  readonly errors?: readonly ChangeError[];
  readonly warnings?: readonly ChangeError[];
}

/** How a transaction ends. @internal */
export interface TransactionOptions extends BatchOptions, DryRunOptions {
  /** When nothing changes, give back a snapshot that says so instead of the same object. */
  readonly alwaysReports?: boolean;
}

/**
 * An immutable snapshot: the tree of one commit, and the branch or tag that it was reached by. A
 * snapshot of a branch can be written to: each write is a commit on the branch and gives a new
 * snapshot, or this one when nothing changes.
 *
 * Writing to a snapshot of a tag or of a bare commit is a `PermissionError`; when the branch has
 * moved on since, it is a `StaleSnapshotError` and the branch is untouched. A file in place of a
 * parent directory is a `NotADirectoryError`, a directory in place of a file an
 * `IsADirectoryError`, a path that cannot be stored an `InvalidPathError`.
 */
export class FS extends SnapshotView {
  /** @internal Use `GitStore.fs` or `GitStore.branches`. */
  static async at(context: SnapshotContext, { commit, ref }: Revision): Promise<FS> {
    return new FS(context, await readCommit(context.repository.odb, commit), ref, null);
  }

  /**
   * Writes a file. The bytes count as they are at the call; of more than 1 MiB each has to stay as it is until
   * this resolves, or else some of it may be stored as it was later.
   */
  async write(path: string, data: Uint8Array, options: WriteOptions = {}): Promise<FS> {
    return this.#writeOne(path, options, (staging) => stageBytes(staging, data, options.mode));
  }

  /** Writes a text file, in UTF-8 unless told otherwise. */
  async writeText(path: string, text: string, options: WriteTextOptions = {}): Promise<FS> {
    return this.write(path, encodeText(text, options.encoding), options);
  }

  /** Writes a copy of a local file, with its executable bit unless a mode is given. A `FileNotFoundError` when there is none. */
  async writeFromFile(path: string, localPath: string, options: WriteOptions = {}): Promise<FS> {
    const file = { path: localPath };
    return this.#writeOne(path, options, (staging) => stageLocalFile(staging, file, options.mode));
  }

  /** Writes a symbolic link. */
  async writeSymlink(path: string, target: string, options: CommitOptions = {}): Promise<FS> {
    return this.#writeOne(path, options, (staging) => stageSymlink(staging, target));
  }

  /** Opens a file to be written in pieces; it is committed when the writer is closed. Throws at once when this cannot be written to. */
  writer(path: string, mode: WriterMode = 'wb'): FsWriter {
    this.#requireWritable();
    checkWriterMode(mode);
    const target = writablePathFromText(path);
    let staging: StagingArea | undefined;
    const open = (): StagingArea => (staging ??= this.context.repository.odb.stage());
    return new FsWriter({
      staging: open,
      finish: async (blob) => {
        const oid = await blob;
        const staged = this.#stagedTree();
        await staged.write(target, { mode: fileModeFromOption(undefined), oid });
        return this.#commit({ staged, staging: open() }, {}, {});
      },
      release: async () => staging?.discard(),
    });
  }

  /** Opens a batch: many changes, one commit. Throws at once when this cannot be written to. */
  batch(options: BatchOptions = {}): Batch {
    this.#requireWritable();
    this.#parentsFrom(options);
    const { odb } = this.context.repository;
    return new Batch({
      odb,
      tree: this.head.commit.tree,
      commit: (staged, staging) => this.#commit({ staged, staging }, options, {}),
    });
  }

  /**
   * Removes and writes files in one commit: first `removes`, under the rules of `Batch.remove`,
   * then `writes`, from paths to content.
   */
  async apply(
    writes: Readonly<Record<string, WriteValue>> | ReadonlyMap<string, WriteValue> = {},
    removes: string | readonly string[] | ReadonlySet<string> = [],
    options: BatchOptions = {},
  ): Promise<FS> {
    const removed = typeof removes === 'string' ? [removes] : removes;
    const written = isMap(writes) ? writes : Object.entries(writes);
    return this.transact(options, async ({ staged, staging }) => {
      for (const path of removed) await staged.remove(innerPathFromText(path));
      for (const [path, value] of written) {
        const target = writablePathFromText(path);
        await staged.write(target, await stageValue(staging, value));
      }
    });
  }

  /**
   * Removes files, and with `recursive` directories. A source that does not exist is a
   * `FileNotFoundError`, and nothing is removed.
   */
  async remove(sources: string | readonly string[], options: ReorganizeOptions = {}): Promise<FS> {
    const how = { operation: 'rm', alwaysReports: true, ...options };
    return this.transact(how, async ({ staged }) => {
      await removePaths(staged, sourceList(sources), options);
    });
  }

  /**
   * Moves files, and with `recursive` directories, as `mv` does: into `dest` when it is a directory,
   * ends in a slash, or there are several sources; else `dest` is the new name. Objects are moved by
   * their hashes. A source that is its own destination is an `InvalidArgumentError`.
   */
  async move(
    sources: string | readonly string[],
    dest: string,
    options: ReorganizeOptions = {},
  ): Promise<FS> {
    const how = { operation: 'mv', alwaysReports: true, ...options };
    return this.transact(how, async ({ staged }) => ({
      origins: await movePaths(staged, sourceList(sources), dest, options),
    }));
  }

  /**
   * Copies files and directories from another snapshot of this repository, or from a branch, tag or
   * commit by name, under the rules of `cp -r`: into `dest` when it is a directory, ends in a slash,
   * or there are several sources; else `dest` is the new name. A source with a slash at its end
   * stands for what is in the directory, `''` for all; a `/./` pivot keeps the path after it.
   * Objects are taken by their hashes.
   */
  async copyFromRef(
    source: FS | string,
    sources: string | readonly string[] = '',
    dest = '',
    options: CopyFromRefOptions = {},
  ): Promise<FS> {
    const from = typeof source === 'string' ? await this.#open(source) : source;
    requireSameRepository(this.context, from.context);
    const how = { operation: 'cp', alwaysReports: true, ...options };
    return this.transact(how, async ({ staged }) => ({
      origins: await copyFromTree(staged, {
        odb: this.context.repository.odb,
        tree: from.head.commit.tree,
        sources: sourceList(sources),
        dest,
        delete: options.delete ?? false,
        isSameSnapshot: from.commitHash === this.commitHash,
      }),
    }));
  }

  /** The snapshot of the commit's first parent; `null` when it has none. */
  async getParent(): Promise<FS | null> {
    const parent = await firstParent(this.context.repository.odb, this.head);
    return parent === null ? null : this.#with(parent);
  }

  /** The snapshot `n` commits back along first parents; an `InvalidArgumentError` when there are not so many. */
  async back(n = 1): Promise<FS> {
    return this.#with(await ancestor(this.context.repository.odb, this.head, n));
  }

  /** This snapshot and those before it along first parents, newest first, as far as they meet all conditions. */
  async *log(options: LogOptions = {}): AsyncGenerator<FS, void, undefined> {
    const { path, match, before } = options;
    const filter: LogFilter = {
      ...(path !== undefined && { path: pathFromText(path) }),
      ...(match !== undefined && { match }),
      ...(before !== undefined && { beforeSec: secondsOf(before) }),
    };
    for await (const commit of walkHistory(this.context.repository.odb, this.head, filter)) {
      yield commit === this.head ? this : this.#with(commit);
    }
  }

  /**
   * Moves the branch `steps` commits back along first parents, with a line in its reflog. An
   * `InvalidArgumentError` when there are not so many.
   */
  async undo(steps = 1): Promise<FS> {
    const ref = this.#requireWritable();
    checkSteps(steps);
    const target = await ancestor(this.context.repository.odb, this.head, steps);
    return this.#moveTo(ref, target, undoMessage(steps));
  }

  /**
   * Moves the branch back to where it was before its last `steps` undos (or other movements that are
   * no commits), by its reflog. An `InvalidArgumentError` when there is not so much to redo.
   */
  async redo(steps = 1): Promise<FS> {
    const ref = this.#requireWritable();
    checkSteps(steps);
    const { repository } = this.context;
    const target = await redoTarget(repository, ref, this.head.oid, steps);
    return this.#moveTo(ref, target, redoMessage(steps));
  }

  /**
   * Makes a commit of this tree without its history: with no parent, or with the given one. No
   * branch is moved: the snapshot that comes back is read-only, until a branch is set to it.
   */
  async squash(
    options: { parent?: FS | null | undefined; message?: string | undefined } = {},
  ): Promise<FS> {
    const { parent = null, message = `Squash of ${this.commitHash}` } = options;
    if (parent !== null) requireSameRepository(this.context, parent.context);
    const commit = await stageCommit(this.context.repository.odb, {
      tree: this.head.commit.tree,
      base: parent === null ? null : parent.head.oid,
      message,
      author: this.context.identity,
    });
    return new FS(this.context, commit, null, null);
  }

  /** Lets go of what this keeps; nothing but memory. Closing again does nothing, and reading goes on to work. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Collects changes and makes one commit of them: what the operations above are made of. @internal */
  async transact(
    options: TransactionOptions,
    fill: (transaction: Transaction) => Promise<TransactionNotes | undefined>,
  ): Promise<FS> {
    this.#requireWritable();
    const staging = this.context.repository.odb.stage();
    try {
      const transaction = { staged: this.#stagedTree(), staging };
      const notes = await fill(transaction);
      return await this.#commit(transaction, options, notes ?? {});
    } finally {
      await staging.discard();
    }
  }

  /** This snapshot, with a report of what an operation that made no commit changed elsewhere. @internal */
  withChanges(changes: ChangeReport): FS {
    return this.#with(this.head, changes);
  }

  #writeOne(
    path: string,
    options: CommitOptions,
    stage: (staging: StagingArea) => Promise<PlacedObject>,
  ): Promise<FS> {
    return this.transact(options, async ({ staged, staging }) => {
      const target = writablePathFromText(path);
      await staged.write(target, await stage(staging));
    });
  }

  async #commit(
    { staged, staging }: Transaction,
    options: TransactionOptions,
    notes: TransactionNotes,
  ): Promise<FS> {
    const ref = this.#requireWritable();
    const { repository, identity } = this.context;
    const noted = (changes: ChangeReport): ChangeReport => {
      addOrigins(changes, notes.origins ?? new Map());
      changes.errors.push(...(notes.errors ?? []));
      changes.warnings.push(...(notes.warnings ?? []));
      return changes;
    };
    const { change } = staged;
    if (options.dryRun === true) {
      const { tree } = this.head.commit;
      return this.#with(this.head, noted(await previewChanges(repository, staging, tree, change)));
    }
    const result = await commitChanges(repository, {
      ref,
      base: this.head.oid,
      change,
      staging,
      pruneEmpty: true,
      message: (changes) => formatCommitMessage(changes, options.message, options.operation),
      author: identity,
      extraParents: this.#parentsFrom(options),
    });
    if (result !== null) {
      const head = { oid: result.commit, commit: result.object };
      return this.#with(head, noted(result.changes));
    }
    return options.alwaysReports === true
      ? this.#with(this.head, noted(emptyChangeReport()))
      : this;
  }

  async #moveTo(ref: RefName, target: IdentifiedCommit, message: string): Promise<FS> {
    const { repository, identity } = this.context;
    await moveRef(repository, { ref, from: this.head.oid, to: target.oid, identity, message });
    return this.#with(target);
  }

  async #open(name: string): Promise<FS> {
    return FS.at(this.context, await resolveRevision(this.context.repository, name));
  }

  #with(head: IdentifiedCommit, changes: ChangeReport | null = null): FS {
    return new FS(this.context, head, this.ref, changes);
  }

  #stagedTree(): StagedTree {
    return new StagedTree(this.context.repository.odb, this.head.commit.tree);
  }

  #parentsFrom({ parents = [] }: CommitOptions): Oid[] {
    return parents.map((parent) => {
      requireSameRepository(this.context, parent.context);
      return parent.head.oid;
    });
  }

  #requireWritable(): RefName {
    if (this.writable && this.ref !== null) return this.ref;
    const what = this.refName === null ? `commit ${this.commitHash}` : `tag ${this.refName}`;
    throw new PermissionError(`cannot write to a snapshot of ${what}`, {
      ...(this.ref !== null && { ref: this.ref }),
    });
  }
}

function isMap<V>(
  values: Readonly<Record<string, V>> | ReadonlyMap<string, V>,
): values is ReadonlyMap<string, V> {
  return values instanceof Map;
}

function checkSteps(steps: number): void {
  if (Number.isSafeInteger(steps) && steps > 0) return;
  throw new InvalidArgumentError(`not a number of steps: ${steps}`);
}

function secondsOf(time: Date): number {
  const milliseconds = time.getTime();
  if (Number.isNaN(milliseconds)) throw new InvalidArgumentError('not a time');
  return milliseconds / 1000;
}
