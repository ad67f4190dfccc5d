import { ObjectNotFoundError } from '../../errors.ts';
import type { Oid } from '../oid.ts';
import { StagingArea } from './staging-area.ts';
import type { StagingAreaOptions } from './staging-area.ts';
import type { ObjectInfo } from './unpacking.ts';

/** The open staging areas of a database, read as one. */
export class StagingAreas {
  readonly #options: Omit<StagingAreaOptions, 'onDiscard'>;
  readonly #areas = new Set<StagingArea>();

  constructor(options: Omit<StagingAreaOptions, 'onDiscard'>) {
    this.#options = options;
  }

  /** Opens another area. */
  open(options: Pick<StagingAreaOptions, 'keepsAll'>): StagingArea {
    const onDiscard = (): void => void this.#areas.delete(area);
    const area = new StagingArea({ ...this.#options, ...options, onDiscard });
    this.#areas.add(area);
    return area;
  }

  /** Opens an area that takes what the repository holds already; it is read by nobody else. */
  openForCopies(): StagingArea {
    const no = (): Promise<boolean> => Promise.resolve(false);
    return new StagingArea({ ...this.#options, exists: no, isKnown: no, isLoose: no });
  }

  /** The type and size of an object that is staged. */
  header(oid: Oid): ObjectInfo | undefined {
    for (const area of this.#areas) {
      const info = area.headerIfStaged(oid);
      if (info !== undefined) return info;
    }
    return undefined;
  }

  /** Reads an object in the area that has it; undefined when none has, or not any more. */
  async read<T>(oid: Oid, read: (area: StagingArea) => Promise<T>): Promise<T | undefined> {
    for (const area of this.#areas) {
      if (!area.hasStaged(oid)) continue;
      try {
        return await read(area);
      } catch (error) {
        if (!(error instanceof ObjectNotFoundError)) throw error;
      }
    }
    return undefined;
  }

  /** The content of an object in pieces; undefined when no area has it. */
  stream(oid: Oid): AsyncGenerator<Buffer, void, undefined> | undefined {
    for (const area of this.#areas) {
      if (area.hasStaged(oid)) return area.stream(oid);
    }
    return undefined;
  }

  /** The ids of all that is staged; some may be there twice. */
  *oids(): Generator<Oid, void, undefined> {
    for (const area of this.#areas) yield* area.stagedOids();
  }

  /** Discards all areas. */
  async discard(): Promise<void> {
    for (const area of [...this.#areas]) await area.discard();
  }
}
