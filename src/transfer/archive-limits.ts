import { ArchiveLimitError, InvalidArgumentError } from '../errors.ts';

/** How much an archive may hold; more is an `ArchiveLimitError`. */
export interface ArchiveLimits {
  /** All contents together, and the archive itself where it has to be kept; 16 GiB by default. */
  maxTotalSizeBytes?: number | undefined;
  /** The content of one entry; by default as all together. */
  maxEntrySizeBytes?: number | undefined;
  /** Entries of any kind; a million by default. */
  maxEntries?: number | undefined;
}

const defaultTotalSizeBytes = 16 * 1024 ** 3;
const defaultEntries = 1_000_000;

/** Counts what an archive holds, and stops one that holds too much before it is read. */
export class ArchiveBudget {
  readonly maxTotalSizeBytes: number;
  readonly #maxEntrySizeBytes: number;
  readonly #maxEntries: number;
  #entries = 0;
  #totalSizeBytes = 0;

  constructor(limits: ArchiveLimits) {
    this.maxTotalSizeBytes = limits.maxTotalSizeBytes ?? defaultTotalSizeBytes;
    this.#maxEntrySizeBytes = limits.maxEntrySizeBytes ?? this.maxTotalSizeBytes;
    this.#maxEntries = limits.maxEntries ?? defaultEntries;
    for (const limit of [this.maxTotalSizeBytes, this.#maxEntrySizeBytes, this.#maxEntries]) {
      if (!(limit >= 0)) throw new InvalidArgumentError(`not a limit for archives: ${limit}`);
    }
  }

  /** Counts an entry, its content not yet read. */
  take(sizeBytes: number, path: string): void {
    this.#entries += 1;
    if (this.#entries > this.#maxEntries) {
      throw new ArchiveLimitError(`the archive has more than ${this.#maxEntries} entries`);
    }
    if (sizeBytes > this.#maxEntrySizeBytes) {
      throw new ArchiveLimitError(`${path} in the archive has ${sizeBytes} bytes`, { path });
    }
    this.#totalSizeBytes += sizeBytes;
    if (this.#totalSizeBytes > this.maxTotalSizeBytes) {
      throw new ArchiveLimitError(`the archive holds more than ${this.maxTotalSizeBytes} bytes`);
    }
  }
}
