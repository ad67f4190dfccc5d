import type { BigIntStats, Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { GitStoreError } from '../errors.ts';
import { byteStringFromBuffer, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import {
  identityOf,
  joinLocalPath,
  localPathBytes,
  lstatIfThere,
  nothingOnDisk,
  statIfThere,
} from './local-path.ts';
import { isNear } from '../git/near-filesystem.ts';
import type { SourceItem } from './source-parts.ts';
import type { TransferRun } from './transfer-run.ts';

/** What stands at a path of the disk. `unknown`: it failed to be looked at, and that is noted. */
export type DiskKind = 'file' | 'directory' | 'link' | 'special' | 'unknown';

/** Something on the disk that is to be copied. */
export interface DiskItem extends SourceItem {
  readonly path: ByteString;
  readonly kind: DiskKind;
  /** Whether it can be read without waiting for anybody but the disk. */
  readonly isNear: boolean;
  /** The directories above it, and itself; kept only while links are followed. */
  readonly lineage: readonly string[];
}

/** A directory's entry: its name, and what stands there. */
export interface DiskEntry {
  readonly name: ByteString;
  readonly item: DiskItem;
}

/** Looks at the disk that is copied from. */
export class DiskSource {
  readonly #run: TransferRun;
  readonly #followSymlinks: boolean;
  /** Directories that are never entered: the repository that is copied into. */
  readonly #forbidden: ReadonlySet<string>;
  /** Of the devices seen so far, whether they are near. */
  readonly #nearDevices = new Map<bigint, boolean>();

  constructor(run: TransferRun, followSymlinks: boolean, forbidden: ReadonlySet<string>) {
    this.#run = run;
    this.#followSymlinks = followSymlinks;
    this.#forbidden = forbidden;
  }

  /** What a source names; a link counts as what it leads to when `follow` says so. Nothing there is a `FileNotFoundError`. */
  async find(path: ByteString, follow: boolean): Promise<DiskItem> {
    const found = await (follow || this.#followSymlinks ? statIfThere(path) : lstatIfThere(path));
    if (found === null) throw nothingOnDisk(path);
    return diskItem(path, kindOf(found), { lineage: [], isNear: false });
  }

  /** What is in a directory; `null` for one that must not be entered. */
  async list(directory: DiskItem): Promise<DiskEntry[] | null> {
    const bytes = localPathBytes(directory.path);
    const attributes = await stat(bytes, { bigint: true });
    const identity = identityOf(attributes);
    if (this.#forbidden.has(identity)) {
      this.#run.warn(directory.path, 'the repository itself is not copied');
      return null;
    }
    const { path, lineage } = directory;
    if (lineage.includes(identity)) throw loop(path);
    const here = {
      lineage: this.#followSymlinks ? [...lineage, identity] : lineage,
      isNear: await this.#isNear(bytes, attributes),
    };
    const entries: DiskEntry[] = [];
    for (const dirent of await readdir(bytes, { encoding: 'buffer', withFileTypes: true })) {
      const name = byteStringFromBuffer(dirent.name);
      const item = diskItem(joinLocalPath(path, name), kindOf(dirent), here);
      entries.push({ name, item: await this.#followed(item) });
    }
    return entries;
  }

  async #followed(item: DiskItem): Promise<DiskItem> {
    if (item.kind !== 'link' || !this.#followSymlinks) return item;
    const { path, lineage } = item;
    const found = await this.#run.attempt(path, async () => {
      const target = await statIfThere(path);
      if (target === null) throw nothingOnDisk(path);
      if (lineage.includes(identityOf(target))) throw loop(path);
      return target;
    });
    const kindFound = found === undefined ? 'unknown' : kindOf(found);
    return diskItem(path, kindFound, { lineage, isNear: false });
  }

  async #isNear(directory: Buffer, { dev }: BigIntStats): Promise<boolean> {
    const known = this.#nearDevices.get(dev) ?? (await isNear(directory));
    this.#nearDevices.set(dev, known);
    return known;
  }
}

function diskItem(
  path: ByteString,
  kind: DiskKind,
  where: { readonly lineage: readonly string[]; readonly isNear: boolean },
): DiskItem {
  return { path, kind, isDirectory: kind === 'directory', ...where };
}

/** The kind of what attributes, or an entry of a directory, tell of. */
export function kindOf(found: BigIntStats | Dirent<Buffer>): DiskKind {
  if (found.isFile()) return 'file';
  if (found.isDirectory()) return 'directory';
  return found.isSymbolicLink() ? 'link' : 'special';
}

function loop(path: ByteString): GitStoreError {
  const text = textFromBytes(path);
  return new GitStoreError('ELOOP', `a link leads to a directory that it is in: ${text}`, {
    path: text,
  });
}
