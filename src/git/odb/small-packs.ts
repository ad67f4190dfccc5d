import { randomBytes } from 'node:crypto';
import { readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CorruptObjectError } from '../../errors.ts';
import { isGcRunning } from '../gc-lock.ts';
import { oidToBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { ignoring, isSystemError } from '../system-error.ts';
import { whenReady } from './fault.ts';
import { Pack } from './pack.ts';
import type { FinishedPack } from './pack-naming.ts';
import { PackWriter } from './pack-writer.ts';
import type { DeflatedObject } from './pack-writer.ts';
import type { PageCache } from './page-cache.ts';
import { FileGoneError } from './paged-file.ts';
import type { SpareIndexes } from './spare-indexes.ts';

// `git gc --auto` takes 50 packs for too many.
const mergedAtOnce = 32;
const smallBytes = 4 * 1024 * 1024;
// By then a `git gc` that takes the index of the new pack for a leftover has done so (`SpareIndexes`).
const restMs = 1000;

/** Where small packs are, and what it takes to replace them. */
export interface SmallPacksOptions {
  readonly objectsDirectory: string;
  readonly algorithm: HashAlgorithm;
  readonly pages: PageCache;
  readonly spares: SpareIndexes;
  /** Called when a new pack is there, and before those go that it replaces. */
  readonly onMerged: () => Promise<void>;
}

/**
 * The packs that this process makes because loose objects are not safe at that moment: beside a `git gc`
 * each commit gets one, and a long `git gc` would leave thousands, which git searches one by one. So when
 * there are 32 of them they are merged, and so are 32 merged ones, as long as they are small.
 *
 * All that they hold, wanted or not, is in the new pack, which is durable before the first of them goes. It
 * came after every `git gc` and `git repack` that they are to be safe from, which remove only packs that
 * stood there when they began. Git looks for an object again when its pack is gone
 * (`reprepare_packed_git`). But a `git prune` that cannot open the index of a pack which it has listed ends
 * with an error, so beside a `git gc` the indexes stay: without its pack nobody else takes one for more than
 * a leftover, and that `git gc`, too, removes it at its end. An index over many packs does not look again,
 * so beside one nothing is merged.
 */
export class SmallPacks {
  readonly #options: SmallPacksOptions;
  readonly #directory: string;
  /** Their names without an ending, those that were never merged first. */
  readonly #tiers: string[][] = [];
  /** How many have come to each tier; one that took the place of more than 32 counts as several. */
  readonly #counts: number[] = [];
  /** Indexes whose packs are gone. */
  #leftovers: string[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #merging: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: SmallPacksOptions) {
    this.#options = options;
    this.#directory = join(options.objectsDirectory, 'pack');
  }

  /** Takes note of a pack that this process has made. */
  note({ packPath }: FinishedPack, sizeBytes: number): void {
    this.#note(basename(packPath, '.pack'), sizeBytes, 0);
  }

  /** Waits for what is under way, which comes to an end at the next pack; those that are merged may stay. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await this.#merging;
    // What cannot be done now the next `git gc` does.
    await this.#tidy().catch(() => undefined);
  }

  #note(name: string, sizeBytes: number, tier: number, weight = 1): void {
    if (sizeBytes > smallBytes) return;
    (this.#tiers[tier] ??= []).push(name);
    const before = this.#counts[tier] ?? 0;
    const count = before + weight;
    this.#counts[tier] = count;
    const isFull = Math.floor(count / mergedAtOnce) > Math.floor(before / mergedAtOnce);
    if (isFull) this.#inTurn(() => this.#merge(tier));
  }

  #inTurn(work: () => Promise<void>): void {
    // After a failure (a full disk) they are all still there, and tried again with 32 more.
    this.#merging = this.#merging.then(work).catch(() => undefined);
  }

  async #merge(tier: number): Promise<void> {
    const wanted = this.#tiers[tier] ?? [];
    const present = new Set(await readdir(this.#directory));
    for (const name of wanted.filter((one) => !present.has(`${one}.pack`))) this.#drop(tier, name);
    const free = wanted.filter((name) => isFree(name, present));
    // The newest ones are protected until a ref leads to them.
    if (free.length < mergedAtOnce / 2) return;
    const { objectsDirectory, algorithm, spares, onMerged } = this.#options;
    const writer = new PackWriter(objectsDirectory, algorithm);
    try {
      const copied = await this.#copyTo(writer, free);
      if (this.#isClosed || copied.length === 0) return;
      const { packPath } = await writer.finish({ fsync: true, spares });
      for (const name of free) this.#drop(tier, name);
      await onMerged();
      const name = basename(packPath, '.pack');
      const { sizeBytes } = writer;
      this.#later(async () => {
        await this.#replace(copied, name);
        // While packs come faster than they are merged, some turns find two turns' packs, and the next none.
        const weight = Math.max(1, Math.round(copied.length / mergedAtOnce));
        this.#note(name, sizeBytes, tier + 1, weight);
      });
    } finally {
      await writer.close();
    }
  }

  #drop(tier: number, name: string): void {
    const names = this.#tiers[tier] ?? [];
    const at = names.indexOf(name);
    if (at >= 0) names.splice(at, 1);
  }

  /** Gives those whose objects are all in the new pack; what cannot be read is left as it is. */
  async #copyTo(writer: PackWriter, names: readonly string[]): Promise<string[]> {
    const copied: string[] = [];
    const known = new Set<Oid>();
    for (const name of names) {
      if (this.#isClosed) break;
      const objects = await this.#objectsOf(name);
      if (objects === undefined) continue;
      const others = objects.filter(({ oid }) => !known.has(oid));
      await Promise.all(others.map((object) => writer.append(object)));
      for (const { oid } of others) known.add(oid);
      copied.push(name);
    }
    return copied;
  }

  /** What a pack holds; undefined when it is gone, damaged, or holds what this does not copy. */
  async #objectsOf(name: string): Promise<DeflatedObject[] | undefined> {
    const { algorithm, pages } = this.#options;
    const pack = new Pack(this.#directory, `${name}.idx`, {
      algorithm,
      cache: pages,
      isCruft: false,
    });
    const objects: DeflatedObject[] = [];
    try {
      const oids = await whenReady(() => pack.index.oids.startingWith(''));
      for (const oid of oids) {
        const object = await whenReady(() => storedObject(pack, oid));
        if (object === undefined) return undefined;
        objects.push(object);
        // Each one was inflated to see that it is whole.
        await nextTurn();
      }
      return objects;
    } catch (error) {
      if (error instanceof FileGoneError || error instanceof CorruptObjectError) return undefined;
      throw error;
    } finally {
      pack.close();
    }
  }

  #later(work: () => Promise<void>): void {
    if (this.#isClosed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#inTurn(work);
    }, restMs).unref();
    this.#timers.add(timer);
  }

  /** Removes packs whose objects are all in another one, when that is there. */
  async #replace(names: readonly string[], merged: string): Promise<void> {
    const present = new Set(await readdir(this.#directory));
    if (!present.has(`${merged}.idx`) || !present.has(`${merged}.pack`)) return;
    for (const name of names) {
      if (this.#isClosed) break;
      if (!isFree(name, present)) continue;
      const path = join(this.#directory, name);
      const isBesideGc = await this.#isBesideGc();
      await this.#options.spares.drop(`${path}.pack`);
      // Where it may go first, as git does it: a pack without an index is not there.
      if (!isBesideGc) await unlink(`${path}.idx`).catch(ignoring('ENOENT'));
      await unlink(`${path}.pack`).catch(ignoring('ENOENT'));
      if (isBesideGc) this.#leftovers.push(`${path}.idx`);
    }
    if (this.#leftovers.length > 0) this.#later(() => this.#tidy());
  }

  /** Removes the indexes without packs when no `git gc` may have listed them. */
  async #tidy(): Promise<void> {
    if (this.#leftovers.length === 0) return;
    if (await this.#isBesideGc()) {
      this.#later(() => this.#tidy());
      return;
    }
    const leftovers = this.#leftovers;
    this.#leftovers = [];
    for (const path of leftovers) await this.#removeLeftover(path);
  }

  /**
   * A pack of the same name, which then has the same index, may have come when a `git gc` had removed this
   * one before us. So it goes in a way that can be taken back.
   */
  async #removeLeftover(path: string): Promise<void> {
    const digits = randomBytes(6).toString('hex');
    const aside = join(this.#directory, `vost_idx_${process.pid}_${digits}`);
    try {
      await rename(path, aside);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return;
      throw error;
    }
    const names = await readdir(this.#directory);
    if (names.includes(basename(path).replace(/idx$/, 'pack'))) await rename(aside, path);
    else await unlink(aside).catch(ignoring('ENOENT'));
  }

  #isBesideGc(): Promise<boolean> {
    return isGcRunning(dirname(this.#options.objectsDirectory));
  }
}

/** Tells whether a pack has its index, and nothing that protects it or that somebody else has added to it. */
function isFree(name: string, present: ReadonlySet<string>): boolean {
  if (present.has('multi-pack-index') || !present.has(`${name}.pack`)) return false;
  const others = ['keep', 'promisor', 'mtimes', 'bitmap', 'rev'];
  return present.has(`${name}.idx`) && !others.some((ending) => present.has(`${name}.${ending}`));
}

function storedObject(pack: Pack, oid: Oid): DeflatedObject | undefined {
  const offset = pack.find(oidToBytes(oid));
  if (offset === undefined) return undefined;
  const entry = pack.entryAt(offset);
  const { type, sizeBytes } = entry;
  const deflated = pack.deflated(entry);
  return type && deflated && { oid, type, sizeBytes, deflated: [deflated] };
}
