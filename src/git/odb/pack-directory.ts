import { CorruptObjectError } from '../../errors.ts';
import type { Disk } from '../disk.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { MultiPackIndex } from './multi-pack-index.ts';
import type { MultiPackLocation } from './multi-pack-index.ts';
import { Pack } from './pack.ts';
import type { PageCache } from './page-cache.ts';
import type { PagedFile } from './paged-file.ts';
import type { SpareIndexes } from './spare-indexes.ts';

const multiPackIndexName = 'multi-pack-index';

/** Where an object stands. */
export interface PackLocation {
  readonly pack: Pack;
  readonly offset: number;
}

/** What the packs of a directory are read with. */
export interface PackDirectoryOptions {
  readonly algorithm: HashAlgorithm;
  readonly pages: PageCache;
  /** Where the directory is. */
  readonly disk: Disk;
  /** Those of the repository's own directory. */
  readonly spares?: SpareIndexes | undefined;
}

/**
 * The packs of an object directory, `objects/pack`. What `scan` found last is what the other methods
 * know; they throw a `Fault` when they need a page that is not in memory.
 */
export class PackDirectory {
  readonly #path: string;
  readonly #algorithm: HashAlgorithm;
  readonly #pages: PageCache;
  readonly #disk: Disk;
  readonly #spares: SpareIndexes | undefined;
  #packs = new Map<string, Pack>();
  #multiPackIndex: MultiPackIndex | undefined;
  #multiPackIndexIdentity: string | undefined;
  /** The packs to be searched one by one, the one that was of use last in front. */
  #searched: Pack[] | undefined;

  constructor(path: string, options: PackDirectoryOptions) {
    this.#path = path;
    this.#algorithm = options.algorithm;
    this.#pages = options.pages;
    this.#disk = options.disk;
    this.#spares = options.spares;
  }

  /** Why a pack cannot be searched: an object may be missing because of it. */
  get failure(): CorruptObjectError | undefined {
    for (const { indexFailure } of this.#packs.values()) {
      if (indexFailure !== undefined) return indexFailure;
    }
    return undefined;
  }

  /** Looks at the directory again, for packs that are new or gone; tells whether anything changed. */
  async scan(): Promise<boolean> {
    const entries = await this.#disk.readdir(this.#path);
    const names = new Set(entries.map(({ name }) => name.toString()));
    await this.#spares?.see(names);
    const identity = names.has(multiPackIndexName) ? await this.#identify() : undefined;
    // From here on nothing waits: whoever searches meanwhile finds all as it was, or all as it is.
    let changed = this.#takePacks(names);
    if (identity !== this.#multiPackIndexIdentity) {
      changed = true;
      this.#multiPackIndex?.file.close();
      this.#multiPackIndex = identity === undefined ? undefined : this.#openMultiPackIndex();
      this.#multiPackIndexIdentity = identity;
    }
    this.#searched = undefined;
    return changed;
  }

  /** Where an object stands; `excluded` packs are passed over, for a whole copy may stand in another. */
  find(raw: Buffer, excluded?: ReadonlySet<Pack>): PackLocation | undefined {
    const indexed = this.#findInMultiPackIndex(raw);
    let packs = this.#searchedPacks();
    if (indexed !== undefined) {
      const { indexName, offset } = indexed;
      const pack = this.#packs.get(indexName);
      if (pack !== undefined && isUsable(pack, excluded)) return { pack, offset };
      // It names one copy of several. When that one cannot be used, any pack may hold another.
      packs = [...this.#packs.values()];
    }
    for (const [at, pack] of packs.entries()) {
      if (!isUsable(pack, excluded)) continue;
      const offset = pack.find(raw);
      if (offset === undefined) continue;
      if (at > 0) {
        packs.splice(at, 1);
        packs.unshift(pack);
      }
      return { pack, offset };
    }
    return undefined;
  }

  /** The ids that start with these digits; some may be there twice. */
  startingWith(prefix: string): Oid[] {
    const usable = [...this.#packs.values()].filter((pack) => isUsable(pack));
    return usable.flatMap((pack) => pack.index.oids.startingWith(prefix));
  }

  /** Drops the pack or index that this file belongs to, because it is gone. */
  forget(file: PagedFile): boolean {
    if (this.#multiPackIndex?.file === file) {
      this.#dropMultiPackIndex();
      return true;
    }
    for (const pack of this.#packs.values()) {
      if (pack.file !== file && pack.index.file !== file) continue;
      pack.close();
      this.#packs.delete(pack.indexName);
      this.#searched = undefined;
      return true;
    }
    return false;
  }

  /** Lets go of all files. */
  close(): void {
    for (const pack of this.#packs.values()) pack.close();
    this.#multiPackIndex?.file.close();
  }

  /** Changes whenever git writes a new index, which it does under another name and renames. */
  async #identify(): Promise<string | undefined> {
    const found = await this.#disk.stat(`${this.#path}/${multiPackIndexName}`);
    return found === undefined ? undefined : `${found.ino}:${found.size}:${found.mtimeNs}`;
  }

  #takePacks(names: ReadonlySet<string>): boolean {
    let changed = false;
    const packs = new Map<string, Pack>();
    for (const name of names) {
      // The index comes last, and goes first: a pack without one is not there yet, or no more. Not all packs
      // are called `pack-…`: `git maintenance` makes some that are called `loose-…`.
      const stem = /^(.+)\.idx$/.exec(name)?.[1];
      if (stem === undefined || !names.has(`${stem}.pack`)) continue;
      const known = this.#packs.get(name);
      const isCruft = names.has(`${stem}.mtimes`);
      // One that could not be used is tried again, for somebody may have put a better one in its
      // place; it does not count as a change, or nothing would ever be called missing.
      if (known !== undefined && !known.isBroken && known.isCruft === isCruft) {
        packs.set(name, known);
        continue;
      }
      const options = { algorithm: this.#algorithm, cache: this.#pages, isCruft };
      packs.set(name, new Pack(this.#path, name, options));
      changed ||= known === undefined;
    }
    for (const [name, pack] of this.#packs) {
      if (packs.get(name) !== pack) pack.close();
      changed ||= !packs.has(name);
    }
    this.#packs = packs;
    return changed;
  }

  #openMultiPackIndex(): MultiPackIndex {
    return new MultiPackIndex(`${this.#path}/${multiPackIndexName}`, this.#algorithm, this.#pages);
  }

  #dropMultiPackIndex(): void {
    this.#multiPackIndex?.file.close();
    this.#multiPackIndex = undefined;
    this.#searched = undefined;
  }

  #findInMultiPackIndex(raw: Buffer): MultiPackLocation | undefined {
    try {
      return this.#multiPackIndex?.find(raw);
    } catch (error) {
      this.#dropIfCorrupt(error);
      return undefined;
    }
  }

  #indexedNames(): readonly string[] {
    try {
      return this.#multiPackIndex?.indexNames ?? [];
    } catch (error) {
      this.#dropIfCorrupt(error);
      return [];
    }
  }

  /** What the index over many packs says, the packs' own indexes say too. */
  #dropIfCorrupt(error: unknown): void {
    if (!(error instanceof CorruptObjectError)) throw error;
    this.#dropMultiPackIndex();
  }

  #searchedPacks(): Pack[] {
    if (this.#searched === undefined) {
      const indexed = new Set(this.#indexedNames());
      this.#searched = [...this.#packs.values()].filter((pack) => !indexed.has(pack.indexName));
    }
    return this.#searched;
  }
}

function isUsable(pack: Pack, excluded?: ReadonlySet<Pack>): boolean {
  return excluded?.has(pack) !== true && pack.isSearchable();
}
