import { resolve } from 'node:path';
import { farDisk } from '../disk.ts';
import type { Disk } from '../disk.ts';
import { isNothingThere } from '../system-error.ts';

const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '"': '"',
  '\\': '\\',
};

// As in git: a sixth level of borrowing is not followed.
const deepestLevel = 5;

/**
 * The object directories that this one borrows from, directly or through others (git's
 * gitrepository-layout, "objects/info/alternates"), each once and without this one. A line is a path,
 * relative to the directory whose file names it and perhaps quoted, or a comment that starts with `#`. A directory that
 * is not there is left out, as git does. `ownDisk` is where this directory is.
 */
export async function findAlternates(
  objectsDirectory: string,
  ownDisk: Disk = farDisk,
): Promise<string[]> {
  const found = new Map<string, string>();
  const own = await ownDisk.realpath(objectsDirectory);
  let level = [objectsDirectory];
  for (let depth = 1; depth <= deepestLevel && level.length > 0; depth++) {
    const next: string[] = [];
    for (const directory of level) {
      const disk = directory === objectsDirectory ? ownDisk : farDisk;
      for (const path of await readAlternates(directory, disk)) {
        const real = await realpathIfThere(path);
        if (real === undefined || real === own || found.has(real)) continue;
        found.set(real, path);
        next.push(path);
      }
    }
    level = next;
  }
  return [...found.values()];
}

async function readAlternates(objectsDirectory: string, disk: Disk): Promise<string[]> {
  const text = await disk.readFile(`${objectsDirectory}/info/alternates`);
  if (text === undefined) return [];
  const lines = text
    .toString()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => resolve(objectsDirectory, unquote(line)));
}

/** A path in double quotes has C's escapes; one that does not end in a quote is taken as it is. */
function unquote(line: string): string {
  const quoted = /^"((?:[^"\\]|\\(?:[abfnrtv"\\]|[0-3][0-7]{2}))*)"$/.exec(line)?.[1];
  if (quoted === undefined) return line;
  const bytes = Buffer.from(quoted, 'utf8').toString('latin1');
  const unescaped = bytes.replace(/\\(?:([0-7]{3})|(.))/g, (_, octal?: string, letter?: string) =>
    octal === undefined ? (escapes[letter ?? ''] ?? '') : String.fromCharCode(parseInt(octal, 8)),
  );
  return Buffer.from(unescaped, 'latin1').toString('utf8');
}

async function realpathIfThere(path: string): Promise<string | undefined> {
  try {
    return await farDisk.realpath(path);
  } catch (error) {
    if (isNothingThere(error)) return undefined;
    throw error;
  }
}
