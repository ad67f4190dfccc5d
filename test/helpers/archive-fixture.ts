import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { FileType, GitStore } from '../../src/index.ts';
import type { FS, WriteValue } from '../../src/index.ts';
import { git } from './git.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** A store of its own, closed by the caller. */
export async function archiveStore(): Promise<{ store: GitStore; gitDir: string; main: FS }> {
  const gitDir = join(await temporaryDirectory(), 'repository.git');
  const store = await GitStore.open(gitDir);
  return { store, gitDir, main: await store.branches.get('main') };
}

/** The hash that git gives to the tree of a directory. */
export async function gitTreeOf(directory: string, gitDir: string): Promise<string> {
  const index = join(await temporaryDirectory(), 'index');
  const options = { cwd: directory, env: { GIT_INDEX_FILE: index } };
  const repository = ['--git-dir', gitDir, '--work-tree', directory];
  const add = ['-c', 'core.fileMode=true', '-c', 'core.bare=false', 'add', '--all', '--force', '.'];
  await git([...repository, ...add], options);
  return (await git([...repository, 'write-tree'], options)).trim();
}

/** A fresh directory with a name. */
export async function freshDirectory(name: string): Promise<string> {
  const directory = join(await temporaryDirectory(), name);
  await mkdir(directory);
  return directory;
}

// A lone surrogate stands for a byte that is no UTF-8.
const name = fc.oneof(
  { weight: 3, arbitrary: fc.stringMatching(/^[a-z]{1,3}$/) },
  { weight: 1, arbitrary: fc.constantFrom('ünï', '☃', 'a b', '-n', '"q"', 'x\udcff', '\udc80') },
  { weight: 1, arbitrary: fc.integer({ min: 90, max: 255 }).map((length) => 'l'.repeat(length)) },
  { weight: 1, arbitrary: fc.constantFrom('new\nline', '*?[', 'a=b', '%41', '~', 'ends ') },
);
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
const data = fc.oneof(
  { weight: 12, arbitrary: fc.uint8Array({ maxLength: 2000 }) },
  { weight: 2, arbitrary: fc.constantFrom(511, 512, 513).map((size) => new Uint8Array(size)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(1 << 20, (1 << 20) + 1).map((size) => new Uint8Array(size)),
  },
);
const value: fc.Arbitrary<WriteValue> = fc.oneof(
  data,
  data.map((bytes) => ({ data: bytes, mode: FileType.EXECUTABLE })),
  path.map((target) => ({ target })),
  fc.constant({ target: `../${'deep/'.repeat(30)}target` }),
);

/** Files and links with all kinds of names, none of them below another. */
export const archiveFiles: fc.Arbitrary<Record<string, WriteValue>> = fc
  .array(fc.tuple(path, value), { maxLength: 12 })
  .map((entries) => {
    const files = new Map<string, WriteValue>();
    for (const [at, content] of entries) {
      const clashes = [...files.keys()].some(
        (other) => other === at || other.startsWith(`${at}/`) || at.startsWith(`${other}/`),
      );
      if (!clashes) files.set(at, content);
    }
    return Object.fromEntries(files);
  });
