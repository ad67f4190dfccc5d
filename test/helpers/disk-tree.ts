import {
  chmod,
  lstat,
  mkdir,
  readFile,
  readdir,
  readlink,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { dirname } from 'node:path';

/** Bytes of a path or name, one a character: what disks hold, whether or not it is UTF-8. */
export function diskBytes(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

/** A file's content, and how it is marked: `x:` before the content for executable, `->` before the target of a link. */
export type DiskFiles = Readonly<Record<string, string>>;

/** Makes files, links (`-> target`) and executables (`x:content`) below a directory; paths are bytes. */
export async function makeFiles(directory: string, files: DiskFiles): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    const file = diskBytes(`${directory}/${path}`);
    await mkdir(diskBytes(dirname(`${directory}/${path}`)), { recursive: true });
    if (text.startsWith('-> ')) await symlink(diskBytes(text.slice(3)), file);
    else if (text.startsWith('x:')) {
      await writeFile(file, text.slice(2));
      await chmod(file, 0o755);
    } else await writeFile(file, text);
  }
}

/** All files and links below a directory, in the form that `makeFiles` takes; empty directories do not show. */
export async function shownFiles(directory: string, prefix = ''): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(diskBytes(directory), { encoding: 'buffer' })) {
    const name = entry.toString('latin1');
    const path = diskBytes(`${directory}/${name}`);
    const found = await lstat(path);
    const shown = `${prefix}${name}`;
    if (found.isDirectory()) {
      Object.assign(files, await shownFiles(`${directory}/${name}`, `${shown}/`));
    } else if (found.isSymbolicLink()) {
      files[shown] = `-> ${(await readlink(path, { encoding: 'buffer' })).toString('latin1')}`;
    } else if (found.isFile()) {
      files[shown] = `${(found.mode & 0o100) === 0 ? '' : 'x:'}${await readFile(path, 'utf8')}`;
    } else {
      files[shown] = 'special';
    }
  }
  return Object.fromEntries(Object.entries(files).sort());
}
