import { lstat, readdir } from 'node:fs/promises';
import { byteStringFromBuffer, textFromBytes } from '../git/byte-string.ts';
import type { ByteString } from '../git/byte-string.ts';
import { systemErrorCode } from '../git/system-error.ts';
import { globSource } from '../snapshot/glob.ts';
import type { GlobSource } from '../snapshot/glob.ts';
import { kindOf } from './disk-source.ts';
import type { DiskKind } from './disk-source.ts';
import { joinLocalPath, localPathBytes } from './local-path.ts';

/**
 * The local paths that match a pattern, sorted by their bytes; the sources of a `copyIn`, say. `*`
 * and `?` match within a name, but no leading dot unless the pattern's segment begins with one; `**`
 * is any number of directories, none included, whose names do not begin with a dot, and follows no
 * links. A `/./` pivot is kept in the results. A pattern that does not begin with `/` counts from the
 * working directory. Directories that may not be read match nothing; other failures of the disk are
 * thrown as they come.
 */
export async function diskGlob(pattern: string): Promise<string[]> {
  const texts = pattern.split('/').filter((text) => text !== '');
  const isAbsolute = pattern.startsWith('/');
  const root: DiskNode = { path: (isAbsolute ? '/' : '.') as ByteString, kind: 'directory' };
  const paths: ByteString[] = [];
  for await (const path of globSource(new DirectorySource(), root, pattern, texts)) {
    paths.push(isAbsolute ? (`/${path}` as ByteString) : path);
  }
  return paths.sort().map(textFromBytes);
}

interface DiskNode {
  readonly path: ByteString;
  readonly kind: DiskKind;
}

class DirectorySource implements GlobSource<DiskNode> {
  entry({ path }: DiskNode, name: ByteString): Promise<DiskNode | undefined> {
    const child = joinLocalPath(path, name);
    return unlessUnreachable(undefined, async () => {
      const found = await lstat(localPathBytes(child), { bigint: true });
      return { path: child, kind: kindOf(found) };
    });
  }

  entries({ path, kind }: DiskNode): Promise<(readonly [ByteString, DiskNode])[]> {
    // A link may lead to a directory; reading it tells.
    if (kind !== 'directory' && kind !== 'link') return Promise.resolve([]);
    return unlessUnreachable([], async () => {
      const options = { encoding: 'buffer', withFileTypes: true } as const;
      const dirents = await readdir(localPathBytes(path), options);
      return dirents.map((dirent) => {
        const name = byteStringFromBuffer(dirent.name);
        return [name, { path: joinLocalPath(path, name), kind: kindOf(dirent) }] as const;
      });
    });
  }

  isEntered({ kind }: DiskNode): boolean {
    return kind === 'directory';
  }
}

/** What is not there, or not for us to see, matches nothing. */
async function unlessUnreachable<Result>(
  otherwise: Result,
  look: () => Promise<Result>,
): Promise<Result> {
  try {
    return await look();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'].includes(systemErrorCode(error))) return otherwise;
    throw error;
  }
}
