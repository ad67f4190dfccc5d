import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { FileNotFoundError, NotARepositoryError } from '../errors.ts';
import { isNothingThere } from './system-error.ts';

/** The directories of a repository; see gitrepository-layout(5). */
export interface RepositoryLayout {
  /** Holds `HEAD`. */
  readonly gitDir: string;
  /** Holds objects, refs and config; another directory than `gitDir` in a linked worktree. */
  readonly commonDir: string;
}

const gitFile = /^gitdir: ([^\n]+)\n*$/;
const validHead = /^(?:ref:[ \t\r\n]*refs\/|[0-9a-f]{40})/;

/**
 * Finds the repository at a path: a bare one, a `.git` directory, a `.git` file that leads to one, or
 * a worktree that holds either. Directories above the path are not looked at. A
 * `FileNotFoundError` when nothing is there, else a `NotARepositoryError`.
 */
export async function findRepository(path: string): Promise<RepositoryLayout> {
  const start = resolve(path);
  const inside = join(start, '.git');
  const [kind, insideKind] = await Promise.all([kindOf(start), kindOf(inside)]);
  if (kind === 'nothing') {
    throw new FileNotFoundError(`there is no repository at ${path}: nothing has that name`, {
      path,
    });
  }
  if (kind === 'file') return followGitFile(start, path);
  // As git does: a worktree before a directory that only looks like a bare repository.
  if (insideKind === 'file') return followGitFile(inside, path);
  const gitDir = insideKind === 'directory' ? inside : start;
  const layout = await layoutOf(gitDir);
  const fault = await faultOf(layout);
  if (fault !== undefined) throw notARepository(path, fault);
  return layout;
}

async function followGitFile(file: string, path: string): Promise<RepositoryLayout> {
  const target = gitFile.exec(await readFile(file, 'utf8'))?.[1];
  if (target === undefined) throw notARepository(path, `${file} does not say where one is`);
  const layout = await layoutOf(resolve(dirname(file), target));
  const fault = await faultOf(layout);
  if (fault !== undefined) throw notARepository(path, `it leads to ${layout.gitDir}, and ${fault}`);
  return layout;
}

async function layoutOf(gitDir: string): Promise<RepositoryLayout> {
  const common = await readIfFile(join(gitDir, 'commondir'));
  const commonDir = common === undefined ? gitDir : resolve(gitDir, common.trimEnd());
  return { gitDir, commonDir };
}

/** What keeps git from taking these directories for a repository; `undefined` when nothing does. */
async function faultOf({ gitDir, commonDir }: RepositoryLayout): Promise<string | undefined> {
  const [head, objects, refs] = await Promise.all([
    readIfFile(join(gitDir, 'HEAD')),
    kindOf(join(commonDir, 'objects')),
    kindOf(join(commonDir, 'refs')),
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

async function kindOf(path: string): Promise<'nothing' | 'file' | 'directory'> {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'file';
  } catch (error) {
    if (isNothingThere(error)) return 'nothing';
    throw error;
  }
}

async function readIfFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1');
  } catch (error) {
    if (isNothingThere(error)) return undefined;
    throw error;
  }
}
