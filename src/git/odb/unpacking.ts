import { CorruptObjectError } from '../../errors.ts';
import type { ObjectType } from '../object.ts';
import { TreeScanner } from '../tree-scan.ts';
import { DeltaApplication, parseDeltaHeader } from './delta.ts';
import type { DeltaBaseCache, ObjectData } from './delta-base-cache.ts';
import { Fault, YieldFault } from './fault.ts';
import { largestSyncInflateBytes } from './inflate.ts';
import type { Pack, PackEntry } from './pack.ts';

/** What is known of an object without its content. */
export interface ObjectInfo {
  readonly type: ObjectType;
  readonly sizeBytes: number;
}

// Git makes chains of 4095 deltas at most, its first versions longer ones. More is a loop.
const longestChain = 10_000;
// What is inflated and copied before others get their turn: 2 or 3 ms.
const workBytesPerTurn = 1024 * 1024;

/** Inflates an entry on zlib's threads. */
class InflateFault extends Fault {
  readonly #inflate: () => Promise<void>;

  constructor(inflate: () => Promise<void>) {
    super('a large entry has to be inflated');
    this.#inflate = inflate;
  }

  override wait(): Promise<void> {
    return this.#inflate();
  }
}

/**
 * The way to one object of a pack: down its chain of deltas to an object that is whole, then up again.
 * The methods throw a `Fault` when they have to wait; called again, they go on from where they were.
 */
export class Unpacking {
  readonly #pack: Pack;
  readonly #bases: DeltaBaseCache;
  /** The deltas that are still to be applied, the object's own first. */
  readonly #deltas: PackEntry[] = [];
  /** Where the base of the last of them stands: the object's own place, as long as there are none. */
  #baseOffset: number;
  /** The base, before it is inflated. */
  #baseEntry: PackEntry | undefined;
  #base: ObjectData | undefined;
  #inflated: { readonly offset: number; readonly data: Buffer } | undefined;
  #scanner: TreeScanner | undefined;
  #application: DeltaApplication | undefined;
  #workBytes = 0;

  constructor(pack: Pack, offset: number, bases: DeltaBaseCache) {
    this.#pack = pack;
    this.#baseOffset = offset;
    this.#bases = bases;
  }

  /** The type and size of the object; nothing is inflated for it but the first bytes of a delta. */
  info(): ObjectInfo {
    const { type, sizeBytes } = this.#descend();
    const delta = this.#deltas[0];
    if (delta === undefined) return { type, sizeBytes };
    return { type, sizeBytes: parseDeltaHeader(this.#pack.inflateStart(delta)).resultSizeBytes };
  }

  /** The object. */
  object(): ObjectData {
    const { type } = this.#descend();
    let object = (this.#base ??= this.#made(type, this.#inflateBase()));
    for (let delta = this.#deltas.at(-1); delta !== undefined; delta = this.#deltas.at(-1)) {
      const data = this.#apply(delta, object.data);
      this.#deltas.pop();
      this.#baseOffset = delta.offset;
      object = this.#base = this.#made(type, data);
    }
    return object;
  }

  /** Goes down to the first base that is in memory, or is no delta itself. */
  #descend(): ObjectInfo {
    for (;;) {
      this.#base ??= this.#bases.get(this.#pack, this.#baseOffset);
      if (this.#base !== undefined) {
        return { type: this.#base.type, sizeBytes: this.#base.data.length };
      }
      const entry = (this.#baseEntry ??= this.#pack.entryAt(this.#baseOffset));
      if (entry.type !== undefined) return { type: entry.type, sizeBytes: entry.sizeBytes };
      if (this.#deltas.length >= longestChain) {
        throw new CorruptObjectError(`more than ${longestChain} deltas stand on each other`);
      }
      this.#deltas.push(entry);
      this.#baseOffset = entry.baseOffset;
      this.#baseEntry = undefined;
    }
  }

  #made(type: ObjectType, data: Buffer): ObjectData {
    if (this.#deltas.length === 0) return { type, data, scanner: this.#scanner };
    const object = { type, data };
    this.#bases.set(this.#pack, this.#baseOffset, object);
    return object;
  }

  #inflateBase(): Buffer {
    this.#baseEntry ??= this.#pack.entryAt(this.#baseOffset);
    return this.#inflate(this.#baseEntry);
  }

  #apply(delta: PackEntry, base: Buffer): Buffer {
    this.#letOthersWork();
    const application = (this.#application ??= new DeltaApplication(base, this.#inflate(delta)));
    if (!application.step(workBytesPerTurn)) throw new YieldFault('others have their turn');
    this.#application = undefined;
    this.#workBytes += application.result.length;
    return application.result;
  }

  #inflate(entry: PackEntry): Buffer {
    const inflated = this.#inflated;
    if (inflated?.offset === entry.offset) {
      this.#inflated = undefined;
      return inflated.data;
    }
    if (entry.sizeBytes <= largestSyncInflateBytes) {
      this.#workBytes += entry.sizeBytes;
      const data = this.#pack.inflate(entry);
      if (data !== undefined) return data;
    }
    throw new InflateFault(async () => {
      const isTree = entry.type === 'tree' && this.#deltas.length === 0;
      const scanner = isTree
        ? new TreeScanner(entry.sizeBytes, this.#pack.oidSizeBytes)
        : undefined;
      const onStart = scanner && ((start: Buffer) => scanner.advance(start));
      const data = await this.#pack.inflateLarge(entry, onStart);
      this.#inflated = { offset: entry.offset, data };
      this.#scanner = scanner;
    });
  }

  #letOthersWork(): void {
    if (this.#workBytes < workBytesPerTurn) return;
    this.#workBytes = 0;
    throw new YieldFault('others have their turn');
  }
}
