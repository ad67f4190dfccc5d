import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { vi } from 'vitest';
import { UnsyncedFiles } from '../../src/git/odb/durable.ts';
import type { StagingAreaOptions } from '../../src/git/odb/staging-area.ts';
import type { HashAlgorithm } from '../../src/git/oid.ts';
import { git, gitResult } from './git.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** A new bare repository, and what a staging area in it needs, with git to say what exists. */
export interface StagingRepository {
  readonly gitDir: string;
  readonly options: StagingAreaOptions;
}

export async function repositoryForStaging(
  algorithm: HashAlgorithm = 'sha1',
): Promise<StagingRepository> {
  const gitDir = await temporaryDirectory();
  await git(['init', '-q', '--bare', `--object-format=${algorithm}`], { cwd: gitDir });
  const options: StagingAreaOptions = {
    objectsDirectory: join(gitDir, 'objects'),
    algorithm,
    compressionLevel: -1,
    unsynced: new UnsyncedFiles(),
    exists: async (oid) =>
      (await gitResult(['cat-file', '-e', oid], { cwd: gitDir })).exitCode === 0,
    refresh: () => Promise.resolve(),
  };
  return { gitDir, options };
}

/** The class of the handles that `open` gives, for tests that make the disk fail. */
export async function fileHandlePrototype(): Promise<FileHandle> {
  const handle = await open('/dev/null');
  await handle.close();
  return Object.getPrototypeOf(handle) as FileHandle;
}

/** What the system says when a disk is full, or broken. */
export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: the test says so`), { code });
}

/** Makes one write to a file fail, counted from now on, 1 for the next. */
export function failWrite(prototype: FileHandle, count: number, code: string): void {
  const original = Object.getOwnPropertyDescriptor(prototype, 'write')
    ?.value as FileHandle['write'];
  let writes = 0;
  vi.spyOn(prototype, 'write').mockImplementation(function (this: FileHandle, ...args) {
    writes += 1;
    return writes === count ? Promise.reject(systemError(code)) : original.apply(this, args);
  });
}
