import { dirname, join, resolve } from 'node:path';
import { FileNotFoundError, NotARepositoryError } from '../errors.ts';
import { diskAt } from './disk.ts';
import type { Disk } from './disk.ts';

/** The directories of a repository; see gitrepository-layout(5). */
export interface RepositoryLayout {
  /** Holds `HEAD`. */
  readonly gitDir: string;
  /** Holds objects, refs and config; another directory than `gitDir` in a linked worktree. */
  readonly commonDir: string;
}

/** A repository that was found. */
export interface FoundRepository extends RepositoryLayout {
  /** Where `commonDir` is. */
  readonly disk: Disk;
}

const gitFile = /^gitdir: ([^\n]+)\n*$/;
const validHead = /^(?:ref:[ \t\r\n]*refs\/|[0-9a-f]{40})/;

/**
 * Finds the repository at a path: a bare one, a `.git` directory, a `.git` file that leads to one, or
 * a worktree that holds either. Directories above the path are not looked at. A
 * `FileNotFoundError` when nothing is there, else a `NotARepositoryError`.
 */
export async function findRepository(path: string): Promise<FoundRepository> {
  const start = resolve(path);
  const inside = join(start, '.git');
  const disk = await diskAt(start);
  const [kind, insideKind] = await Promise.all([kindOf(start, disk), kindOf(inside, disk)]);
  if (kind === 'nothing') {
    throw new FileNotFoundError(`there is no repository at ${path}: nothing has that name`, {
      path,
    });
  }
  if (kind === 'file') return followGitFile(start, path, disk);
  // As git does: a worktree before a directory that only looks like a bare repository.
  if (insideKind === 'file') return followGitFile(inside, path, disk);
  const found = await foundAt(insideKind === 'directory' ? inside : start, disk);
  const fault = await faultOf(found, disk);
  if (fault !== undefined) throw notARepository(path, fault);
  return found;
}

/**
 * Throws a `NotARepositoryError` where a repository that was opened stands at its path no more (moved away, its
 * disk unmounted): then no ref was deleted, and nothing is to be made in its place.
 */
export async function requireStillThere(commonDir: string, disk: Disk): Promise<void> {
  if ((await disk.stat(join(commonDir, 'refs'))) !== undefined) return;
  throw new NotARepositoryError(`the repository is not there any more: ${commonDir}`, {
    path: commonDir,
  });
}

async function followGitFile(file: string, path: string, disk: Disk): Promise<FoundRepository> {
  const text = await disk.readFile(file);
  const target = gitFile.exec(text?.toString() ?? '')?.[1];
  if (target === undefined) throw notARepository(path, `${file} does not say where one is`);
  const gitDir = resolve(dirname(file), target);
  const targetDisk = await diskAt(gitDir);
  const found = await foundAt(gitDir, targetDisk);
  const fault = await faultOf(found, targetDisk);
  if (fault !== undefined) throw notARepository(path, `it leads to ${gitDir}, and ${fault}`);
  return found;
}

async function foundAt(gitDir: string, disk: Disk): Promise<FoundRepository> {
  const common = await readIfFile(join(gitDir, 'commondir'), disk);
  if (common === undefined) return { gitDir, commonDir: gitDir, disk };
  const commonDir = resolve(gitDir, common.trimEnd());
  return { gitDir, commonDir, disk: await diskAt(commonDir) };
}

/** What keeps git from taking these directories for a repository; `undefined` when nothing does. */
async function faultOf(
  { gitDir, commonDir, disk }: FoundRepository,
  gitDirDisk: Disk,
): Promise<string | undefined> {
  const [head, objects, refs] = await Promise.all([
    readIfFile(join(gitDir, 'HEAD'), gitDirDisk),
    kindOf(join(commonDir, 'objects'), disk),
    kindOf(join(commonDir, 'refs'), disk),
  ]);
  if (head === undefined) return 'it holds no HEAD';
  if (!validHead.test(head)) return 'its HEAD is neither the name of a ref nor an object id';
  if (objects !== 'directory') return 'it holds no objects';
  if (refs !== 'directory') return 'it holds no refs';
  return undefined;
}

function notARepository(path: string, fault: string): NotARepositoryError {
  return new NotARepositoryError(`${path} is not a git repository: ${fault}`, { path });
}

async function kindOf(path: string, disk: Disk): Promise<'nothing' | 'file' | 'directory'> {
  const found = await disk.stat(path);
  if (found === undefined) return 'nothing';
  return found.isDirectory() ? 'directory' : 'file';
}

async function readIfFile(path: string, disk: Disk): Promise<string | undefined> {
  return (await disk.readFile(path))?.toString('latin1');
}
