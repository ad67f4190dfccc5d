import type { DirectoryEntry, DirectoryStream } from './vnode.ts';

/** Entries that are all known. */
export class FixedStream implements DirectoryStream {
  readonly #entries: readonly DirectoryEntry[];

  constructor(entries: readonly DirectoryEntry[]) {
    this.#entries = entries;
  }

  entry(position: number): DirectoryEntry | undefined {
    return this.#entries[position];
  }
}
