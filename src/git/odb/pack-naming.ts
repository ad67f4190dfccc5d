import { createHash, randomBytes } from 'node:crypto';
import { access, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { HashAlgorithm } from '../oid.ts';
import { ignoring, isSystemError } from '../system-error.ts';
import { syncPath } from './durable.ts';
import type { PackFile } from './pack-file.ts';
import { writePackIndex } from './pack-index-writer.ts';
import type { PackIndexEntry } from './pack-index-writer.ts';
import type { SpareIndexes } from './spare-indexes.ts';
import { TemporaryFile } from './temporary-file.ts';

/** Where a finished pack stands. */
export interface FinishedPack {
  readonly packPath: string;
  readonly indexPath: string;
}

/** How a pack is finished. */
export interface FinishOptions {
  readonly fsync: boolean;
  /** Called with the path that the pack is about to get; `false` when it must get another. */
  readonly beforeNaming?: ((packPath: string) => Promise<boolean>) | undefined;
  /** Those of the object directory; without, nobody may collect garbage there. */
  readonly spares?: SpareIndexes | undefined;
}

/** A pack that is complete but for its name and its index. */
export interface NamelessPack extends FinishOptions {
  /** `objects/pack`. */
  readonly directory: string;
  readonly algorithm: HashAlgorithm;
  readonly entries: readonly PackIndexEntry[];
  /** The checksum at the end of the pack, which names it. */
  readonly checksum: Buffer;
}

// In the first one `git prune` can take a temporary name away, in the second it cannot.
const mostAttempts = 3;

/**
 * Makes a pack visible, `pack-<checksum>.pack` first and then the `.idx` that git looks for; with
 * `fsync` each is on disk before the next step. After a failure it can be tried again.
 *
 * A name that is taken is not used a second time: a `git repack` that is about to remove the pack of that
 * name would take this one instead, which came after it began. The other name is no checksum, as those
 * that git gives are not, either.
 */
export async function namePack(file: PackFile, pack: NamelessPack): Promise<FinishedPack> {
  const { directory, checksum, algorithm, fsync } = pack;
  const named = file.packPath;
  const finished = await freeName(pack);
  for (let attempt = 1; ; attempt++) {
    await file.renew(checksum, algorithm);
    if (fsync) await file.sync();
    const index = await writeIndex(pack, attempt === 1 ? 'tmp_idx_vost_' : 'vost_idx_');
    try {
      await file.renameTo(finished.packPath);
      const temporary = index.path;
      await pack.spares?.keep(temporary, finished.packPath);
      await index.renameTo(finished.indexPath);
      // Whoever saw the second name first has put the index back already: the same file has both names
      // then, and `rename` leaves both (rename(2)).
      await unlink(temporary).catch(ignoring('ENOENT'));
      break;
    } catch (error) {
      await index.unlink();
      if (attempt === mostAttempts || !isSystemError(error, 'ENOENT')) throw error;
    }
  }
  // What is left of an attempt that failed when the pack had a name already.
  if (named !== undefined) {
    for (const path of [indexPathOf(named), named]) await unlink(path).catch(ignoring('ENOENT'));
  }
  if (fsync) await syncPath(directory);
  return finished;
}

async function freeName(pack: NamelessPack): Promise<FinishedPack> {
  const { directory, checksum, algorithm, beforeNaming } = pack;
  for (let name = checksum; ;) {
    const packPath = join(directory, `pack-${name.toString('hex')}.pack`);
    const indexPath = indexPathOf(packPath);
    const isTaken = (await isThere(packPath)) || (await isThere(indexPath));
    if (!isTaken && (await beforeNaming?.(packPath)) !== false) return { packPath, indexPath };
    name = createHash(algorithm).update(checksum).update(randomBytes(16)).digest();
  }
}

function indexPathOf(packPath: string): string {
  return packPath.replace(/\.pack$/, '.idx');
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}

async function writeIndex(pack: NamelessPack, prefix: string): Promise<TemporaryFile> {
  const { directory, entries, checksum, algorithm, fsync } = pack;
  const index = await TemporaryFile.create(directory, prefix);
  try {
    try {
      await writePackIndex(index.handle, entries, checksum, algorithm);
      if (fsync) await index.handle.sync();
    } finally {
      await index.handle.close();
    }
    return index;
  } catch (error) {
    await index.unlink();
    throw error;
  }
}
