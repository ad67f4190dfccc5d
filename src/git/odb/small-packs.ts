import { readdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CorruptObjectError } from '../../errors.ts';
import { isGcRunning } from '../gc-lock.ts';
import { oidToBytes } from '../oid.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import { whenReady } from './fault.ts';
import { Pack } from './pack.ts';
import type { FinishedPack } from './pack-naming.ts';
import { PackWriter } from './pack-writer.ts';
import type { DeflatedObject } from './pack-writer.ts';
import type { PageCache } from './page-cache.ts';
import { FileGoneError } from './paged-file.ts';
import type { SpareIndexes } from './spare-indexes.ts';
import { ignoring } from './temporary-file.ts';

// `git gc --auto` takes 50 packs for too many.
const mergedAtOnce = 32;
const smallBytes = 4 * 1024 * 1024;
const untilNextLookMs = 250;

/** Where small packs are, and what it takes to replace them. */
export interface SmallPacksOptions {
  readonly objectsDirectory: string;
  readonly algorithm: HashAlgorithm;
  readonly pages: PageCache;
  readonly spares: SpareIndexes;
  /** Called when a new pack is there, and before those go that it replaces. */
  readonly onMerged: () => Promise<void>;
}

/** A pack, and those whose objects are all in it. */
interface Merged {
  readonly name: string;
  readonly sizeBytes: number;
  readonly tier: number;
  readonly replaces: readonly string[];
}

/**
 * The packs that this process makes because loose objects are not safe at that moment: beside a `git gc`
 * each commit gets one, and a long `git gc` would leave thousands, which git searches one by one. So when
 * there are 32 of them they are merged, and so are 32 merged ones, as long as they are small.
 *
 * All that they hold, wanted or not, is in the new pack, which is durable before the first of them goes. It
 * came after every `git gc` and `git repack` that they are to be safe from, which remove only packs that
 * stood there when they began. They go when no `git gc` is at work: its `git prune` ends with an error when
 * it cannot open the index of a pack that it has listed. Other programs of git look for an object again
 * when its pack is gone (`reprepare_packed_git`). An index over many packs does not, so beside one nothing
 * is merged.
 */
export class SmallPacks {
  readonly #options: SmallPacksOptions;
  readonly #directory: string;
  /** Their names without an ending, those that were never merged first. */
  readonly #tiers: string[][] = [];
  /** How many have come to each tier. */
  readonly #counts: number[] = [];
  #merged: Merged[] = [];
  #timer: NodeJS.Timeout | undefined;
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
    clearTimeout(this.#timer);
    await this.#merging;
  }

  #note(name: string, sizeBytes: number, tier: number): void {
    if (sizeBytes > smallBytes) return;
    (this.#tiers[tier] ??= []).push(name);
    const count = (this.#counts[tier] ?? 0) + 1;
    this.#counts[tier] = count;
    if (count % mergedAtOnce === 0) this.#inTurn(() => this.#merge(tier));
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
    const writer = await PackWriter.create(objectsDirectory, algorithm);
    try {
      const copied = await this.#copyTo(writer, free);
      if (this.#isClosed || copied.length === 0) return;
      const { packPath } = await writer.finish({ fsync: true, spares });
      for (const name of free) this.#drop(tier, name);
      await onMerged();
      const name = basename(packPath, '.pack');
      const { sizeBytes } = writer;
      this.#merged.push({ name, sizeBytes, tier: tier + 1, replaces: copied });
      this.#arm();
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

  #arm(): void {
    if (this.#timer !== undefined || this.#isClosed || this.#merged.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#inTurn(() => this.#replaceAll().finally(() => this.#arm()));
    }, untilNextLookMs).unref();
  }

  async #replaceAll(): Promise<void> {
    const commonDir = dirname(this.#options.objectsDirectory);
    for (const merged of [...this.#merged]) {
      if (this.#isClosed || (await isGcRunning(commonDir))) return;
      const present = new Set(await readdir(this.#directory));
      const isThere = present.has(`${merged.name}.pack`);
      // One that a `git gc` has taken for a leftover is put back.
      if (isThere && !present.has(`${merged.name}.idx`)) continue;
      this.#merged = this.#merged.filter((one) => one !== merged);
      if (!isThere) continue;
      for (const name of merged.replaces) if (isFree(name, present)) await this.#remove(name);
      this.#note(merged.name, merged.sizeBytes, merged.tier);
    }
  }

  async #remove(name: string): Promise<void> {
    const path = join(this.#directory, name);
    await this.#options.spares.drop(`${path}.pack`);
    // As git does: a pack without an index is not there, an index without its pack is an error.
    for (const one of [`${path}.idx`, `${path}.pack`]) await unlink(one).catch(ignoring('ENOENT'));
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
  return type && deflated && { oid, type, sizeBytes, deflated };
}
