import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { OpenFile } from '../../src/git/open-file.ts';
import { DeflatedTrees } from '../../src/git/odb/deflated-trees.ts';
import { UnsyncedFiles } from '../../src/git/odb/durable.ts';
import { PageCache } from '../../src/git/odb/page-cache.ts';
import { SmallPacks } from '../../src/git/odb/small-packs.ts';
import { SpareIndexes } from '../../src/git/odb/spare-indexes.ts';
import { StagingArea } from '../../src/git/odb/staging-area.ts';
import type { StagingAreaOptions } from '../../src/git/odb/staging-area.ts';
import { oidToBytes } from '../../src/git/oid.ts';
import type { HashAlgorithm, Oid } from '../../src/git/oid.ts';
import { git, gitBytes } from './git.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** A new bare repository, and what a staging area in it needs. */
export interface StagingRepository {
  readonly gitDir: string;
  readonly options: StagingAreaOptions;
}

export async function repositoryForStaging(
  algorithm: HashAlgorithm = 'sha1',
): Promise<StagingRepository> {
  const gitDir = await temporaryDirectory();
  await git(['init', '-q', '--bare', `--object-format=${algorithm}`], { cwd: gitDir });
  const objectsDirectory = join(gitDir, 'objects');
  const spares = new SpareIndexes(objectsDirectory);
  const options: StagingAreaOptions = {
    objectsDirectory,
    algorithm,
    compressionLevel: -1,
    trees: new DeflatedTrees(),
    unsynced: new UnsyncedFiles(join(gitDir, 'objects')),
    spares,
    smallPacks: new SmallPacks({
      objectsDirectory,
      algorithm,
      spares,
      pages: new PageCache({ maxSizeBytes: 1024 * 1024 }),
      onMerged: () => Promise.resolve(),
    }),
    exists: (oid) => Promise.resolve(isInRepository(objectsDirectory, oid)),
    isKnown: (oid) => Promise.resolve(isInRepository(objectsDirectory, oid)),
    isLoose: (oid) => Promise.resolve(isInRepository(objectsDirectory, oid)),
    freshenLoose: (oid) => Promise.resolve(existsSync(looseFile(objectsDirectory, oid))),
    filesOf: (oid) => {
      const path = looseFile(objectsDirectory, oid);
      return Promise.resolve(existsSync(path) ? [path] : []);
    },
    refresh: () => Promise.resolve(),
  };
  return { gitDir, options };
}

function looseFile(objectsDirectory: string, oid: Oid): string {
  return join(objectsDirectory, oid.slice(0, 2), oid.slice(2));
}

// Simple, slow for large repositories, and without a memory of what was there before.
function isInRepository(objectsDirectory: string, oid: Oid): boolean {
  if (existsSync(looseFile(objectsDirectory, oid))) return true;
  const packs = join(objectsDirectory, 'pack');
  const indexes = readdirSync(packs).filter((name) => name.endsWith('.idx'));
  return indexes.some((name) => readFileSync(join(packs, name)).includes(oidToBytes(oid)));
}

/** Makes calls of open files fail, or tells of them; `this` is the file. */
export const openFileMethods: OpenFile = OpenFile.prototype;

/** What the system says when a disk is full, or broken. */
export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: the test says so`), { code });
}

/** What a method of open files does when nothing is made of it. */
export function originalOf<Name extends 'write' | 'sync'>(name: Name): OpenFile[Name] {
  return Object.getOwnPropertyDescriptor(openFileMethods, name)?.value as OpenFile[Name];
}

/** Makes one write to a file fail, counted from now on, 1 for the next. */
export function failWrite(count: number, code: string): void {
  const original = originalOf('write');
  let writes = 0;
  vi.spyOn(openFileMethods, 'write').mockImplementation(function (this: OpenFile, ...args) {
    writes += 1;
    return writes === count ? Promise.reject(systemError(code)) : original.apply(this, args);
  });
}

/** Git's count of the objects that are visible to it. */
export interface ObjectCounts {
  readonly loose: number;
  readonly packs: number;
  readonly packed: number;
}

export async function countObjects(gitDir: string): Promise<ObjectCounts> {
  const text = await git(['count-objects', '-v'], { cwd: gitDir });
  const count = (name: string): number =>
    Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1]);
  return { loose: count('count'), packs: count('packs'), packed: count('in-pack') };
}

/** The files in the object directory that have no name of their own yet. */
export async function temporaryFiles(gitDir: string): Promise<string[]> {
  const names = await readdir(join(gitDir, 'objects'), { recursive: true });
  return names.filter((name) => /tmp_|vost_/.test(name));
}

/** Content as a stream, some bytes at a time. */
export async function* inChunks(data: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < data.length; start += chunkBytes) {
    yield await Promise.resolve(data.subarray(start, start + chunkBytes));
  }
}

/** A new bare repository with a staging area. */
export async function newStagingArea(algorithm: HashAlgorithm = 'sha1'): Promise<{
  gitDir: string;
  area: StagingArea;
}> {
  const { gitDir, options } = await repositoryForStaging(algorithm);
  return { gitDir, area: new StagingArea(options) };
}

export function randomContents(count: number, sizeBytes: number): Buffer[] {
  return Array.from({ length: count }, () => randomBytes(sizeBytes));
}

/** Stages blobs, all at once. */
export function writeBlobs(area: StagingArea, contents: readonly Buffer[]): Promise<Oid[]> {
  return Promise.all(contents.map(async (data) => area.write('blob', data)));
}

export async function expectBlobInGit(gitDir: string, oid: Oid, data: Buffer): Promise<void> {
  expect((await gitBytes(['cat-file', 'blob', oid], { cwd: gitDir })).equals(data)).toBe(true);
}
