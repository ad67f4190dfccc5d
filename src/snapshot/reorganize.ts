import { InvalidArgumentError, IsADirectoryError, NotADirectoryError } from '../errors.ts';
import type { ByteString } from '../git/byte-string.ts';
import type { Origins } from './origins.ts';
import { directoryAt, fileAt } from './path-errors.ts';
import {
  baseName,
  isWithin,
  joinPath,
  pathFromText,
  pathText,
  rootPath,
  innerPathFromText,
} from './path.ts';
import { isDirectory } from './staged-tree.ts';
import type { StagedTree, Standing } from './staged-tree.ts';

/** Removes files, and directories when told to, as `rm` does; but nothing unless all sources exist. */
export async function removePaths(
  staged: StagedTree,
  sources: readonly string[],
  { recursive = false }: { recursive?: boolean | undefined },
): Promise<void> {
  // All are looked up first, so that a directory and something in it may be named in any order.
  const paths = sources.map((source) => innerPathFromText(source));
  for (const path of paths) {
    if (isDirectory(await staged.require(path)) && !recursive) throw directoryAt(path);
  }
  for (const path of paths) await staged.clear(path);
}

/**
 * Moves files and directories one after another, as `mv` does: into the destination when it is a
 * directory, ends in a slash or has several sources, else it is the new name. Nothing is read but
 * directories on the way. Gives back where everything came from.
 */
export async function movePaths(
  staged: StagedTree,
  sources: readonly string[],
  dest: string,
  { recursive = false }: { recursive?: boolean | undefined },
): Promise<Origins> {
  const destination = await destinationOf(staged, dest, sources.length > 1);
  const origins = new Map<ByteString, ByteString>();
  for (const source of sources) {
    const path = innerPathFromText(source);
    const standing = await staged.require(path);
    if (isDirectory(standing) && !recursive) throw directoryAt(path);
    const target = destination.into ? joinPath(destination.path, baseName(path)) : destination.path;
    await checkMove(staged, { path, standing, target });
    if (origins.has(target)) throw clash(target);
    await staged.clear(path);
    await staged.replace(target, standing);
    origins.set(target, path);
  }
  return origins;
}

interface Move {
  readonly path: ByteString;
  readonly standing: Standing;
  readonly target: ByteString;
}

async function checkMove(staged: StagedTree, { path, standing, target }: Move): Promise<void> {
  const [from, to] = [pathText(path), pathText(target)];
  if (path === target) {
    throw new InvalidArgumentError(`source and destination are the same: ${from}`, { path: from });
  }
  if (isWithin(target, path)) {
    throw new InvalidArgumentError(`cannot move ${from} into itself: ${to}`, { path: from });
  }
  const replaced = await staged.find(target);
  if (replaced === null) return;
  if (!isDirectory(replaced)) {
    if (isDirectory(standing)) throw fileAt(target);
  } else if (isDirectory(standing)) {
    throw new IsADirectoryError(`a directory that is not empty is in the way: ${to}`, { path: to });
  } else {
    throw directoryAt(target);
  }
}

function clash(target: ByteString): InvalidArgumentError {
  const path = pathText(target);
  return new InvalidArgumentError(`two sources would become ${path}`, { path });
}

/** Where copies and moves inside a repository lead. */
export interface Destination {
  readonly path: ByteString;
  /** Whether sources keep their names below it, instead of taking its name. */
  readonly into: boolean;
}

/** Applies the rule of `mv` and `cp` for destinations. A file that would have to be a directory is a `NotADirectoryError`. */
export async function destinationOf(
  staged: StagedTree,
  dest: string,
  mustBeDirectory: boolean,
): Promise<Destination> {
  const path = pathFromText(dest);
  const standing = await staged.find(path);
  const isExisting = standing !== null && (path === rootPath || isDirectory(standing));
  const into = isExisting || mustBeDirectory || /[/\\]$/.test(dest);
  if (into && standing !== null && !isExisting) {
    throw new NotADirectoryError(`the destination is a file: ${dest}`, { path: dest });
  }
  return { path, into };
}
