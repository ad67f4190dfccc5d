import { BatchClosedError, KeyNotFoundError } from '../errors.ts';
import type { ByteString } from '../git/byte-string.ts';
import { modeBlob } from '../git/mode.ts';
import { isOid, oidSizeBytes } from '../git/oid.ts';
import type { Oid } from '../git/oid.ts';
import { branchPrefix, headRef, notesPrefix, tagPrefix } from '../git/refs/ref-name.ts';
import type { RefName } from '../git/refs/ref-name.ts';
import { commitChanges } from '../snapshot/commit.ts';
import type { FS } from '../snapshot/fs.ts';
import { readCommit } from '../snapshot/history.ts';
import { refNamed, tipOf } from '../snapshot/revision.ts';
import type { SnapshotContext } from '../snapshot/snapshot-context.ts';
import { readBlob } from '../snapshot/snapshot-reader.ts';
import { decodeText, encodeText } from '../snapshot/text-encoding.ts';
import { changesFromPaths } from '../snapshot/tree-edit.ts';
import type { PlacedObject } from '../snapshot/tree-edit.ts';
import { allNotes, findNote, placeForNote } from './note-tree.ts';
import { newRefName } from './ref-names.ts';
import { retryStale } from './retry-write.ts';

/** What a note is on: a full hash, a snapshot (its commit), or the name of a branch or tag (its tip). */
export type NoteTarget = string | FS;

// Nobody asked for a particular state of the notes, so a change is simply made on the newest one;
// as many rounds as this are lost only to a crowd.
const retries = 20;

/** The namespaces of git notes in a repository. */
export class NoteDict {
  readonly #context: SnapshotContext;

  /** @internal Use `GitStore.notes`. */
  constructor(context: SnapshotContext) {
    this.#context = context;
  }

  /** The notes that `git notes` uses by default, `refs/notes/commits`. */
  get commits(): NoteNamespace {
    return this.namespace('commits');
  }

  /** The notes of `refs/notes/<name>`; an `InvalidRefNameError` when no ref can be called so. */
  namespace(name: string): NoteNamespace {
    return new NoteNamespace(this.#context, newRefName(notesPrefix, name));
  }
}

/**
 * The notes under one ref: texts on commits (or other objects), as `git notes` keeps them. A target
 * or a note that does not exist is a `KeyNotFoundError`. Each change is one commit, made on what
 * others wrote meanwhile.
 */
export class NoteNamespace {
  readonly #context: SnapshotContext;
  readonly #ref: RefName;

  /** @internal Use `NoteDict.namespace`. */
  constructor(context: SnapshotContext, ref: RefName) {
    this.#context = context;
    this.#ref = ref;
  }

  /** The text of a note, as it is stored. */
  async get(target: NoteTarget): Promise<string> {
    const oid = await this.#resolve(target);
    const { odb } = this.#context.repository;
    const note = await findNote(odb, (await this.#tip()).tree, oid);
    if (note === null) throw this.#noNote(oid);
    return decodeText(await readBlob(odb, note.blob, {}));
  }

  /** Writes a note, over the one that may be there. */
  async set(target: NoteTarget, text: string): Promise<void> {
    await this.#apply(new Map([[await this.#resolve(target), text]]));
  }

  /** Deletes a note. */
  async delete(target: NoteTarget): Promise<void> {
    const oid = await this.#resolve(target);
    if (!(await this.#isThere(oid))) throw this.#noNote(oid);
    await this.#apply(new Map([[oid, null]]));
  }

  /** Tells whether there is a note on a target. */
  async has(target: NoteTarget): Promise<boolean> {
    try {
      return await this.#isThere(await this.#resolve(target));
    } catch (error) {
      if (error instanceof KeyNotFoundError) return false;
      throw error;
    }
  }

  /** The hashes of all that has a note, sorted. */
  async list(): Promise<string[]> {
    const { tree } = await this.#tip();
    const targets: string[] = [];
    if (tree !== null) {
      for await (const oid of allNotes(this.#context.repository.odb, tree)) targets.push(oid);
    }
    return targets.sort();
  }

  /** The number of notes. */
  async size(): Promise<number> {
    return (await this.list()).length;
  }

  /** The hashes of all that has a note, sorted. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    yield* await this.list();
  }

  /** Opens a batch: many changes of notes, one commit. */
  batch(): NotesBatch {
    return new NotesBatch({
      resolve: (target) => this.#resolve(target),
      isThere: (oid) => this.#isThere(oid),
      noNote: (oid) => this.#noNote(oid),
      apply: (notes) => this.#apply(notes),
    });
  }

  /** The note on the tip of the current branch. */
  async getForCurrentBranch(): Promise<string> {
    return this.get(await this.#currentTip());
  }

  /** Writes the note on the tip of the current branch. */
  async setForCurrentBranch(text: string): Promise<void> {
    await this.set(await this.#currentTip(), text);
  }

  /** Makes one commit of notes; `null` deletes one, if it is there. */
  async #apply(notes: ReadonlyMap<Oid, string | null>): Promise<void> {
    if (notes.size === 0) return;
    const { repository, identity } = this.#context;
    const staging = repository.odb.stage();
    try {
      const blobs = new Map<Oid, PlacedObject | null>();
      for (const [target, text] of notes) {
        const oid = text === null ? null : await staging.write('blob', encodeText(text));
        blobs.set(target, oid === null ? null : { mode: modeBlob, oid });
      }
      await retryStale(retries, async () => {
        const { commit, tree } = await this.#tip();
        await commitChanges(repository, {
          ref: this.#ref,
          base: commit,
          change: changesFromPaths(await this.#paths(tree, blobs)),
          staging,
          pruneEmpty: true,
          message: messageFor(notes),
          author: identity,
          reflogMessage: `notes: ${messageFor(notes)}`,
        });
      });
    } finally {
      await staging.discard();
    }
  }

  /** Where each note stands, or will stand. */
  async #paths(
    tree: Oid | null,
    blobs: ReadonlyMap<Oid, PlacedObject | null>,
  ): Promise<[ByteString, PlacedObject | null][]> {
    const { odb } = this.#context.repository;
    const paths: [ByteString, PlacedObject | null][] = [];
    for (const [target, blob] of blobs) {
      const note = await findNote(odb, tree, target);
      if (note !== null) paths.push([note.path, blob]);
      else if (blob !== null) paths.push([await placeForNote(odb, tree, target), blob]);
    }
    return paths;
  }

  async #isThere(target: Oid): Promise<boolean> {
    const { tree } = await this.#tip();
    return (await findNote(this.#context.repository.odb, tree, target)) !== null;
  }

  async #tip(): Promise<{ commit: Oid | null; tree: Oid | null }> {
    const { repository } = this.#context;
    const oid = await tipOf(repository, this.#ref);
    if (oid === null) return { commit: null, tree: null };
    return { commit: oid, tree: (await readCommit(repository.odb, oid)).commit.tree };
  }

  async #resolve(target: NoteTarget): Promise<Oid> {
    if (typeof target !== 'string') return target.head.oid;
    const { repository } = this.#context;
    const hash = target.toLowerCase();
    if (isOid(hash) && hash.length === 2 * oidSizeBytes[repository.algorithm]) return hash;
    for (const prefix of [branchPrefix, tagPrefix]) {
      const ref = refNamed(prefix, target);
      const tip = ref === null ? null : await tipOf(repository, ref);
      if (tip !== null) return tip;
    }
    throw new KeyNotFoundError(`no branch, tag or full hash: ${JSON.stringify(target)}`, {
      ref: target,
    });
  }

  async #currentTip(): Promise<string> {
    const tip = await tipOf(this.#context.repository, headRef);
    if (tip !== null) return tip;
    throw new KeyNotFoundError('HEAD leads to no branch that exists', { ref: headRef });
  }

  #noNote(oid: Oid): KeyNotFoundError {
    return new KeyNotFoundError(`no note on ${oid}`, { ref: this.#ref, oid });
  }
}

/** What a batch needs of its namespace. @internal */
export interface NotesBatchTarget {
  resolve(target: NoteTarget): Promise<Oid>;
  isThere(oid: Oid): Promise<boolean>;
  noNote(oid: Oid): KeyNotFoundError;
  apply(notes: ReadonlyMap<Oid, string | null>): Promise<void>;
}

/** Changes of notes that become one commit. They take effect in the order of the calls. */
export class NotesBatch {
  readonly #target: NotesBatchTarget;
  readonly #notes = new Map<Oid, string | null>();
  #tail: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** @internal Use `NoteNamespace.batch`. */
  constructor(target: NotesBatchTarget) {
    this.#target = target;
  }

  /** Whether the batch was committed or discarded; then every call is a `BatchClosedError`. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Stages a note. */
  async set(target: NoteTarget, text: string): Promise<void> {
    await this.#inTurn(async () => {
      this.#notes.set(await this.#target.resolve(target), text);
    });
  }

  /** Stages the deletion of a note; a `KeyNotFoundError` when it is neither stored nor staged. */
  async delete(target: NoteTarget): Promise<void> {
    await this.#inTurn(async () => {
      const oid = await this.#target.resolve(target);
      const staged = this.#notes.get(oid);
      const isThere = staged === undefined ? await this.#target.isThere(oid) : staged !== null;
      if (!isThere) throw this.#target.noNote(oid);
      this.#notes.set(oid, null);
    });
  }

  /** Makes one commit of what is staged. */
  async commit(): Promise<void> {
    this.#requireOpen();
    this.#closed = true;
    await this.#tail;
    await this.#target.apply(this.#notes);
  }

  /** Discards what is staged, unless it was committed. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    return Promise.resolve();
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    this.#requireOpen();
    const turn = this.#tail.then(change);
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  #requireOpen(): void {
    if (this.#closed) throw new BatchClosedError('the batch is committed or discarded');
  }
}

/** As `git notes` says it; a change of both kinds is told by its numbers. */
function messageFor(notes: ReadonlyMap<Oid, string | null>): string {
  const deleted = [...notes.values()].filter((text) => text === null).length;
  if (deleted === 0) return "Notes added by 'git notes add'";
  if (deleted === notes.size) return "Notes removed by 'git notes remove'";
  return `Notes changed: ${notes.size - deleted} set, ${deleted} removed`;
}
