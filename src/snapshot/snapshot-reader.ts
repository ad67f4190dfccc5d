import { InvalidArgumentError, KeyNotFoundError, ObjectNotFoundError } from '../errors.ts';
import { byteStringFromBuffer } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { canonicalMode, isGitlinkMode, isSymlinkMode, isTreeMode } from '../git/mode.ts';
import type { ObjectType, Tree, TreeEntry } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import { parseOid } from '../git/oid.ts';
import type { Oid } from '../git/oid.ts';
import { FileType, fileTypeFromMode, formatMode } from './file-type.ts';
import { directoryAt, fileAt, nothingAt } from './path-errors.ts';
import { joinPath, pathText } from './path.ts';
import type { StatResult, WalkEntry } from './stat.ts';
import { entryAt, treeOf, walkTree } from './tree.ts';

/** A part of a blob: from `offset` on (default 0), at most `size` bytes (default all the rest). */
export interface ReadRange {
  offset?: number | undefined;
  size?: number | undefined;
}

/** Answers questions about one tree. Paths are bytes in their one form; a submodule is an empty directory. */
export class SnapshotReader {
  readonly #odb: ObjectDatabase;
  readonly #root: Oid;

  constructor(odb: ObjectDatabase, root: Oid) {
    this.#odb = odb;
    this.#root = root;
  }

  /** The entry at a path; `null` when there is none. */
  find(path: ByteString): Promise<TreeEntry | null> {
    return entryAt(this.#odb, this.#root, path);
  }

  /** The entry at a path; a `FileNotFoundError` when there is none. */
  async require(path: ByteString): Promise<TreeEntry> {
    const entry = await this.find(path);
    if (entry !== null) return entry;
    throw nothingAt(path);
  }

  /** A blob, or a part of it; an `IsADirectoryError` for a directory. */
  async read(path: ByteString, range: ReadRange): Promise<Buffer> {
    const entry = await this.require(path);
    if (isDirectoryEntry(entry)) throw directoryAt(path);
    return readBlob(this.#odb, entry.oid, range);
  }

  /** The target of a symbolic link; an `InvalidArgumentError` for anything else. */
  async readlink(path: ByteString): Promise<ByteString> {
    const entry = await this.require(path);
    if (isSymlinkMode(entry.mode)) {
      return byteStringFromBuffer(await readBlob(this.#odb, entry.oid, {}));
    }
    const text = pathText(path);
    throw new InvalidArgumentError(`not a symbolic link: ${text}`, { path: text });
  }

  /** The size in bytes of what stands at a path; 0 for a directory. */
  async size(path: ByteString): Promise<number> {
    return this.#sizeOf(await this.require(path));
  }

  /** What `FS.stat` shows; `mtimeSec` is the time of the commit. */
  async stat(path: ByteString, mtimeSec: number): Promise<StatResult> {
    const entry = await this.require(path);
    return {
      mode: canonicalMode(entry.mode),
      fileType: fileTypeFromMode(entry.mode),
      size: await this.#sizeOf(entry),
      hash: entry.oid,
      nlink: isDirectoryEntry(entry) ? 2 + subdirectoryCount(await this.#treeOf(entry)) : 1,
      mtime: mtimeSec,
    };
  }

  /** The entries of a directory; a `NotADirectoryError` for a file. */
  async entries(path: ByteString): Promise<TreeEntry[]> {
    return [...((await this.#treeOf(await this.#requireDirectory(path))) ?? [])];
  }

  /** The paths of all that lies below a directory, seen from there; a directory goes before what is in it. */
  async pathsBelow(path: ByteString): Promise<ByteString[]> {
    const { mode, oid } = await this.#requireDirectory(path);
    if (!isTreeMode(mode)) return [];
    const paths: ByteString[] = [];
    for await (const visit of walkTree(this.#odb, oid)) {
      for (const { name } of visit.tree) paths.push(joinPath(visit.path, name));
    }
    return paths.sort();
  }

  /** As `FS.walk`. */
  async *walk(path: ByteString): AsyncGenerator<[string, string[], WalkEntry[]], void, undefined> {
    const { mode, oid } = await this.#requireDirectory(path);
    if (!isTreeMode(mode)) {
      yield [pathText(path), [], []];
      return;
    }
    for await (const { path: directory, tree, subdirectories } of walkTree(this.#odb, oid, path)) {
      const files = Array.from(tree).filter((entry) => !isTreeMode(entry.mode));
      const names = new Map(subdirectories.map((name) => [pathText(name), name]));
      const dirnames = [...names.keys()];
      yield [pathText(directory), dirnames, files.map(walkEntry)];
      const wanted = dirnames.flatMap((name) => names.get(name) ?? []);
      subdirectories.splice(0, Infinity, ...wanted);
    }
  }

  async #requireDirectory(path: ByteString): Promise<TreeEntry> {
    const entry = await this.require(path);
    if (isDirectoryEntry(entry)) return entry;
    throw fileAt(path);
  }

  async #sizeOf(entry: TreeEntry): Promise<number> {
    return isDirectoryEntry(entry) ? 0 : (await this.#odb.header(entry.oid)).sizeBytes;
  }

  async #treeOf(entry: TreeEntry): Promise<Tree | null> {
    return isTreeMode(entry.mode) ? await treeOf(this.#odb, entry.oid) : null;
  }
}

/**
 * A blob, or a part of it, which may lie beyond its end. The buffer is the caller's own: what the
 * caches hold cannot be changed through it.
 */
export async function readBlob(odb: ObjectDatabase, oid: Oid, range: ReadRange): Promise<Buffer> {
  const { offset = 0, size } = range;
  checkCount('offset', offset);
  if (size !== undefined) checkCount('size', size);
  if (offset === 0 && size === undefined) {
    return Buffer.from((await odb.read(oid, 'blob')).data);
  }
  const { sizeBytes } = await odb.header(oid);
  const length = Math.min(size ?? Infinity, sizeBytes - offset);
  if (length <= 0) return Buffer.alloc(0);
  return Buffer.from(await odb.readRange(oid, offset, length));
}

/** `readBlob` of a hash from a caller, in hex or raw; a `KeyNotFoundError` when no blob has it. */
export async function readBlobByHash(
  odb: ObjectDatabase,
  hash: string | Uint8Array,
  range: ReadRange,
): Promise<Buffer> {
  const oid = oidFromHash(hash);
  const header = await headerIfThere(odb, oid);
  if (header?.type === 'blob') return readBlob(odb, oid, range);
  const found = header === null ? 'is not in the repository' : `is a ${header.type}`;
  throw new KeyNotFoundError(`no blob has the hash ${oid}: it ${found}`, { oid });
}

/** The type and size of an object; `null` when it is not in the repository. */
export async function headerIfThere(
  odb: ObjectDatabase,
  oid: Oid,
): Promise<{ type: ObjectType; sizeBytes: number } | null> {
  try {
    return await odb.header(oid);
  } catch (error) {
    if (error instanceof ObjectNotFoundError) return null;
    throw error;
  }
}

/** An object id as callers give it: in hex, or its raw bytes. */
export function oidFromHash(hash: string | Uint8Array): Oid {
  return parseOid(typeof hash === 'string' ? hash : Buffer.from(hash).toString('hex'));
}

function checkCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError(`not an ${name} in bytes: ${value}`);
  }
}

/** How `listdir` and `walk` show an entry. */
export function walkEntry({ name, mode, oid }: TreeEntry): WalkEntry {
  return { name: pathText(name), oid, mode: formatMode(canonicalMode(mode)) };
}

/** Tells whether an entry counts as a directory. */
export function isDirectoryEntry({ mode }: TreeEntry): boolean {
  return isTreeMode(mode) || isGitlinkMode(mode);
}

function subdirectoryCount(tree: Tree | null): number {
  let count = 0;
  for (let index = 0; index < (tree?.size ?? 0); index++) {
    if (tree && fileTypeFromMode(tree.modeAt(index)) === FileType.TREE) count += 1;
  }
  return count;
}
