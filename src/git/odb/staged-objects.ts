import { ObjectNotFoundError } from '../../errors.ts';
import type { Disk } from '../disk.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import type { DeflatedObject, PackedObject, PiecedContent } from './pack-writer.ts';
import { StagedPack } from './staged-pack.ts';
import type { StagedObject } from './staged-pack.ts';

// A pack with this much in it that nobody needs, and more of it than not, is written anew.
const tolerableWasteBytes = 64 * 1024 * 1024;
// Of what was staged last, so much need not be read back; a commit of one file and its trees fits in.
const mostRememberedBytes = 1024 * 1024;
// From here on content gets a pack that nothing else is in, which need not be read again for its
// checksum. Smaller content would make many packs and gain little.
const aloneFromBytes = 128 * 1024 * 1024;

/**
 * The objects of a staging area by their id, and the temporary packs that they are in: one as a
 * rule, and one more for each stream that is under way, for nothing else can be appended behind it.
 */
export class StagedObjects {
  readonly #objectsDirectory: string;
  readonly #algorithm: HashAlgorithm;
  readonly #disk: Disk | undefined;
  readonly #objects = new Map<Oid, StagedObject>();
  readonly #packs = new Set<StagedPack>();
  readonly #remembered = new Set<StagedObject>();
  #rememberedBytes = 0;

  constructor(objectsDirectory: string, algorithm: HashAlgorithm, disk?: Disk) {
    this.#disk = disk;
    this.#objectsDirectory = objectsDirectory;
    this.#algorithm = algorithm;
  }

  get(oid: Oid): StagedObject | undefined {
    return this.#objects.get(oid);
  }

  /** The object with this id, or an `ObjectNotFoundError`. */
  find(oid: Oid): StagedObject {
    const object = this.#objects.get(oid);
    if (object === undefined) throw new ObjectNotFoundError(oid);
    return object;
  }

  oids(): MapIterator<Oid> {
    return this.#objects.keys();
  }

  /** Appends an object that is deflated to an open pack at once, or gives `false`: then `append` can. */
  appendHere(object: DeflatedObject): boolean {
    const pack = this.#openPack();
    const packed = pack.writer.appendHere(object);
    if (packed === undefined) return false;
    this.#noteDeflated(pack, packed, object.deflated);
    return true;
  }

  /** Appends an object that is deflated to an open pack. */
  append(object: DeflatedObject): Promise<void> {
    return this.#toOpenPack(false, async (pack) => {
      this.#noteDeflated(pack, await pack.writer.append(object), object.deflated);
    });
  }

  /**
   * Appends content that comes in pieces, to a pack that nothing else is appended to meanwhile. It is
   * not kept when it is staged already, or `exists` knows it.
   */
  appendPieces(content: PiecedContent, exists: (oid: Oid) => Promise<boolean>): Promise<Oid> {
    if (content.sizeBytes >= aloneFromBytes) return this.#appendAlone(content, exists);
    return this.#toOpenPack(true, (pack) => this.#appendPiecesTo(pack, content, exists));
  }

  async #appendAlone(content: PiecedContent, exists: (oid: Oid) => Promise<boolean>): Promise<Oid> {
    const pack = this.#newPack();
    pack.seal();
    try {
      return await pack.append(true, () =>
        this.#appendPiecesTo(pack, { ...content, isAlone: true }, exists),
      );
    } finally {
      if (pack.isUnused) await this.#drop(pack);
    }
  }

  async #appendPiecesTo(
    pack: StagedPack,
    content: PiecedContent,
    exists: (oid: Oid) => Promise<boolean>,
  ): Promise<Oid> {
    const { oid, packed } = await pack.writer.appendPieces(content, async (found) => {
      return !this.#objects.has(found) && !(await exists(found));
    });
    if (packed !== undefined) this.#note(pack, packed);
    return oid;
  }

  #toOpenPack<Result>(
    alone: boolean,
    append: (pack: StagedPack) => Promise<Result>,
  ): Promise<Result> {
    const pack = this.#openPack();
    return pack.append(alone, () => append(pack));
  }

  #note(pack: StagedPack, packed: PackedObject): StagedObject | undefined {
    // Two streams at once can have the same content; the second copy is waste in its pack.
    if (this.#objects.has(packed.oid)) return undefined;
    const object = pack.add(packed);
    this.#objects.set(packed.oid, object);
    return object;
  }

  #noteDeflated(pack: StagedPack, packed: PackedObject, deflated: readonly Buffer[]): void {
    const staged = this.#note(pack, packed);
    if (staged !== undefined) this.#remember(staged, deflated);
  }

  /** What was staged last is published next, as a rule. */
  #remember(object: StagedObject, deflated: readonly Buffer[]): void {
    object.deflated = deflated;
    this.#remembered.add(object);
    this.#rememberedBytes += deflatedBytes(object);
    for (const oldest of this.#remembered) {
      if (this.#rememberedBytes <= mostRememberedBytes) break;
      this.#forget(oldest);
    }
  }

  #forget(object: StagedObject): void {
    if (!this.#remembered.delete(object)) return;
    this.#rememberedBytes -= deflatedBytes(object);
    object.deflated = undefined;
  }

  /** One that something can be appended to in this moment. */
  #openPack(): StagedPack {
    for (const pack of this.#packs) {
      if (pack.isOpen) return pack;
    }
    return this.#newPack();
  }

  #newPack(): StagedPack {
    const pack = this.#createPack();
    this.#packs.add(pack);
    return pack;
  }

  #createPack(): StagedPack {
    return new StagedPack(this.#objectsDirectory, this.#algorithm, this.#disk);
  }

  /** Forgets objects, and gives the disk back what they take. */
  async release(oids: Iterable<Oid>): Promise<void> {
    for (const oid of oids) {
      const object = this.#objects.get(oid);
      this.#objects.delete(oid);
      if (object === undefined) continue;
      object.pack.objects.delete(object);
      this.#forget(object);
    }
    for (const pack of this.#packs) {
      if (pack.isUnused) await this.#drop(pack);
      else if (isMostlyWaste(pack)) await this.#compact(pack);
    }
  }

  /** Forgets everything. Nothing may be under way. */
  async clear(): Promise<void> {
    this.#objects.clear();
    this.#remembered.clear();
    for (const pack of this.#packs) await this.#drop(pack);
  }

  async #drop(pack: StagedPack): Promise<void> {
    this.#packs.delete(pack);
    await pack.drop();
  }

  /** Moves what is still needed of a pack to a new one. */
  async #compact(pack: StagedPack): Promise<void> {
    pack.seal();
    const compacted = this.#createPack();
    try {
      const needed = Array.from(pack.objects, ({ packed }) => packed);
      for (const { from, to } of await compacted.writer.copyFrom(pack.writer, needed)) {
        const object = this.find(from.oid);
        this.#forget(object);
        const { published, isReferred } = object;
        this.#objects.set(from.oid, Object.assign(compacted.add(to), { published, isReferred }));
      }
      this.#packs.add(compacted);
    } catch {
      // A full disk, say. Nothing is lost, what was to be forgotten is, and the next release tries again.
      await compacted.drop();
      return;
    }
    await this.#drop(pack);
  }
}

function deflatedBytes({ packed }: StagedObject): number {
  return packed.endOffset - packed.dataOffset;
}

function isMostlyWaste(pack: StagedPack): boolean {
  const { wastedBytes } = pack;
  return wastedBytes > tolerableWasteBytes && wastedBytes > pack.writer.sizeBytes / 2;
}
