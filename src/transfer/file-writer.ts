import type { BigIntStats } from 'node:fs';
import type { ByteString } from '../git/byte-string.ts';
import { canonicalMode, isSymlinkMode, modeExecutable } from '../git/mode.ts';
import { ByteBudget } from '../git/odb/byte-budget.ts';
import { pieceBytes } from '../git/odb/deflate.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import type { DiskTarget } from './disk-target.ts';
import {
  hashLocalFile,
  isChangedAt,
  readLocalLink,
  wholeFileBytes,
  withLocalFile,
} from './local-content.ts';
import { lstatIfThere } from './local-path.ts';
import type { StoredItem } from './stored-item.ts';

/** How stored files become files of the disk. */
export interface FileWriterOptions {
  /** When files that are written were last changed: at the time of their commit. */
  readonly mtimeSec: number;
  /** Whether files of the same size are compared by content even when their times agree. */
  readonly checksum: boolean;
}

/** What became of a file: whether the disk had to change. */
export interface WrittenFile {
  readonly isChanged: boolean;
  readonly sizeBytes: number;
}

// Of a big file some pieces are in memory at a time, so only some big ones are written at once.
const mostStreamedBytes = 8 * pieceBytes;

/** Writes stored files and links to the disk, but not those that are there already. */
export class FileWriter {
  readonly #odb: ObjectDatabase;
  readonly #target: DiskTarget;
  readonly #options: FileWriterOptions;
  readonly #streams = new ByteBudget(mostStreamedBytes);

  constructor(odb: ObjectDatabase, target: DiskTarget, options: FileWriterOptions) {
    this.#odb = odb;
    this.#target = target;
    this.#options = options;
  }

  /** Makes a path what an item is; `isTaken` says whether something, no directory, stands there. */
  async write(path: ByteString, { entry }: StoredItem, isTaken: boolean): Promise<WrittenFile> {
    const standing = isTaken ? await lstatIfThere(path) : null;
    if (isSymlinkMode(entry.mode)) return this.#writeLink(path, entry.oid, standing);
    const isExecutable = canonicalMode(entry.mode) === modeExecutable;
    return this.#writeFile(path, { oid: entry.oid, isExecutable }, standing);
  }

  async #writeLink(path: ByteString, oid: Oid, standing: BigIntStats | null): Promise<WrittenFile> {
    const { data: target } = await this.#odb.read(oid, 'blob');
    const sizeBytes = target.length;
    if (standing?.isSymbolicLink() === true && (await readLocalLink(path)).equals(target)) {
      return { isChanged: false, sizeBytes };
    }
    await this.#target.writeLink(path, target);
    return { isChanged: true, sizeBytes };
  }

  async #writeFile(
    path: ByteString,
    { oid, isExecutable }: { readonly oid: Oid; readonly isExecutable: boolean },
    standing: BigIntStats | null,
  ): Promise<WrittenFile> {
    const { sizeBytes } = await this.#odb.header(oid);
    const file = standing?.isFile() === true ? standing : null;
    const permissions = file === null ? undefined : Number(file.mode & 0o777n);
    if (file !== null && permissions !== undefined && file.size === BigInt(sizeBytes)) {
      if (await this.#isSame(path, file, oid)) {
        const isChanged = ((permissions & 0o100) !== 0) !== isExecutable;
        if (isChanged) await this.#target.setExecutable(path, permissions, isExecutable);
        return { isChanged, sizeBytes };
      }
    }
    const { mtimeSec } = this.#options;
    const about = { isExecutable, permissions, mtimeSec };
    if (sizeBytes <= wholeFileBytes) {
      const { data } = await this.#odb.read(oid, 'blob');
      await this.#target.writeFile(path, { ...about, chunks: [data] });
    } else {
      await this.#streams.run(Math.min(sizeBytes, pieceBytes), () =>
        this.#target.writeFile(path, { ...about, chunks: this.#odb.stream(oid) }),
      );
    }
    return { isChanged: true, sizeBytes };
  }

  /** Tells whether a file of the right size has the content of a blob. */
  async #isSame(path: ByteString, file: BigIntStats, oid: Oid): Promise<boolean> {
    const { checksum, mtimeSec } = this.#options;
    const isQuick = !checksum && isChangedAt(file, mtimeSec);
    if (isQuick) return true;
    const { algorithm } = this.#odb;
    const found = await withLocalFile(path, { follow: false }, (local) =>
      hashLocalFile(local, algorithm),
    );
    // The next copy by size and time then need not look again.
    if (found === oid && !checksum) await this.#target.setTime(path, mtimeSec);
    return found === oid;
  }
}
