import { InvalidArgumentError } from '../errors.ts';
import { bytesFromText } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { isGitlinkMode, isTreeMode, modeTree } from '../git/mode.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import type { Oid } from '../git/oid.ts';
import type { Origins } from './origins.ts';
import { fileAt, nothingAt } from './path-errors.ts';
import { baseName, joinPath, pathText } from './path.ts';
import { destinationOf } from './reorganize.ts';
import type { Destination } from './reorganize.ts';
import { parseSource } from './source-path.ts';
import type { SourcePath } from './source-path.ts';
import { isDirectory } from './staged-tree.ts';
import type { StagedTree } from './staged-tree.ts';
import type { PlacedObject } from './tree-edit.ts';
import { entryAt, treeOf } from './tree.ts';

/** A copy from one tree of a repository into another. */
export interface CopyFrom {
  readonly odb: ObjectDatabase;
  /** The root tree that is copied from. */
  readonly tree: Oid;
  readonly sources: readonly string[];
  readonly dest: string;
  /** What stands in a destination directory and not in its source goes away. */
  readonly delete: boolean;
  /** Whether both trees are the same snapshot, so that a path can be its own destination. */
  readonly isSameSnapshot: boolean;
}

interface Step {
  readonly object: PlacedObject;
  readonly path: ByteString;
  readonly target: ByteString;
}

/**
 * Copies files and directories by their hashes, under the rules of `cp -r` and rsync's trailing
 * slash. Directories that are not there yet, or have to become the same, are taken whole; only
 * those that are mixed with what stands there are read. Gives back where everything came from.
 */
export async function copyFromTree(staged: StagedTree, copy: CopyFrom): Promise<Origins> {
  const sources = copy.sources.map(parseSource);
  const pours = sources.some(({ contents, kept }) => contents || kept !== null);
  const destination = await destinationOf(staged, copy.dest, pours || sources.length > 1);
  const steps: Step[] = [];
  for (const source of sources) steps.push(await stepOf(copy, source, destination));
  // Several sources may fill one directory, so all are emptied before the first is filled.
  if (copy.delete) {
    for (const { object, target } of steps) {
      if (isTreeMode(object.mode)) await staged.clear(target);
    }
  }
  for (const step of steps) await new Merge(staged, copy.odb).place(step.target, step.object);
  return new Map(steps.map(({ path, target }) => [target, path]));
}

async function stepOf(copy: CopyFrom, source: SourcePath, destination: Destination): Promise<Step> {
  const path = bytesFromText(source.path);
  const object = await entryAt(copy.odb, copy.tree, path);
  if (object === null) throw nothingAt(path);
  if (source.contents && !isTreeMode(object.mode)) throw fileAt(path);
  const target = targetOf(path, source, destination);
  if (copy.isSameSnapshot && path === target) {
    const text = pathText(path);
    throw new InvalidArgumentError(`source and destination are the same: ${text || '/'}`, {
      path: text,
    });
  }
  return { object, path, target };
}

function targetOf(path: ByteString, source: SourcePath, destination: Destination): ByteString {
  if (source.kept !== null) return joinPath(destination.path, bytesFromText(source.kept));
  const keepsName = destination.into && !source.contents;
  return keepsName ? joinPath(destination.path, baseName(path)) : destination.path;
}

/** Lays one tree over another. */
class Merge {
  readonly #staged: StagedTree;
  readonly #odb: ObjectDatabase;

  constructor(staged: StagedTree, odb: ObjectDatabase) {
    this.#staged = staged;
    this.#odb = odb;
  }

  async place(target: ByteString, object: PlacedObject): Promise<void> {
    if (isGitlinkMode(object.mode)) {
      await this.#placeGitlink(target, object);
      return;
    }
    if (!isTreeMode(object.mode)) {
      await this.#staged.write(target, object);
      return;
    }
    const standing = await this.#staged.find(target);
    if (standing === null) {
      await this.#staged.replace(target, { kind: 'set', mode: modeTree, oid: object.oid });
    } else if (!isDirectory(standing)) {
      throw fileAt(target);
    } else if (standing.kind === 'edit' || standing.oid !== object.oid) {
      for (const entry of await treeOf(this.#odb, object.oid)) {
        await this.place(joinPath(target, entry.name), entry);
      }
    }
  }

  /** A submodule counts as a directory, which no file takes the place of; but a submodule may. */
  async #placeGitlink(target: ByteString, { mode, oid }: PlacedObject): Promise<void> {
    const standing = await this.#staged.find(target);
    if (standing?.kind !== 'set' || !isGitlinkMode(standing.mode)) {
      await this.#staged.write(target, { mode, oid });
    } else if (standing.oid !== oid) {
      await this.#staged.replace(target, { kind: 'set', mode, oid });
    }
  }
}
