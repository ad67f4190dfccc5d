import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { CorruptObjectError, InvalidArgumentError } from '../../errors.ts';
import { Disk } from '../disk.ts';
import { Tree, emptyTreeOid, hashObject } from '../object.ts';
import type { ObjectType } from '../object.ts';
import { oidSizeBytes, oidToBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { BigBlobs } from './big-blobs.ts';
import { BlobSpool } from './blob-spool.ts';
import { openLooseContent, openPackedContent } from './blob-content.ts';
import type { BlobContent } from './blob-content.ts';
import type { CommitGraph } from './commit-graph.ts';
import type { CacheCounts } from './counted-cache.ts';
import type { ObjectData } from './delta-base-cache.ts';
import { DeflatedTrees } from './deflated-trees.ts';
import { UnsyncedFiles } from './durable.ts';
import { ifReady, whenReady } from './fault.ts';
import { writeLooseObjects } from './loose-writer.ts';
import { ObjectCaches, defaultCacheSizeBytes } from './object-caches.ts';
import { ObjectDirectories } from './object-directories.ts';
import type { ObjectUse } from './object-directories.ts';
import { named, namingObject, ofType } from './object-errors.ts';
import { packAgain } from './pack-again.ts';
import type { Pack } from './pack.ts';
import type { PackLocation } from './pack-directory.ts';
import { FileGoneError } from './paged-file.ts';
import { packLooseObjects } from './repack.ts';
import type { MaintenanceOptions } from './repack.ts';
import { SmallPacks } from './small-packs.ts';
import { SpareIndexes } from './spare-indexes.ts';
import type { StagingArea } from './staging-area.ts';
import { StagingAreas } from './staging-areas.ts';
import { storedEntryAt } from './stored-entry.ts';
import type { StoredEntry } from './stored-entry.ts';
import { Unpacking } from './unpacking.ts';
import type { ObjectInfo } from './unpacking.ts';

/** How an object database is opened. */
export interface ObjectDatabaseOptions {
  /** `objects` of the repository. */
  readonly objectsDirectory: string;
  readonly algorithm: HashAlgorithm;
  /** The zlib level for what is written, -1 to 9. */
  readonly compressionLevel: number;
  /** Tells where it is, see the function of that name. Default `false`. */
  readonly isNear?: boolean;
  /** The bound of all caches together, 83 MiB by default. */
  readonly cacheSizeBytes?: number;
  /** Blobs that are larger are not read whole for a part of them; never more than 1 MiB is. */
  readonly bigFileThresholdBytes?: number;
  /**
   * Where big blobs are inflated to when parts of them are read out of order; by default beside the
   * packs, or in the system's directory for temporary files when that cannot be written to.
   */
  readonly spoolDirectory?: string;
  /** How much of them may be there at a time, 1 GiB by default; 0 for none. */
  readonly spoolSizeBytes?: number;
}

const largestWholeReadBytes = 1024 * 1024;
const defaultSpoolSizeBytes = 1024 * 1024 * 1024;

/**
 * The objects of a repository: loose, in packs, in the directories that it borrows from, and those
 * that are staged but not published. Others may write, pack, repack and prune meanwhile: nothing is
 * called missing (`ObjectNotFoundError`) before the directories have been looked at again.
 *
 * What is stored is not hashed again when it is read, as in git; sizes and zlib's checksums are
 * checked. A damaged object is a `CorruptObjectError` with its id, unless there is another copy.
 * Errors of the system come as they are.
 *
 * All content that comes back is shared with caches: it must not be written to.
 */
export class ObjectDatabase {
  readonly algorithm: HashAlgorithm;
  readonly objectsDirectory: string;
  /** Whoever gives a pack its name does so with these. */
  readonly spareIndexes: SpareIndexes;
  readonly #compressionLevel: number;
  readonly #caches: ObjectCaches;
  readonly #directories: ObjectDirectories;
  readonly #spool: BlobSpool;
  readonly #bigBlobs: BigBlobs;
  readonly #largestWholeReadBytes: number;
  readonly #unsynced: UnsyncedFiles;
  readonly #smallPacks: SmallPacks;
  readonly #staging: StagingAreas;
  // Whoever asks for an object that is being read waits for that read.
  readonly #loads = new Map<Oid, Promise<ObjectData>>();
  readonly #emptyTree: Oid;

  private constructor(options: ObjectDatabaseOptions) {
    this.algorithm = options.algorithm;
    this.objectsDirectory = options.objectsDirectory;
    const disk = new Disk(options.isNear ?? false);
    this.#unsynced = new UnsyncedFiles(options.objectsDirectory, disk);
    this.spareIndexes = new SpareIndexes(options.objectsDirectory);
    this.#compressionLevel = options.compressionLevel;
    this.#caches = new ObjectCaches(options.cacheSizeBytes ?? defaultCacheSizeBytes);
    this.#directories = new ObjectDirectories({
      path: options.objectsDirectory,
      spares: this.spareIndexes,
      algorithm: options.algorithm,
      pages: this.#caches.pages,
      onChange: () => this.#bigBlobs.closeCursors(),
      disk,
    });
    this.#spool = new BlobSpool({
      directories:
        options.spoolDirectory === undefined
          ? [`${options.objectsDirectory}/pack`, tmpdir()]
          : [options.spoolDirectory],
      maxSizeBytes: options.spoolSizeBytes ?? defaultSpoolSizeBytes,
    });
    this.#bigBlobs = new BigBlobs({
      open: (oid) => this.#openContent(oid),
      spool: this.#spool,
      maxBlocksSizeBytes: this.#caches.maxBlobBlocksSizeBytes,
    });
    this.#largestWholeReadBytes = Math.min(
      largestWholeReadBytes,
      this.#caches.largestObjectBytes,
      options.bigFileThresholdBytes ?? Infinity,
    );
    this.#emptyTree = emptyTreeOid(options.algorithm);
    const own = {
      objectsDirectory: this.objectsDirectory,
      algorithm: this.algorithm,
      spares: this.spareIndexes,
    };
    this.#smallPacks = new SmallPacks({
      ...own,
      pages: this.#caches.pages,
      onMerged: () => this.refresh(),
    });
    this.#staging = new StagingAreas({
      ...own,
      compressionLevel: this.#compressionLevel,
      unsynced: this.#unsynced,
      smallPacks: this.#smallPacks,
      exists: (oid) => this.freshen(oid),
      isKnown: (oid) => this.#directories.freshenListed(oid),
      isLoose: (oid) => this.#directories.hasLoose(oid),
      freshenLoose: (oid) => this.#directories.freshenLoose(oid),
      filesOf: (oid) => this.#directories.filesOf(oid),
      refresh: () => this.refresh(),
      trees: new DeflatedTrees(),
      disk,
    });
  }

  /** Opens a database; only the names of its packs are read. */
  static async open(options: ObjectDatabaseOptions): Promise<ObjectDatabase> {
    const database = new ObjectDatabase(options);
    const { isNear = false, objectsDirectory } = options;
    await database.refresh();
    if (isNear) database.#caches.pages.readHere(statSync(objectsDirectory).dev);
    return database;
  }

  /** The type and size of an object; its content is not inflated for it. */
  async header(oid: Oid): Promise<ObjectInfo> {
    const cached = this.headerIfCached(oid);
    if (cached !== undefined) return cached;
    const info = await this.#find<ObjectInfo>(oid, {
      packed: (location) => {
        const unpacking = this.#unpacking(location);
        return whenReady(() => unpacking.info());
      },
      loose: (objects) => objects.info(oid),
    });
    this.#caches.infos.set(oid, info);
    return info;
  }

  /** `header` as far as it needs no disk. */
  headerIfCached(oid: Oid): ObjectInfo | undefined {
    const known = this.#knownInfo(oid);
    if (known !== undefined) return known;
    const info = this.#unpackIfReady(oid, (unpacking) => unpacking.info());
    if (info !== undefined) this.#caches.infos.set(oid, info);
    return info;
  }

  /** An object, whole; one of another type than expected is a `CorruptObjectError`. */
  async read(oid: Oid, expectedType?: ObjectType): Promise<ObjectData> {
    return ofType(oid, this.readIfCached(oid) ?? (await this.#load(oid)), expectedType);
  }

  /** `read` as far as it needs no disk and takes no more than a few milliseconds. */
  readIfCached(oid: Oid): ObjectData | undefined {
    const cached = this.#caches.objects.get(oid);
    if (cached !== undefined) return cached;
    const object = this.#unpackIfReady(oid, (unpacking) => unpacking.object());
    if (object !== undefined) this.#keep(oid, object);
    return object;
  }

  /**
   * A part of the content, shorter where that ends. Large content is not inflated from its start for
   * each part: reading on continues, and other reads are served from a spool on disk. Those are read
   * into `into` when it is given, which has room for `length` bytes.
   */
  async readRange(oid: Oid, offset: number, length: number, lend?: () => Buffer): Promise<Buffer> {
    checkRange(offset, length);
    const cached = this.#caches.objects.get(oid);
    if (cached !== undefined) return cached.data.subarray(offset, offset + length);
    const { sizeBytes } = await this.header(oid);
    const end = Math.min(offset + length, sizeBytes);
    if (offset >= end) return Buffer.alloc(0);
    if (sizeBytes <= this.#largestWholeReadBytes) {
      return (await this.read(oid)).data.subarray(offset, end);
    }
    const staged = await this.#staging.read(oid, (area) =>
      area.readRange(oid, offset, end - offset),
    );
    if (staged !== undefined) return staged;
    return namingObject(oid, () =>
      this.#bigBlobs.read({ oid, sizeBytes }, offset, end - offset, lend),
    );
  }

  /** The content in pieces, with bounded memory unless it is stored as a delta. */
  async *stream(oid: Oid): AsyncGenerator<Buffer, void, undefined> {
    const staged = this.#staging.stream(oid);
    if (staged !== undefined) {
      yield* staged;
      return;
    }
    const { sizeBytes } = await this.header(oid);
    if (sizeBytes <= this.#largestWholeReadBytes) {
      const { data } = await this.read(oid);
      if (data.length > 0) yield data;
      return;
    }
    const content = await this.#openContent(oid);
    try {
      yield* content.chunks();
    } catch (error) {
      throw named(oid, error);
    } finally {
      await content.close();
    }
  }

  /**
   * How a pack holds an object, to be copied as it stands there; undefined when none does, or that
   * cannot be used, which `read` then tells.
   */
  async storedEntry(oid: Oid): Promise<StoredEntry | undefined> {
    try {
      return await whenReady(() => {
        const location = this.#directories.locate(oidToBytes(oid));
        return location && storedEntryAt(location);
      });
    } catch (error) {
      if (error instanceof CorruptObjectError || error instanceof FileGoneError) return undefined;
      throw error;
    }
  }

  /** A parsed tree. */
  async tree(oid: Oid): Promise<Tree> {
    const cached = this.treeIfCached(oid);
    if (cached !== undefined) return cached;
    const object = await this.#load(oid);
    // Others may have waited for the same, and one of them parsed it.
    return this.#caches.trees.peek(oid) ?? this.#parseTree(oid, object);
  }

  /** `tree` as far as it needs no disk. */
  treeIfCached(oid: Oid): Tree | undefined {
    const cached = this.#caches.trees.get(oid);
    if (cached !== undefined) return cached;
    return this.#unpackIfReady(oid, (unpacking) => this.#parseTree(oid, unpacking.object()));
  }

  /** How useful each of the caches is. */
  cacheCounts(): CacheCounts[] {
    return [...this.#caches.counts(), this.#bigBlobs.counts()];
  }

  /** Takes note of a tree that was just written: as a rule it is asked for next. */
  noteTree(oid: Oid, tree: Tree): void {
    this.#caches.trees.set(oid, tree);
  }

  /**
   * Lets go of trees that others have taken the place of: as a rule nobody asks for them again, and whoever
   * saves files in a large directory would fill the cache with all that it ever was.
   */
  forgetTrees(oids: Iterable<Oid>): void {
    for (const oid of oids) this.#caches.trees.delete(oid);
  }

  /** Takes note of a commit as of a tree. */
  noteCommit(oid: Oid, data: Buffer): void {
    this.#caches.keepObject(oid, { type: 'commit', data });
  }

  /**
   * Tells whether an object is there at this moment: caches do not count, staged objects do. When it
   * is not, and there are packs that cannot be read, it is a `CorruptObjectError`.
   */
  async has(oid: Oid): Promise<boolean> {
    return (await this.firstMissing([oid])) === undefined;
  }

  /** The first of these objects that is not there, as `has` tells; each pack is looked at once for all. */
  async firstMissing(oids: Iterable<Oid>): Promise<Oid | undefined> {
    const packsThere = new Set<Pack>();
    for (const oid of oids) {
      if (oid === this.#emptyTree || this.#staging.header(oid) !== undefined) continue;
      const isThere = await namingObject(oid, () => this.#directories.has(oid, packsThere));
      if (!isThere) return oid;
    }
    return undefined;
  }

  /**
   * Tells whether the repository holds an object that need not be written again, and sets the time of
   * its file to now, so that `git gc` does not take it for old. Quick: a false no is possible.
   */
  freshen(oid: Oid): boolean | Promise<boolean> {
    return this.#directories.freshen(oid);
  }

  /** The ids of all objects that start with these hex digits (one at least), sorted. */
  async resolvePrefix(hexPrefix: string): Promise<Oid[]> {
    const prefix = hexPrefix.toLowerCase();
    if (!/^[0-9a-f]+$/.test(prefix)) {
      throw new InvalidArgumentError(`not the start of an object id: ${JSON.stringify(hexPrefix)}`);
    }
    const digits = 2 * oidSizeBytes[this.algorithm];
    if (prefix.length > digits) return [];
    const found = await this.#directories.startingWith(prefix);
    for (const oid of this.#staging.oids()) if (oid.startsWith(prefix)) found.add(oid);
    return [...found].sort();
  }

  /** Stores an object, loose, and gives its id; one that is there already is not written again. */
  async write(
    type: ObjectType,
    data: Uint8Array,
    { fsync = false }: { readonly fsync?: boolean } = {},
  ): Promise<Oid> {
    const oid = hashObject(this.algorithm, type, data);
    if (await this.#directories.freshenPacked(oid)) {
      if (fsync) await this.#unsynced.sync();
      return oid;
    }
    await writeLooseObjects([{ oid, type, data }], {
      objectsDirectory: this.objectsDirectory,
      compressionLevel: this.#compressionLevel,
      fsync,
      unsynced: this.#unsynced,
    });
    return oid;
  }

  /**
   * A place for content on its way into the repository; it can be read through this database at once.
   * With `keepsAll` it takes what the repository holds, too, which is for content that may wait long.
   */
  stage(options: { readonly keepsAll?: boolean } = {}): StagingArea {
    return this.#staging.open(options);
  }

  /** Stores objects once more, in a pack that a `git gc` which is at work leaves alone; see `packAgain`. */
  packAgain(oids: Iterable<Oid>, options: { readonly fsync: boolean }): Promise<void> {
    return packAgain(this, this.#staging.openForCopies(), oids, options);
  }

  /** Puts the loose objects into one pack and gives their number; see `packLooseObjects`. */
  async packLoose(options: MaintenanceOptions = {}): Promise<number> {
    const { objectsDirectory, algorithm } = this;
    const compressionLevel = this.#compressionLevel;
    const spares = this.spareIndexes;
    const how = { ...options, objectsDirectory, algorithm, compressionLevel, spares };
    const count = await packLooseObjects(how);
    await this.refresh();
    return count;
  }

  /**
   * The descriptor of a file with the content of a blob, for a kernel that can read it without us;
   * `undefined` unless all of it is in the spool. Valid until something is waited for.
   */
  spooledFile(oid: Oid): number | undefined {
    return this.#spool.get(oid)?.wholeFile;
  }

  /** What git has noted of the commits, if it did: ask for it anew for each piece of work. */
  commitGraph(): Promise<CommitGraph | undefined> {
    return this.#directories.commitGraph();
  }

  /** Looks for packs that are new or gone. Reads do so by themselves before they call anything missing. */
  async refresh(): Promise<void> {
    await this.#directories.scan();
  }

  /**
   * Closes packs and indexes that were not read since this was called last; they are opened again at
   * need. One that `git gc` has removed takes room on the disk as long as it is open. A tree too large
   * for its cache goes in the same way.
   */
  closeIdleFiles(): void {
    this.#caches.closeIdle();
  }

  /** Discards what is staged, and lets go of all files. */
  async close(): Promise<void> {
    await this.#staging.discard();
    await this.#smallPacks.close();
    await this.spareIndexes.close();
    this.#bigBlobs.closeCursors();
    this.#spool.close();
    this.#directories.close();
    this.#caches.clear();
  }

  #knownInfo(oid: Oid): ObjectInfo | undefined {
    const known = this.#caches.infos.get(oid);
    if (known !== undefined) return known;
    const object = this.#caches.objects.get(oid);
    if (object !== undefined) return { type: object.type, sizeBytes: object.data.length };
    return oid === this.#emptyTree ? { type: 'tree', sizeBytes: 0 } : this.#staging.header(oid);
  }

  #load(oid: Oid): Promise<ObjectData> {
    let load = this.#loads.get(oid);
    if (load === undefined) {
      load = this.#loadAlone(oid).finally(() => this.#loads.delete(oid));
      this.#loads.set(oid, load);
    }
    return load;
  }

  async #loadAlone(oid: Oid): Promise<ObjectData> {
    // Every git has the empty tree, stored or not.
    if (oid === this.#emptyTree) return { type: 'tree', data: Buffer.alloc(0) };
    const object =
      (await this.#staging.read(oid, (area) => area.read(oid))) ??
      (await this.#find<ObjectData>(oid, {
        packed: (location) => {
          const unpacking = this.#unpacking(location);
          return whenReady(() => unpacking.object());
        },
        loose: (objects) => objects.read(oid),
      }));
    this.#keep(oid, object);
    return object;
  }

  #keep(oid: Oid, object: ObjectData): void {
    // Trees are kept parsed.
    if (object.type !== 'tree') this.#caches.keepObject(oid, object);
  }

  #parseTree(oid: Oid, object: ObjectData): Tree {
    const { data, scanner } = ofType(oid, object, 'tree');
    try {
      const tree = Tree.parse(data, this.algorithm, scanner);
      this.#caches.trees.set(oid, tree);
      return tree;
    } catch (error) {
      throw named(oid, error);
    }
  }

  #unpacking({ pack, offset }: PackLocation): Unpacking {
    return new Unpacking(pack, offset, this.#caches.deltaBases);
  }

  #unpackIfReady<T>(oid: Oid, use: (unpacking: Unpacking) => T): T | undefined {
    try {
      return ifReady(() => {
        const location = this.#directories.locate(oidToBytes(oid));
        return location && use(this.#unpacking(location));
      });
    } catch (error) {
      // The asynchronous form meets it too, and looks for another copy before it says so.
      if (error instanceof CorruptObjectError) return undefined;
      throw error;
    }
  }

  #openContent(oid: Oid): Promise<BlobContent> {
    return this.#find<BlobContent>(oid, {
      packed: (location) => openPackedContent(location, this.#unpacking(location)),
      loose: (objects) => openLooseContent(objects, oid),
    });
  }

  #find<T>(oid: Oid, use: ObjectUse<T>): Promise<T> {
    return namingObject(oid, () => this.#directories.find(oid, use));
  }
}

function checkRange(offset: number, length: number): void {
  if (Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length >= 0) {
    return;
  }
  throw new InvalidArgumentError(`not a range: ${length} bytes from ${offset} on`);
}
