import { randomBytes } from 'node:crypto';
import { link, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { NotARepositoryError } from '../errors.ts';
import { syncPath } from './odb/durable.ts';
import type { HashAlgorithm } from './oid.ts';
import type { RefName } from './refs/ref-name.ts';
import type { RepositoryLayout } from './repository-layout.ts';
import { systemErrorCode, withoutLinks } from './system-error.ts';

// A repository is made in its place, step by step, each of which can be taken again, and `HEAD` comes
// last: without it nobody, git included, takes the directory for a repository. So a creation that
// was cut off can be finished by another one, and several at once finish the same one. (A directory
// that is built aside and renamed cannot replace a mount point, or one in a directory of others.)

const directories = ['objects/info', 'objects/pack', 'refs/heads', 'refs/tags'];
// What a directory may hold for a repository to be made in it: what an unfinished creation leaves,
// and what the root of a fresh filesystem holds.
const unfinished =
  /^(?:objects|refs|logs|packed-refs|config|(?:config|HEAD)\.[0-9a-f]+\.tmp|lost\+found)$/;

/** Makes everything but `HEAD`. What is there already stays, an object format included. */
export async function prepareRepository(
  path: string,
  algorithm: HashAlgorithm,
): Promise<RepositoryLayout> {
  const gitDir = resolve(path);
  await refuseForeignContent(gitDir, path);
  for (const name of directories) await mkdir(join(gitDir, name), { recursive: true });
  await writeOnce(gitDir, 'config', configText(algorithm));
  return { gitDir, commonDir: gitDir };
}

/** Makes `HEAD`, with which the repository begins to exist. */
export async function completeRepository(
  { gitDir }: RepositoryLayout,
  branch: RefName,
): Promise<void> {
  await writeOnce(gitDir, 'HEAD', `ref: ${branch}\n`);
}

function configText(algorithm: HashAlgorithm): string {
  const version = algorithm === 'sha1' ? 0 : 1;
  const core = {
    repositoryformatversion: version,
    filemode: true,
    bare: true,
    logAllRefUpdates: 'always',
  };
  const lines = Object.entries(core).map(([name, value]) => `\t${name} = ${value}\n`);
  const extensions = version === 0 ? '' : `[extensions]\n\tobjectformat = ${algorithm}\n`;
  return `[core]\n${lines.join('')}${extensions}`;
}

async function refuseForeignContent(gitDir: string, path: string): Promise<void> {
  const entries = await readdir(gitDir).catch((error: unknown) => {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') return [];
    if (code === 'ENOTDIR') throw notForUs(path, 'it is no directory');
    throw error;
  });
  const foreign = entries.find((name) => !unfinished.test(name));
  if (foreign !== undefined) throw notForUs(path, `it holds ${JSON.stringify(foreign)}`);
}

function notForUs(path: string, why: string): NotARepositoryError {
  return new NotARepositoryError(
    `${path} is not a git repository, and none can be made there, because ${why}; ` +
      'name an empty or a new directory',
    { path },
  );
}

// The file appears whole or not at all, and never replaces one that is there.
async function writeOnce(directory: string, name: string, content: string): Promise<void> {
  const target = join(directory, name);
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeFile(temporary, content, { flag: 'wx', flush: true });
    await linkInto(temporary, target);
    await syncPath(directory);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function linkInto(temporary: string, target: string): Promise<void> {
  try {
    await link(temporary, target);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') return;
    if (!withoutLinks.has(code)) throw error;
    await rename(temporary, target);
  }
}
