import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import type { HashAlgorithm } from '../oid.ts';
import type { PackKeeps } from './pack-keeps.ts';
import type { FinishOptions, FinishedPack } from './pack-naming.ts';
import { PackWriter } from './pack-writer.ts';
import type { PackedObject } from './pack-writer.ts';

/** An object of a staging area: where it is stored, and whether git can see it already. */
export interface StagedObject {
  readonly pack: StagedPack;
  readonly packed: PackedObject;
  /** What protects it since git can see it: a commit's, and no longer than until that has moved its ref or failed. */
  published?: PackKeeps | undefined;
  /** Whether a ref came to lead to it. */
  isReferred: boolean;
  /** Its zlib stream in parts, as long as that is remembered beside the file. */
  deflated?: readonly Buffer[] | undefined;
}

/**
 * A pack file while staged objects are read from it: from the first one that is appended until none
 * of them is needed any more. It may be finished meanwhile, and even be removed by `git gc`.
 */
export class StagedPack {
  readonly writer: PackWriter;
  /** The objects in it that are still needed. */
  readonly objects: Set<StagedObject> = new Set();
  #appends = 0;
  #isStreaming = false;
  #isSealed = false;
  #finished: FinishedPack | undefined;
  #readers = 0;
  #isDropped = false;

  constructor(objectsDirectory: string, algorithm: HashAlgorithm, disk?: Disk) {
    this.writer = new PackWriter(objectsDirectory, algorithm, disk);
  }

  /** Whether something can be appended now. */
  get isOpen(): boolean {
    return !this.#isSealed && !this.#isStreaming;
  }

  /** Whether something is being appended that may take any time, so that the pack cannot be finished. */
  get isStreaming(): boolean {
    return this.#isStreaming;
  }

  /** Whether it got its name, so that git sees all that is in it. */
  get isFinished(): boolean {
    return this.#finished !== undefined;
  }

  /**
   * Whether git sees it, for nobody has removed it again, and will: sets its time to now, so that no
   * `git gc` takes it for old. False also when that is not allowed.
   */
  async freshen(): Promise<boolean> {
    if (this.#finished === undefined) return false;
    const { packPath, indexPath } = this.#finished;
    return (await farDisk.touch(packPath)) && farDisk.touch(indexPath);
  }

  /** Whether nothing that it has or is about to get is needed. */
  get isUnused(): boolean {
    return this.#appends === 0 && this.objects.size === 0;
  }

  /** How much of a temporary file nobody needs; none while something is being appended. */
  get wastedBytes(): number {
    if (this.isFinished || this.#appends > 0) return 0;
    return this.writer.sizeBytes - storedBytes(this.objects);
  }

  /** Runs an append to the pack, which has to be open; with `alone` it is not open meanwhile. */
  async append<Result>(alone: boolean, append: () => Promise<Result>): Promise<Result> {
    this.#appends += 1;
    this.#isStreaming = alone;
    try {
      return await append();
    } finally {
      this.#appends -= 1;
      if (alone) this.#isStreaming = false;
    }
  }

  /** Notes an object that the file holds. */
  add(packed: PackedObject): StagedObject {
    const object: StagedObject = { pack: this, packed, isReferred: false };
    this.objects.add(object);
    return object;
  }

  /** Lets nothing more in. */
  seal(): void {
    this.#isSealed = true;
  }

  /** Seals the pack and gives it its index and its name: all that is in it is published then, under `keeps`. */
  async finish(
    keeps: PackKeeps,
    options: Pick<FinishOptions, 'fsync' | 'spares'>,
  ): Promise<FinishedPack> {
    this.seal();
    const beforeNaming = (path: string): Promise<boolean> => keeps.keep(path);
    const finished = await this.writer.finish({ ...options, beforeNaming });
    this.#finished = finished;
    for (const object of this.objects) object.published = keeps;
    return finished;
  }

  /** Keeps the file open until `letGo`, for somebody who reads from it. */
  hold(): void {
    this.#readers += 1;
  }

  async letGo(): Promise<void> {
    this.#readers -= 1;
    await this.#closeIfUnused();
  }

  /** Closes the file as soon as nobody reads from it; if it was not finished it is gone then. */
  async drop(): Promise<void> {
    this.seal();
    this.#isDropped = true;
    await this.#closeIfUnused();
  }

  async #closeIfUnused(): Promise<void> {
    if (this.#isDropped && this.#readers === 0) await this.writer.close();
  }
}

/** What these objects take in their packs. */
export function storedBytes(objects: Iterable<StagedObject>): number {
  let bytes = 0;
  for (const { packed } of objects) bytes += packed.endOffset - packed.offset;
  return bytes;
}
