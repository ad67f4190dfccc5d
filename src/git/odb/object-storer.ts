import { setImmediate as nextTurn } from 'node:timers/promises';
import { BatchClosedError, InvalidArgumentError } from '../../errors.ts';
import { beginObjectHash, finishObjectHash, hashObject } from '../hash-object.ts';
import type { ObjectType } from '../hash-object.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { ByteBudget } from './byte-budget.ts';
import { cutIntoPieces, deflateWhole, pieceBytes, smallContentBytes } from './deflate.ts';
import { DeflatedTrees } from './deflated-trees.ts';
import type { HeldQuestions } from './held-already.ts';
import type { DeflatedObject } from './pack-writer.ts';
import { Spool } from './spool.ts';
import type { StagedObjects } from './staged-objects.ts';

/** What storing needs of the object database that it is for. */
export interface ObjectStorerOptions extends Pick<HeldQuestions, 'exists' | 'isKnown'> {
  readonly objectsDirectory: string;
  readonly algorithm: HashAlgorithm;
  /** The zlib level, -1 to 9; what does not shrink and what is big gets a lower one. */
  readonly compressionLevel: number;
  /**
   * Stage also what the repository holds: `git gc` may take from it what no ref leads to, before a
   * commit that needs it is made. What it still holds then is not published a second time.
   */
  readonly keepsAll?: boolean;
  /** The large trees that were staged last, in whatever area. */
  readonly trees: DeflatedTrees;
}

/** How content is stored. */
export interface StoreOptions {
  /** Somebody waits for a commit of it, who is told what goes wrong; see `ObjectStorer.write`. */
  readonly isAwaited?: boolean;
}

// How much content of up to a piece each is deflated and on its way to the disk at a time.
const mostBytesUnderWay = 4 * 1024 * 1024;

/** An object that is to be stored, and what makes its zlib stream, in parts. */
interface NewObject {
  readonly type: ObjectType;
  readonly data: Uint8Array;
  /** Whether it may stay in memory until something is done with what is staged. */
  readonly mayWait: boolean;
  readonly deflate: () => readonly Buffer[] | Promise<readonly Buffer[]>;
}

/** Hashes content, deflates it and puts it where objects are staged. Calls may overlap. */
export class ObjectStorer {
  readonly #options: ObjectStorerOptions;
  readonly #objects: StagedObjects;
  /** What was not staged, because the repository holds it. */
  readonly passedOver: Set<Oid> = new Set();
  readonly #beingStored = new Map<Oid, Promise<void>>();
  readonly #budget = new ByteBudget(mostBytesUnderWay);
  // One at a time, so that they end up in one pack.
  readonly #bigBudget = new ByteBudget(1);
  #writes = 0;
  #onLastWrite: (() => void) | undefined;
  #isClosed = false;

  constructor(objects: StagedObjects, options: ObjectStorerOptions) {
    this.#objects = objects;
    this.#options = options;
  }

  /**
   * Stages an object and gives its id. For a blob it resolves when the system has taken the bytes, or has
   * room for them, so a full disk is noticed here; `data` must stay as it is until then. Small content is
   * staged when this returns, as a rule, where nobody asks first whether the repository holds it. `isAwaited`
   * says that somebody waits for a commit of it, who will be told what goes wrong: a small blob waits in
   * memory then, as trees and commits do always.
   */
  write(
    type: ObjectType,
    data: Uint8Array,
    { isAwaited = type !== 'blob' }: StoreOptions = {},
  ): Oid | Promise<Oid> {
    const { compressionLevel } = this.#options;
    const deflate = (): readonly Buffer[] | Promise<readonly Buffer[]> => {
      const deflated = deflateWhole(data, compressionLevel, type);
      return deflated instanceof Promise ? deflated.then((whole) => [whole]) : [deflated];
    };
    return this.#write({ type, data, deflate, mayWait: isAwaited });
  }

  /** `write` for a tree whose bytes will never change: of large ones much is deflated already. */
  writeTree(data: Buffer): Oid | Promise<Oid> {
    const { trees, compressionLevel } = this.#options;
    if (!DeflatedTrees.isLarge(data) || compressionLevel === 0) return this.write('tree', data);
    return this.#write({
      type: 'tree',
      data,
      deflate: () => trees.deflate(data),
      mayWait: true,
    });
  }

  /**
   * Stages an object that comes in chunks, with bounded memory however long it is. Without its size
   * it is first written to a temporary file, for the size is a part of what is hashed. Another size
   * than announced is an `InvalidArgumentError`; errors of `chunks` come as they are. While a chunk
   * is waited for, other writes go on. Chunks may be used again once the next one is asked for.
   */
  writeStream(
    type: ObjectType,
    sizeBytes: number | undefined,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<Oid> {
    return this.#writing(async () => {
      const pieces = cutIntoPieces(chunks, true);
      try {
        if (sizeBytes !== undefined && sizeBytes > pieceBytes) {
          return await this.#storePieces(type, sizeBytes, pieces);
        }
        return await this.#storeStarted(type, sizeBytes, pieces);
      } finally {
        await pieces.return();
      }
    });
  }

  /** Refuses writes from now on with a `BatchClosedError`, and waits for those under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#writes > 0) await new Promise<void>((resolve) => (this.#onLastWrite = resolve));
  }

  #write(object: NewObject): Oid | Promise<Oid> {
    const { algorithm, keepsAll } = this.#options;
    const { type, data } = object;
    // Without `keepsAll` the repository is asked first.
    if (this.#isClosed || keepsAll !== true || data.length > smallContentBytes) {
      return this.#writing(async () => this.#stored(await this.#hash(object), object));
    }
    const oid = hashObject(algorithm, type, data);
    if (this.#objects.get(oid) !== undefined) return oid;
    if (this.#beingStored.has(oid)) return this.#writing(() => this.#stored(oid, object));
    const deflated = object.deflate();
    if (!(deflated instanceof Promise)) {
      if (this.#objects.appendHere(deflatedObject(oid, object, deflated))) return oid;
    }
    return this.#writing(() => this.#stored(oid, { ...object, deflate: () => deflated }));
  }

  async #stored(oid: Oid, object: NewObject): Promise<Oid> {
    if (this.#objects.get(oid) === undefined) await this.#storeOnce(oid, object);
    return oid;
  }

  async #hash({ type, data }: NewObject): Promise<Oid> {
    const { algorithm } = this.#options;
    if (data.length <= pieceBytes) return hashObject(algorithm, type, data);
    const hash = beginObjectHash(algorithm, type, data.length);
    for (let start = 0; start < data.length; start += pieceBytes) {
      hash.update(data.subarray(start, start + pieceBytes));
      await nextTurn();
    }
    return finishObjectHash(hash);
  }

  /** Stores an object; who comes with the same one meanwhile shares what becomes of it. */
  #storeOnce(oid: Oid, object: NewObject): Promise<void> {
    const beingStored = this.#beingStored.get(oid);
    if (beingStored !== undefined) return beingStored;
    const { length } = object.data;
    const budget = length > pieceBytes ? this.#bigBudget : this.#budget;
    const storing = budget
      .run(length, () => this.#store(oid, object))
      .finally(() => this.#beingStored.delete(oid));
    this.#beingStored.set(oid, storing);
    return storing;
  }

  async #store(oid: Oid, object: NewObject): Promise<void> {
    const { type, data, deflate } = object;
    const { keepsAll, isKnown } = this.#options;
    const existing = keepsAll === true ? false : isKnown(oid);
    // The disk looks while this thread deflates.
    const early = data.length <= smallContentBytes ? deflate() : undefined;
    if (await existing) {
      this.passedOver.add(oid);
      return;
    }
    const sizeBytes = data.length;
    if (sizeBytes > pieceBytes) {
      await this.#storePieces(type, sizeBytes, cutIntoPieces([data]));
      return;
    }
    const deflated = await (early ?? deflate());
    await this.#objects.append(deflatedObject(oid, object, deflated));
  }

  #storePieces(type: ObjectType, sizeBytes: number, pieces: AsyncIterable<Buffer>): Promise<Oid> {
    const { compressionLevel, keepsAll, exists } = this.#options;
    const isThere = async (oid: Oid): Promise<boolean> => {
      if (keepsAll === true || !(await exists(oid))) return false;
      this.passedOver.add(oid);
      return true;
    };
    return this.#objects.appendPieces({ type, sizeBytes, pieces, compressionLevel }, isThere);
  }

  /** Stores content of which it takes the first pieces to tell what is best. */
  async #storeStarted(
    type: ObjectType,
    sizeBytes: number | undefined,
    pieces: AsyncGenerator<Buffer, void, undefined>,
  ): Promise<Oid> {
    const first = await pieces.next();
    const second = first.done === true ? first : await pieces.next();
    const start = first.done === true ? Buffer.alloc(0) : first.value;
    if (second.done !== true && sizeBytes === undefined) {
      return this.#storeSpooled(type, joined([start, second.value], pieces));
    }
    if (sizeBytes !== undefined && (second.done !== true || start.length !== sizeBytes)) {
      throw new InvalidArgumentError(`${sizeBytes} bytes of content were announced, others came`);
    }
    return this.write(type, start);
  }

  async #storeSpooled(type: ObjectType, pieces: AsyncIterable<Buffer>): Promise<Oid> {
    const spool = await Spool.fill(this.#options.objectsDirectory, pieces);
    try {
      return await this.#storePieces(type, spool.sizeBytes, spool.pieces());
    } finally {
      await spool.close();
    }
  }

  async #writing(write: () => Promise<Oid>): Promise<Oid> {
    if (this.#isClosed) {
      throw new BatchClosedError('nothing can be staged any more: the area was discarded');
    }
    this.#writes += 1;
    try {
      return await write();
    } finally {
      this.#writes -= 1;
      if (this.#writes === 0) this.#onLastWrite?.();
    }
  }
}

function deflatedObject(
  oid: Oid,
  { type, data, mayWait }: NewObject,
  deflated: readonly Buffer[],
): DeflatedObject {
  return { oid, type, sizeBytes: data.length, deflated, mayWait };
}

async function* joined(
  start: readonly Buffer[],
  rest: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  yield* start;
  yield* rest;
}
