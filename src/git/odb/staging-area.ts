import { setMaxListeners } from 'node:events';
import { BatchClosedError } from '../../errors.ts';
import type { Disk } from '../disk.ts';
import type { ObjectType } from '../hash-object.ts';
import type { Oid } from '../oid.ts';
import type { ObjectData } from './delta-base-cache.ts';
import type { UnsyncedFiles } from './durable.ts';
import { filterBounded, forEachBounded } from './for-each-bounded.ts';
import { heldAlready } from './held-already.ts';
import type { HeldQuestions } from './held-already.ts';
import { ObjectStorer } from './object-storer.ts';
import type { ObjectStorerOptions, StoreOptions } from './object-storer.ts';
import { PackKeeps } from './pack-keeps.ts';
import { areFew, publishObjects } from './publishing.ts';
import type { PublishOptions } from './publishing.ts';
import type { SmallPacks } from './small-packs.ts';
import type { SpareIndexes } from './spare-indexes.ts';
import { StagedContent } from './staged-content.ts';
import { StagedObjects } from './staged-objects.ts';
import type { StagedObject } from './staged-pack.ts';
import type { ObjectInfo } from './unpacking.ts';

/** What a staging area needs of the object database that it belongs to. */
export interface StagingAreaOptions extends HeldQuestions, ObjectStorerOptions {
  /** Shared by all that writes to the object directory. */
  readonly unsynced: UnsyncedFiles;
  /** The same. */
  readonly spares: SpareIndexes;
  /** The same. */
  readonly smallPacks: SmallPacks;
  /** Tells whether the repository holds an object, loose. */
  readonly isLoose: (oid: Oid) => Promise<boolean>;
  /** The files that hold an object. */
  readonly filesOf: (oid: Oid) => Promise<readonly string[]>;
  /** Makes `exists` see what happened to the repository meanwhile, packs that are gone above all. */
  readonly refresh: () => Promise<void>;
  /** Where the object directory is; without it, nothing is known of that. */
  readonly disk?: Disk | undefined;
  /** Called when the area is discarded. */
  readonly onDiscard?: () => void;
}

const existenceChecksAtOnce = 16;
// Some megabytes. Of attempts at a commit that came to nothing, the next one needs the most.
const mostUnprotected = 20_000;
// So many are asked for one by one; to list directories takes longer than that.
const fewObjects = 32;

/**
 * Content on its way into the repository, which git does not see yet. What is written goes to a
 * temporary pack in the object directory, deflated, and can be read back at once (trees and commits wait
 * in memory as long as they are few, for they are published next); `publish` makes it a part of the
 * repository, and `release` forgets it. `git gc --prune=now` may remove what was published before a ref
 * leads to it, and the temporary pack itself: until it is released the content stays at hand through the
 * open file, `publish` does not need the file's name, and `republishMissing` puts back what was lost.
 *
 * Objects that the repository holds already are not staged, unless `keepsAll` says so.
 *
 * Calls may overlap. After an error (a full disk) nothing half is left behind, what was staged before
 * is still there, and the call can be made again.
 */
export class StagingArea {
  readonly #options: StagingAreaOptions;
  readonly #objects: StagedObjects;
  readonly #storer: ObjectStorer;
  readonly #content = new StagedContent();
  readonly #keeps = new PackKeeps();
  /** Released without a ref that leads to them: see `publish`. */
  readonly #unprotected = new Set<Oid>();
  #turn: Promise<unknown> = Promise.resolve();
  #discarding: Promise<void> | undefined;
  readonly #ending = new AbortController();

  constructor(options: StagingAreaOptions) {
    this.#options = options;
    // One for each writer that is open.
    setMaxListeners(0, this.#ending.signal);
    const { objectsDirectory, algorithm, disk } = options;
    this.#objects = new StagedObjects(objectsDirectory, algorithm, disk);
    this.#storer = new ObjectStorer(this.#objects, options);
  }

  /** See `ObjectStorer.write`. */
  write(type: ObjectType, data: Uint8Array, options?: StoreOptions): Oid | Promise<Oid> {
    return this.#storer.write(type, data, options);
  }

  /** See `ObjectStorer.writeTree`. */
  writeTree(raw: Buffer): Oid | Promise<Oid> {
    return this.#storer.writeTree(raw);
  }

  /** See `ObjectStorer.writeStream`. */
  writeStream(
    type: ObjectType,
    sizeBytes: number | undefined,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<Oid> {
    return this.#storer.writeStream(type, sizeBytes, chunks);
  }

  /** Aborted when the area is discarded: nobody waits for content that is yet to come then. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Tells whether an object is staged here. */
  hasStaged(oid: Oid): boolean {
    return this.#objects.get(oid) !== undefined;
  }

  /** The type and size of an object that is staged here. */
  headerIfStaged(oid: Oid): ObjectInfo | undefined {
    const packed = this.#objects.get(oid)?.packed;
    return packed && { type: packed.type, sizeBytes: packed.sizeBytes };
  }

  /** The ids of all that is staged here. */
  stagedOids(): Iterable<Oid> {
    return this.#objects.oids();
  }

  /** A staged object. One that is not staged here is an `ObjectNotFoundError`, also below. */
  async read(oid: Oid): Promise<ObjectData> {
    const object = this.#objects.find(oid);
    return { type: object.packed.type, data: await this.#content.read(object) };
  }

  /**
   * A part of the content of a staged object, shorter where that ends. It costs reading what is around
   * the range, a mebibyte or two of content, not the whole.
   */
  async readRange(oid: Oid, offset: number, length: number): Promise<Buffer> {
    return this.#content.range(this.#objects.find(oid), offset, length);
  }

  /** The content of a staged object, with bounded memory. */
  stream(oid: Oid): AsyncGenerator<Buffer, void, undefined> {
    return this.#content.stream(this.#objects.find(oid));
  }

  /**
   * Makes these objects, or all, a part of the repository; ids that are not staged here are taken to
   * be in it. Few and small ones become loose objects, others a pack, which may bring other staged
   * objects along. With `fsync` they survive a power cut when it resolves, those included that others
   * have stored before, who perhaps did not care; and so does all else that was published before
   * without it. They stay staged until `release`. `besideGc` makes a pack of them
   * that a `git gc` at work leaves alone, also of those that the repository has elsewhere; `again` also
   * of those that were published before. New packs are protected from `git repack` by `keeps`; without, until the next
   * `republishMissing` without. What was published under other `keeps`, and no ref came to lead to, is
   * published again: a `git repack` may have begun that takes it for garbage. A `BatchClosedError` once the
   * area is being discarded: what it is to publish may be gone.
   */
  publish(
    oids: Iterable<Oid> | undefined,
    {
      fsync,
      besideGc = false,
      again = false,
      keeps = this.#keeps,
    }: {
      readonly fsync: boolean;
      readonly besideGc?: boolean;
      readonly again?: boolean;
      readonly keeps?: PackKeeps;
    },
  ): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#discarding !== undefined) throw new BatchClosedError('the objects were discarded');
      const { wanted, repeated, stored } = this.#sorted(oids, again, keeps);
      const passesOver = this.#options.keepsAll === true && !besideGc;
      const held = passesOver ? await heldAlready(wanted, this.#options) : new Set();
      const unknown = wanted.filter((object) => !held.has(object));
      stored.push(...wanted.filter((object) => held.has(object)).map(({ packed }) => packed.oid));
      if (fsync) await this.#noteUnsynced(stored);
      const asPack = repeated.length > 0;
      await this.#publish([...unknown, ...repeated], { fsync, asPack, besideGc, keeps });
      for (const { packed } of repeated) this.#unprotected.delete(packed.oid);
    });
  }

  /** Tells whether to publish these objects takes a moment only. */
  areFew(oids: Iterable<Oid>): boolean {
    return areFew(Array.from(oids, (oid) => this.#objects.find(oid)));
  }

  /** Takes note that a ref leads to these objects: whoever wants them as well need not publish them. */
  referred(oids: Iterable<Oid>): void {
    for (const oid of oids) {
      const object = this.#objects.get(oid);
      if (object !== undefined) object.isReferred = true;
    }
  }

  /**
   * Looks whether the repository still holds these objects, for `git gc --prune=now` removes what no
   * ref leads to, and puts those back that it does not; gives their ids. One that is not staged here
   * either is an `ObjectNotFoundError`. With `keeps`, those protect the packs that it makes; without,
   * it has to be called when a ref leads to the objects, and lets go of what `publish` protected.
   */
  republishMissing(
    oids: Iterable<Oid>,
    { fsync, keeps }: { readonly fsync: boolean; readonly keeps?: PackKeeps } = { fsync: true },
  ): Promise<Oid[]> {
    return this.#inTurn(async () => {
      const missing = await this.#missing(new Set(oids));
      if (missing.length > 0) await this.#publish(missing, { fsync, keeps: keeps ?? this.#keeps });
      if (keeps === undefined) await this.#keeps.letGo();
      return missing.map(({ packed }) => packed.oid);
    });
  }

  /**
   * Forgets these objects, published or not, and gives back what they take of the disk. Whoever still
   * needs one that is not published has lost it.
   */
  release(oids: Iterable<Oid>): Promise<void> {
    return this.#inTurn(() => {
      const released = [...oids];
      for (const oid of released) this.#rememberUnprotected(oid);
      return this.#objects.release(released);
    });
  }

  /**
   * Forgets everything that is staged; what was published stays in the repository. It waits for the
   * writes that are under way, of which those that wait for content themselves go by `ending`. The area
   * cannot be used any more.
   */
  discard(): Promise<void> {
    return (this.#discarding ??= this.#discard());
  }

  async #discard(): Promise<void> {
    this.#ending.abort(new BatchClosedError('the objects were discarded'));
    await this.#storer.close();
    try {
      await this.#inTurn(() => this.#objects.clear());
    } finally {
      await this.#keeps.letGo();
      this.#options.onDiscard?.();
    }
  }

  async #missing(oids: ReadonlySet<Oid>): Promise<StagedObject[]> {
    const { exists, isLoose, refresh } = this.#options;
    // As a rule few were published, loose, and are there still: then nothing has to be listed.
    const notLoose = oids.size > fewObjects ? oids : await without(oids, isLoose);
    const others = await this.#outsideStandingPacks(notLoose);
    if (others.size === 0) return [];
    await refresh();
    return Array.from(await without(others, exists), (oid) => this.#objects.find(oid));
  }

  /** Those that do not stand in a pack of this area which is there: of many, all are in one. */
  async #outsideStandingPacks(oids: ReadonlySet<Oid>): Promise<Set<Oid>> {
    const packs = new Set(Array.from(oids, (oid) => this.#objects.get(oid)?.pack));
    const standing = await filterBounded(
      packs,
      existenceChecksAtOnce,
      (pack) => pack?.freshen() ?? false,
    );
    return new Set([...oids].filter((oid) => !standing.has(this.#objects.get(oid)?.pack)));
  }

  /** Others may have stored these without a sync: git does so with loose objects. */
  async #noteUnsynced(oids: readonly Oid[]): Promise<void> {
    const paths = new Set<string>();
    await forEachBounded(oids, existenceChecksAtOnce, async (oid) => {
      for (const path of await this.#options.filesOf(oid)) paths.add(path);
    });
    await this.#options.unsynced.add(paths);
  }

  /**
   * Remembers an object that may be in the repository, though no ref came to lead to it: it was published,
   * or stands in a temporary pack that gets its name with what else is in it.
   */
  #rememberUnprotected(oid: Oid): void {
    const object = this.#objects.get(oid);
    if (object === undefined || object.isReferred) return;
    this.#unprotected.add(oid);
    for (const oldest of this.#unprotected) {
      if (this.#unprotected.size <= mostUnprotected) break;
      this.#unprotected.delete(oldest);
    }
  }

  /** What there is to do about some objects, or all; see `publish`. */
  #sorted(
    oids: Iterable<Oid> | undefined,
    again: boolean,
    keeps: PackKeeps,
  ): {
    readonly wanted: StagedObject[];
    readonly repeated: StagedObject[];
    readonly stored: Oid[];
  } {
    const wanted: StagedObject[] = [];
    const repeated: StagedObject[] = [];
    const stored: Oid[] = [];
    const { passedOver } = this.#storer;
    for (const oid of new Set(oids ?? [...this.#objects.oids(), ...passedOver])) {
      const object = this.#objects.get(oid);
      if (object === undefined) {
        if (passedOver.has(oid)) stored.push(oid);
        continue;
      }
      const { published, isReferred } = object;
      const isNew = published === undefined && !this.#unprotected.has(oid);
      if (isNew) wanted.push(object);
      else if (again || (published !== keeps && !isReferred)) repeated.push(object);
    }
    return { wanted, repeated, stored };
  }

  async #publish(
    objects: readonly StagedObject[],
    options: Pick<PublishOptions, 'fsync' | 'asPack' | 'besideGc' | 'keeps'>,
  ): Promise<void> {
    await publishObjects(objects, { ...this.#options, ...options });
    if (options.fsync) await this.#options.unsynced.sync();
  }

  /** Runs one after the other what changes which objects are staged, and where they are. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    // The next one runs whatever becomes of this one; who called is told.
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

async function without(
  oids: ReadonlySet<Oid>,
  isThere: (oid: Oid) => boolean | Promise<boolean>,
): Promise<Set<Oid>> {
  const there = await filterBounded(oids, existenceChecksAtOnce, isThere);
  return new Set([...oids].filter((oid) => !there.has(oid)));
}
