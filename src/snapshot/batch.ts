import { BatchClosedError, KeyNotFoundError } from '../errors.ts';
import type { ByteString } from '../git/byte-string.ts';
import { modeTree } from '../git/mode.ts';
import type { ObjectType } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import type { Oid } from '../git/oid.ts';
import { stageBytes, stageLocalFile, stageSymlink } from './content.ts';
import { fileModeFromOption } from './file-type.ts';
import type { ModeOption } from './file-type.ts';
import type { FS } from './fs.ts';
import {
  innerPathFromText,
  pathFromText,
  refuseForbiddenNames,
  writablePathFromText,
} from './path.ts';
import { headerIfThere, oidFromHash } from './snapshot-reader.ts';
import { StagedTree } from './staged-tree.ts';
import { encodeText } from './text-encoding.ts';
import type { PlacedObject } from './tree-edit.ts';
import { BatchWriter, checkWriterMode } from './writer.ts';
import type { WriterMode } from './writer.ts';

/** What a batch is opened on. @internal */
export interface BatchTarget {
  readonly odb: ObjectDatabase;
  /** The root tree that the changes apply to. */
  readonly tree: Oid;
  /** Makes the one commit. */
  commit(staged: StagedTree, staging: StagingArea): Promise<FS>;
}

/** The mode of a file that is staged. */
export interface ModeOptions {
  /** Default a regular file; an override of the executable bit for a local file. */
  mode?: ModeOption | undefined;
}

/**
 * Many changes that become one commit. Content goes to the object store while it is staged, so a
 * batch may be larger than memory; nothing is visible before `commit`. Operations take effect in
 * the order in which they were called, awaited or not; the last one on a path wins. Once the batch
 * was committed or discarded every call is a `BatchClosedError`.
 */
export class Batch {
  readonly #target: BatchTarget;
  readonly #staged: StagedTree;
  readonly #writers = new Set<BatchWriter>();
  #staging: StagingArea | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;
  #fs: FS | null = null;

  /** @internal Use `FS.batch`. */
  constructor(target: BatchTarget) {
    this.#target = target;
    this.#staged = new StagedTree(target.odb, target.tree);
  }

  /** The snapshot that `commit` led to; `null` before. */
  get fs(): FS | null {
    return this.#fs;
  }

  /** Whether the batch was committed or discarded. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Stages a file; see `FS.write` for when the bytes count. */
  async write(path: string, data: Uint8Array, options: ModeOptions = {}): Promise<void> {
    const target = this.#pathFor(path);
    await this.#put(target, stageBytes(this.#stagingArea(), data, options.mode));
  }

  /** Stages a text, in UTF-8 unless told otherwise. */
  async writeText(
    path: string,
    text: string,
    options: ModeOptions & { encoding?: string | undefined } = {},
  ): Promise<void> {
    this.#requireOpen();
    await this.write(path, encodeText(text, options.encoding), options);
  }

  /** Stages a file of the local disk, with its executable bit unless a mode is given. */
  async writeFromFile(path: string, localPath: string, options: ModeOptions = {}): Promise<void> {
    const target = this.#pathFor(path);
    const file = { path: localPath };
    await this.#put(target, stageLocalFile(this.#stagingArea(), file, options.mode));
  }

  /** Stages a symbolic link. */
  async writeSymlink(path: string, target: string): Promise<void> {
    await this.#put(this.#pathFor(path), stageSymlink(this.#stagingArea(), target));
  }

  /** Puts a blob that is stored already at a path; a `KeyNotFoundError` when no blob has this hash. */
  async writeBlob(path: string, hash: string, options: ModeOptions = {}): Promise<void> {
    const target = this.#pathFor(path);
    const mode = fileModeFromOption(options.mode);
    await this.#put(
      target,
      this.#stored(hash, 'blob').then((oid) => ({ mode, oid })),
    );
  }

  /**
   * Puts a tree that is stored already, with all that is in it, in place of what stands at a path
   * (`''`: of everything). A `KeyNotFoundError` when no tree has this hash.
   */
  async writeTree(path: string, hash: string): Promise<void> {
    this.#requireOpen();
    const target = pathFromText(path);
    refuseForbiddenNames(target);
    await this.#inTurn(this.#stored(hash, 'tree'), (oid) =>
      this.#staged.replace(target, { kind: 'set', mode: modeTree, oid }),
    );
  }

  /**
   * Stages the removal of a file. A path that is neither stored nor staged is a
   * `FileNotFoundError`, a directory an `IsADirectoryError`.
   */
  async remove(path: string): Promise<void> {
    this.#requireOpen();
    const target = innerPathFromText(path);
    await this.#inTurn(Promise.resolve(), () => this.#staged.remove(target));
  }

  /** Opens a file to be written in pieces; it is staged when the writer is closed. Throws at once for bad arguments. */
  writer(path: string, mode: WriterMode = 'wb'): BatchWriter {
    const target = this.#pathFor(path);
    checkWriterMode(mode);
    const writer: BatchWriter = new BatchWriter({
      staging: () => this.#stagingArea(),
      finish: (blob) => {
        this.#requireOpen();
        const mode = fileModeFromOption(undefined);
        return this.#put(
          target,
          blob.then((oid) => ({ mode, oid })),
        );
      },
      release: () => {
        this.#writers.delete(writer);
        return Promise.resolve();
      },
    });
    this.#writers.add(writer);
    return writer;
  }

  /**
   * Makes one commit of all that is staged; writers that are still open are discarded. The batch is
   * closed then, also when it fails: with a `StaleSnapshotError` when the branch has moved on.
   */
  async commit(): Promise<FS> {
    this.#requireOpen();
    this.#closed = true;
    try {
      await this.#tail;
      this.#fs = await this.#target.commit(this.#staged, this.#stagingArea());
      return this.#fs;
    } finally {
      await this.#release();
    }
  }

  /** Discards what is staged, unless it was committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#tail;
    await this.#release();
  }

  async #release(): Promise<void> {
    for (const writer of this.#writers) await writer[Symbol.asyncDispose]();
    await this.#staging?.discard();
  }

  #stagingArea(): StagingArea {
    return (this.#staging ??= this.#target.odb.stage());
  }

  #requireOpen(): void {
    if (this.#closed) throw new BatchClosedError('the batch is committed or discarded');
  }

  #pathFor(path: string): ByteString {
    this.#requireOpen();
    return writablePathFromText(path);
  }

  #put(path: ByteString, object: Promise<PlacedObject>): Promise<void> {
    return this.#inTurn(object, (placed) => this.#staged.write(path, placed));
  }

  /** Content is prepared side by side, but takes effect in the order of the calls. */
  #inTurn<T>(prepared: Promise<T>, apply: (value: T) => Promise<void>): Promise<void> {
    const turn = this.#tail.then(async () => apply(await prepared));
    // The caller hears of a failure through `turn`; these keep it from counting as unheard before.
    prepared.catch(() => undefined);
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  async #stored(hash: string, type: ObjectType): Promise<Oid> {
    const oid = oidFromHash(hash);
    const found = (await headerIfThere(this.#target.odb, oid))?.type;
    if (found === type) return oid;
    const what = found === undefined ? 'is not in the repository' : `is a ${found}`;
    throw new KeyNotFoundError(`no ${type} has the hash ${oid}: it ${what}`, { oid });
  }
}
