import { hashObject } from '../git/hash-object.ts';
import {
  canonicalMode,
  isRegularMode,
  modeBlob,
  modeExecutable,
  modeSymlink,
} from '../git/mode.ts';
import type { FileMode } from '../git/mode.ts';
import type { TreeEntry } from '../git/object.ts';
import { ByteBudget } from '../git/odb/byte-budget.ts';
import { pieceBytes } from '../git/odb/deflate.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { StagingArea } from '../git/odb/staging-area.ts';
import type { Oid } from '../git/oid.ts';
import type { PlacedObject } from '../snapshot/tree-edit.ts';
import type { DiskItem } from './disk-source.ts';
import {
  hashLocalFile,
  isChangedAt,
  readLocalFile,
  readLocalLink,
  streamLocalFile,
  wholeFileBytes,
  withLocalFile,
} from './local-content.ts';
import type { LocalFile } from './local-content.ts';
import { ThreadPace } from '../git/thread-pace.ts';

/** How files and links of the disk become objects. */
export interface ItemStagerOptions {
  /** Where they go; `null` to find out their ids only. */
  readonly staging: StagingArea | null;
  /** The mode of regular files; without one their executable bits count. */
  readonly mode: FileMode | undefined;
  readonly follow: boolean;
  /** A file of the same size that was last changed then is taken for what is stored; without it all are read. */
  readonly unchangedSinceSec: number | undefined;
}

/** What a file or link of the disk is to git. */
export interface StagedItem {
  readonly object: PlacedObject;
  readonly sizeBytes: number;
}

// How much of files that are streamed is in memory at a time, about.
const mostStreamedBytes = 4 * pieceBytes;

/** Makes objects of files and links, but not of those that are stored at their place already. */
export class ItemStager {
  readonly #odb: ObjectDatabase;
  readonly #options: ItemStagerOptions;
  readonly #pace = new ThreadPace();
  // A stream waits for nothing but its file, so those that come later may wait for it.
  readonly #streams = new ByteBudget(mostStreamedBytes);

  constructor(odb: ObjectDatabase, options: ItemStagerOptions) {
    this.#odb = odb;
    this.#options = options;
  }

  /** Stages an item whose place holds `entry`; `null` when something else stands at its path by now. */
  async stage(item: DiskItem, entry: TreeEntry | undefined): Promise<StagedItem | null> {
    const { path, kind, isNear } = item;
    if (kind === 'link') {
      const target = await readLocalLink(path);
      const oid = await this.#stageBytes(target, entry);
      return { object: { mode: modeSymlink, oid }, sizeBytes: target.length };
    }
    const { follow } = this.#options;
    const pace = isNear ? this.#pace : undefined;
    return withLocalFile(path, { follow, pace }, async (file) => {
      const oid = await this.#stageFile(file, entry);
      return { object: { mode: this.#modeOf(file), oid }, sizeBytes: file.sizeBytes };
    });
  }

  #modeOf({ attributes }: LocalFile): FileMode {
    return this.#options.mode ?? ((attributes.mode & 0o100n) === 0n ? modeBlob : modeExecutable);
  }

  async #stageFile(file: LocalFile, entry: TreeEntry | undefined): Promise<Oid> {
    const { staging, unchangedSinceSec } = this.#options;
    if (unchangedSinceSec !== undefined && isChangedAt(file.attributes, unchangedSinceSec)) {
      if (entry !== undefined && (await this.#hasSizeOf(entry, file))) return entry.oid;
    }
    if (file.sizeBytes <= wholeFileBytes) {
      return this.#stageBytes(await readLocalFile(file), entry);
    }
    const { algorithm } = this.#odb;
    if (staging === null) return hashLocalFile(file, algorithm);
    // Reading it twice costs less than storing again what is there.
    if (entry !== undefined && (await this.#hasSizeOf(entry, file))) {
      if ((await hashLocalFile(file, algorithm)) === entry.oid) return entry.oid;
    }
    return this.#streams.run(shareOf(file), () =>
      staging.writeStream('blob', file.sizeBytes, streamLocalFile(file)),
    );
  }

  async #hasSizeOf(entry: TreeEntry, { sizeBytes }: LocalFile): Promise<boolean> {
    if (!isRegularMode(canonicalMode(entry.mode))) return false;
    return (await this.#odb.header(entry.oid)).sizeBytes === sizeBytes;
  }

  async #stageBytes(data: Buffer, entry: TreeEntry | undefined): Promise<Oid> {
    const oid = hashObject(this.#odb.algorithm, 'blob', data);
    const { staging } = this.#options;
    return staging === null || oid === entry?.oid ? oid : staging.write('blob', data);
  }
}

/**
 * What a file takes of `mostStreamedBytes`: all when it has several pieces, for a temporary pack is its own
 * meanwhile, and one after the other they end up in one.
 */
function shareOf({ sizeBytes }: LocalFile): number {
  return sizeBytes > pieceBytes ? mostStreamedBytes : sizeBytes;
}
