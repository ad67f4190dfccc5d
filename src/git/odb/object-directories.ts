import { CorruptObjectError, ObjectNotFoundError } from '../../errors.ts';
import { oidToBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import { findAlternates } from './alternates.ts';
import type { CommitGraph } from './commit-graph.ts';
import { CommitGraphFinder } from './commit-graph-finder.ts';
import { whenReady } from './fault.ts';
import { LooseObjects } from './loose-objects.ts';
import type { Pack } from './pack.ts';
import { PackDirectory } from './pack-directory.ts';
import type { PackLocation } from './pack-directory.ts';
import type { PageCache } from './page-cache.ts';
import { FileGoneError } from './paged-file.ts';
import type { SpareIndexes } from './spare-indexes.ts';

// A repository that is packed again this often during one lookup is not packed by a person or cron.
const mostRounds = 10;

/** What to do with an object, where it is found. Undefined stands for an object that is not there. */
export interface ObjectUse<T> {
  packed(location: PackLocation): Promise<T>;
  loose(objects: LooseObjects): Promise<T | undefined>;
}

/** One directory of objects: the repository's own, or one that it borrows from. */
interface ObjectDirectory {
  readonly path: string;
  readonly packs: PackDirectory;
  readonly loose: LooseObjects;
  readonly graphs: CommitGraphFinder;
}

/** What one lookup has learned so far. */
interface Search {
  readonly raw: Buffer;
  /** Packs whose copy turned out to be damaged. */
  readonly excluded: Set<Pack>;
  failure: CorruptObjectError | undefined;
}

/**
 * The object directories of a repository, own and borrowed, searched as one: packs first, then loose
 * objects. Others pack, repack and prune while we look. So nothing is called missing before the
 * directories have been listed again and proved the same, a pack that is gone is dropped and the
 * lookup goes on, and a damaged copy is passed over when there is another.
 */
export class ObjectDirectories {
  readonly #path: string;
  readonly #algorithm: HashAlgorithm;
  readonly #pages: PageCache;
  readonly #onChange: () => void;
  readonly #disk: Disk;
  readonly #spares: SpareIndexes;
  #directories: readonly ObjectDirectory[] = [];
  /** Counts the changes that have been noticed. */
  #generation = 0;
  /** When the last look at the directories began. */
  #scannedMs = -Infinity;
  #scanning: Promise<void> | undefined;
  #scanAfter: Promise<void> | undefined;

  constructor(options: {
    readonly path: string;
    readonly algorithm: HashAlgorithm;
    readonly pages: PageCache;
    /** Called when packs have come or gone. */
    readonly onChange: () => void;
    /** Where the own directory is. */
    readonly disk: Disk;
    /** Those of the own one. */
    readonly spares: SpareIndexes;
  }) {
    this.#path = options.path;
    this.#algorithm = options.algorithm;
    this.#pages = options.pages;
    this.#onChange = options.onChange;
    this.#disk = options.disk;
    this.#spares = options.spares;
  }

  /** Where a pack holds the object, as far as is known; throws a `Fault` when a page is not in memory. */
  locate(raw: Buffer, excluded?: ReadonlySet<Pack>): PackLocation | undefined {
    for (const { packs } of this.#directories) {
      const location = packs.find(raw, excluded);
      if (location !== undefined) return location;
    }
    return undefined;
  }

  /**
   * Finds an object and uses it there; `ObjectNotFoundError` when there is none. A `CorruptObjectError`
   * of `use` sends the search on to the next copy, and comes out when there is none.
   */
  async find<T>(oid: Oid, use: ObjectUse<T>): Promise<T> {
    const search: Search = { raw: oidToBytes(oid), excluded: new Set(), failure: undefined };
    let packFailure: CorruptObjectError | undefined;
    for (let round = 0; round < mostRounds; round++) {
      const generation = this.#generation;
      const found = await this.#search(search, use);
      if (found !== undefined) return found;
      packFailure ??= this.#packFailure();
      await this.scan();
      // What was searched is all that there was, then.
      if (generation === this.#generation) break;
    }
    if (search.failure !== undefined) throw search.failure;
    if (packFailure === undefined) throw new ObjectNotFoundError(oid);
    throw new CorruptObjectError(`object ${oid} is not to be found, and ${packFailure.message}`, {
      cause: packFailure,
    });
  }

  /** Tells whether an object is there at this moment. Packs in `packsThere` are, and others come to be in it. */
  async has(oid: Oid, packsThere: Set<Pack>): Promise<boolean> {
    try {
      return await this.find<true>(oid, {
        packed: async ({ pack }) => {
          // What is in memory of a pack says nothing about a file that `git gc` has removed.
          if (!packsThere.has(pack)) await pack.file.checkThere();
          packsThere.add(pack);
          return true;
        },
        loose: async (objects) => ((await objects.has(oid)) ? true : undefined),
      });
    } catch (error) {
      if (error instanceof ObjectNotFoundError) return false;
      throw error;
    }
  }

  /**
   * Tells whether an object is there and will stay: sets the time of its file or pack to now, so that
   * no `git gc` takes it for old. False when that is not allowed, or when only a search that looks
   * again would find the object: then writing it once more does no harm.
   */
  freshen(oid: Oid): boolean | Promise<boolean> {
    const packed = this.freshenPacked(oid);
    return packed === true || this.#freshenedOr(packed, () => this.freshenLoose(oid));
  }

  /** `freshen` for loose objects only. */
  async freshenLoose(oid: Oid): Promise<boolean> {
    for (const { loose } of this.#directories) if (await loose.freshen(oid)) return true;
    return false;
  }

  /** The files of the own directory that hold an object, as far as is known: its own, or a pack and its index. */
  async filesOf(oid: Oid): Promise<string[]> {
    const own = this.#known(this.#path);
    if (own === undefined) return [];
    const raw = oidToBytes(oid);
    const files = (await own.loose.has(oid)) ? [own.loose.pathOf(oid)] : [];
    const packed = await this.#surviving(() => whenReady(() => own.packs.find(raw)));
    if (packed !== undefined) files.push(packed.pack.file.path, packed.pack.index.file.path);
    return files;
  }

  /** Tells whether a loose object is there at this moment. */
  async hasLoose(oid: Oid): Promise<boolean> {
    for (const { loose } of this.#directories) if (await loose.has(oid)) return true;
    return false;
  }

  /**
   * `freshen` for many objects of which most are new: loose ones are looked for in listings of their
   * directories that may be a second old, so one that came meanwhile may be missed.
   */
  freshenListed(oid: Oid): boolean | Promise<boolean> {
    const packed = this.freshenPacked(oid);
    if (packed === true) return true;
    if (packed === false && this.#isListedAsMissing(oid)) return false;
    return this.#freshenedOr(packed, () => this.#freshenListed(oid));
  }

  /** No directory had it loose when it was listed, nor since then in a pack that is not known. */
  #isListedAsMissing(oid: Oid): boolean {
    return this.#directories.every(({ loose }) => {
      const since = loose.missingSinceIfListed(oid);
      return since !== undefined && since <= this.#scannedMs;
    });
  }

  async #freshenListed(oid: Oid): Promise<boolean> {
    for (const { loose } of this.#directories) {
      const missingSince = await loose.missingSince(oid);
      if (missingSince === undefined) return true;
      // What is loose no more may be in a pack that came before it went.
      if (missingSince > this.#scannedMs) await this.scan();
    }
    return this.freshenPacked(oid);
  }

  /** `freshen` for objects in packs only. */
  freshenPacked(oid: Oid): boolean | Promise<boolean> {
    const raw = oidToBytes(oid);
    try {
      const location = this.locate(raw);
      if (location === undefined) return false;
      if (isKept(location) && location.pack.isFresh) return true;
    } catch {
      // What it takes to wait for, or went wrong, comes again.
    }
    return this.#freshenPacked(raw);
  }

  async #freshenPacked(raw: Buffer): Promise<boolean> {
    const excluded = new Set<Pack>();
    for (;;) {
      const location = await this.#locate(raw, excluded);
      if (location === undefined) return false;
      if (isKept(location) && (await location.pack.freshen())) return true;
      excluded.add(location.pack);
    }
  }

  async #freshenedOr(
    freshened: boolean | Promise<boolean>,
    otherwise: () => Promise<boolean>,
  ): Promise<boolean> {
    return (await freshened) || otherwise();
  }

  /** The ids that start with these digits. The directories are looked at again for it. */
  async startingWith(prefix: string): Promise<Set<Oid>> {
    await this.scan();
    for (let round = 1; ; round++) {
      const generation = this.#generation;
      const oids = new Set<Oid>();
      for (const { packs, loose } of this.#directories) {
        const packed = await this.#surviving(() => whenReady(() => packs.startingWith(prefix)));
        for (const oid of packed) oids.add(oid);
        for (const oid of await loose.startingWith(prefix)) oids.add(oid);
      }
      await this.scan();
      // Nothing went from one place to another while it was counted.
      if (generation === this.#generation || round === mostRounds) return oids;
    }
  }

  /** Looks at the directories again; whoever asks gets a look that begins after that. */
  scan(): Promise<void> {
    if (this.#scanning === undefined) {
      this.#scanning = this.#scan().finally(() => (this.#scanning = undefined));
      return this.#scanning;
    }
    // The one under way may already have passed what the caller knows of.
    this.#scanAfter ??= this.#scanning
      .catch(() => undefined)
      .then(() => {
        this.#scanAfter = undefined;
        return this.scan();
      });
    return this.#scanAfter;
  }

  /** The first commit-graph that one of the directories has now; undefined when none has. */
  async commitGraph(): Promise<CommitGraph | undefined> {
    for (const { graphs } of this.#directories) {
      const graph = await graphs.current();
      if (graph !== undefined) return graph;
    }
    return undefined;
  }

  /** Lets go of all files. */
  close(): void {
    this.#directories.forEach(closeDirectory);
  }

  async #scan(): Promise<void> {
    const beganMs = performance.now();
    const paths = [this.#path, ...(await findAlternates(this.#path, this.#disk))];
    const directories = paths.map((path) => this.#known(path) ?? this.#open(path));
    const changes = await Promise.all(directories.map(({ packs }) => packs.scan()));
    const dropped = this.#directories.filter((directory) => !directories.includes(directory));
    dropped.forEach(closeDirectory);
    const isSame = directories.length === this.#directories.length && dropped.length === 0;
    this.#directories = directories;
    this.#scannedMs = beganMs;
    if (changes.includes(true) || !isSame) this.#changed();
  }

  #changed(): void {
    this.#generation += 1;
    this.#onChange();
  }

  #known(path: string): ObjectDirectory | undefined {
    return this.#directories.find((directory) => directory.path === path);
  }

  #open(path: string): ObjectDirectory {
    const isOwn = path === this.#path;
    const spares = isOwn ? this.#spares : undefined;
    const disk = isOwn ? this.#disk : farDisk;
    const [algorithm, pages] = [this.#algorithm, this.#pages];
    const packs = new PackDirectory(`${path}/pack`, { algorithm, pages, disk, spares });
    const graphs = new CommitGraphFinder(path, algorithm, pages);
    return { path, packs, loose: new LooseObjects(path, disk), graphs };
  }

  async #search<T>(search: Search, use: ObjectUse<T>): Promise<T | undefined> {
    for (;;) {
      const location = await this.#locate(search.raw, search.excluded);
      if (location === undefined) break;
      const found = await this.#attempt(search, () => use.packed(location));
      if (found !== undefined) return found;
      search.excluded.add(location.pack);
    }
    for (const { loose } of this.#directories) {
      const found = await this.#attempt(search, () => use.loose(loose));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Undefined when this copy cannot be used. */
  async #attempt<T>(search: Search, use: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await use();
    } catch (error) {
      if (error instanceof FileGoneError) this.#forget(error);
      else if (error instanceof CorruptObjectError) search.failure ??= error;
      else throw error;
      return undefined;
    }
  }

  #locate(raw: Buffer, excluded: ReadonlySet<Pack>): Promise<PackLocation | undefined> {
    return this.#surviving(() => whenReady(() => this.locate(raw, excluded)));
  }

  /** Runs a search of the indexes again for each file that proves to be gone. */
  async #surviving<T>(search: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await search();
      } catch (error) {
        if (!(error instanceof FileGoneError)) throw error;
        this.#forget(error);
      }
    }
  }

  #forget({ file }: FileGoneError): void {
    // One that a scan has dropped already counts as a change since then.
    for (const { packs } of this.#directories) if (packs.forget(file)) this.#changed();
  }

  #packFailure(): CorruptObjectError | undefined {
    for (const { packs } of this.#directories) {
      if (packs.failure !== undefined) return packs.failure;
    }
    return undefined;
  }
}

/** Git itself writes anew what it finds in a cruft pack. */
function isKept({ pack }: PackLocation): boolean {
  return !pack.isCruft && !pack.isBroken;
}

function closeDirectory({ packs, graphs }: ObjectDirectory): void {
  packs.close();
  graphs.close();
}
