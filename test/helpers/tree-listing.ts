import { createHash } from 'node:crypto';
import { gitBytes, git } from './git.ts';
import { program } from './program.ts';

/**
 * A tree as lines `<mode> <type> <oid> <path>`, sorted; directories have no oid, since a directory
 * on a disk has none. The same lines come from a repository and from a directory, so that a
 * mismatch reads as a plain difference.
 */
export type TreeListing = readonly string[];

/** What git stores. */
export async function storedTree(gitDir: string, treeish: string): Promise<TreeListing> {
  const output = await git([
    '--git-dir',
    gitDir,
    'ls-tree',
    '-r',
    '-t',
    '-z',
    '--full-tree',
    treeish,
  ]);
  return records(output)
    .map((record) => {
      const [, mode, type, oid, path] = /^(\d+) (\w+) (\w+)\t(.*)$/s.exec(record) ?? [];
      return `${mode} ${type} ${type === 'tree' ? '' : oid} ${path}`;
    })
    .sort();
}

/** What ordinary programs see in a directory: names, types and modes of find, contents as git hashes them. */
export async function shownTree(gitDir: string, directory: string): Promise<TreeListing> {
  const format = '%y %m %P\\0%l\\0';
  const found = records(
    await program('find', ['.', '-mindepth', '1', '-printf', format], {
      cwd: directory,
      timeoutMs: 60_000,
    }),
    true,
  );
  const lines: string[] = [];
  const files: { path: string; mode: string }[] = [];
  for (let at = 0; at + 1 < found.length; at += 2) {
    const [, type, mode, path] = /^(.) (\d+) (.*)$/s.exec(found[at]!) ?? [];
    if (type === undefined || mode === undefined || path === undefined) {
      throw new Error(`find printed ${JSON.stringify(found[at])}`);
    }
    if (type === 'd') lines.push(`040000 tree  ${path}`);
    else if (type === 'l') lines.push(`120000 blob ${blobOid(found[at + 1]!)} ${path}`);
    else if (type === 'f') files.push({ path, mode: `100${mode.padStart(3, '0')}` });
    else throw new Error(`${path} has the type ${type}`);
  }
  const oids = await hashFiles(
    gitDir,
    directory,
    files.map((file) => file.path),
  );
  files.forEach(({ path, mode }, index) => lines.push(`${mode} blob ${oids[index]} ${path}`));
  return lines.sort();
}

async function hashFiles(gitDir: string, directory: string, paths: string[]): Promise<string[]> {
  if (paths.length === 0) return [];
  const output = await gitBytes(
    ['--git-dir', gitDir, 'hash-object', '--no-filters', '--stdin-paths'],
    // A leading ./ keeps a path that begins with a quote from being read as a quoted one.
    { cwd: directory, input: paths.map((path) => `./${path}\n`).join(''), timeoutMs: 60_000 },
  );
  return output.toString().trimEnd().split('\n');
}

function blobOid(content: string): string {
  const bytes = Buffer.from(content);
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function records(output: string, keepEmpty = false): string[] {
  const all = output.split('\0').slice(0, -1);
  return keepEmpty ? all : all.filter((record) => record !== '');
}
