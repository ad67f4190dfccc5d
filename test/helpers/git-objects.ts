import { mkdtemp, readFile, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { ObjectType } from '../../src/git/object.ts';
import { ObjectDatabase } from '../../src/git/odb/object-database.ts';
import type { ObjectDatabaseOptions } from '../../src/git/odb/object-database.ts';
import { parseOid } from '../../src/git/oid.ts';
import type { HashAlgorithm, Oid } from '../../src/git/oid.ts';
import { git, gitBytes } from './git.ts';
import { seededRandom } from './seeded-random.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export { seededRandom } from './seeded-random.ts';

/** An object as git tells it. */
export interface GitObject {
  readonly oid: Oid;
  readonly type: ObjectType;
  readonly data: Buffer;
}

/** Bytes that do not compress. */
export function noise(sizeBytes: number, seed: number): Buffer {
  const random = seededRandom(seed);
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at + 4 <= sizeBytes; at += 4)
    bytes.writeUInt32LE((random() * 2 ** 32) >>> 0, at);
  return bytes;
}

/** Lines of text that compress, and that no other seed gives. */
export function text(sizeBytes: number, seed: number): Buffer {
  const random = seededRandom(seed);
  let lines = '';
  while (lines.length < sizeBytes) {
    lines += `line ${Math.floor(random() * 1e6)} of ${seed}: the quick brown fox jumps\n`;
  }
  return Buffer.from(lines.slice(0, sizeBytes));
}

/** A fresh bare repository. */
export async function createBareRepository(algorithm: HashAlgorithm = 'sha1'): Promise<string> {
  const gitDir = join(await temporaryDirectory(), 'repository.git');
  await git(['init', '--quiet', '--bare', `--object-format=${algorithm}`, gitDir]);
  return gitDir;
}

/** How large a history is made. */
export interface HistorySize {
  readonly files: number;
  readonly commits: number;
  readonly seed?: number;
}

/**
 * Commits to `main`: text files that change a little each time, one that is large, one that does not
 * compress, an empty one, a program and a link, in directories, and a tag on the last commit.
 */
export async function importHistory(gitDir: string, size: HistorySize): Promise<void> {
  const random = seededRandom(size.seed ?? 1);
  const contents = new Map<string, Buffer>();
  const parts: (string | Buffer)[] = [];
  const put = (path: string, mode: string, data: Buffer): void => {
    parts.push(`M ${mode} inline ${path}\ndata ${data.length}\n`, data, '\n');
  };
  for (let commit = 0; commit < size.commits; commit++) {
    parts.push(
      `commit refs/heads/main\ncommitter C <c@example.com> ${1700000000 + commit} +0000\n`,
    );
    parts.push(`data <<END\nchange ${commit}\nEND\n`);
    if (commit === 0) {
      put('empty', '100644', Buffer.alloc(0));
      put('bin/run', '100755', Buffer.from('#!/bin/sh\n'));
      put('link', '120000', Buffer.from('bin/run'));
      put('noise', '100644', noise(700_000, 7));
    }
    for (let file = 0; file < size.files; file++) {
      const path = `directory-${file % 7}/inner-${file % 3}/file-${file}.txt`;
      const before = contents.get(path) ?? text(50 + Math.floor(random() ** 3 * 20_000), file);
      if (commit > 0 && random() > 0.2) continue;
      contents.set(path, change(before, random, commit));
      put(path, '100644', contents.get(path) ?? before);
    }
    const large = contents.get('large') ?? text(1_200_000, 99);
    contents.set('large', change(large, random, commit));
    put('large', '100644', contents.get('large') ?? large);
  }
  parts.push(
    'tag v1\nfrom refs/heads/main\ntagger T <t@example.com> 1700000000 +0000\ndata 3\ntag\n',
  );
  const input = Buffer.concat(parts.map((part) => Buffer.from(part)));
  // Without unpacking, so that a test decides what is loose.
  await git(['-c', 'fastimport.unpackLimit=1', 'fast-import', '--quiet'], { cwd: gitDir, input });
}

function change(content: Buffer, random: () => number, commit: number): Buffer {
  const at = Math.floor(random() * content.length);
  const inserted = Buffer.from(`changed in ${commit}\n`);
  return Buffer.concat([content.subarray(0, at), inserted, content.subarray(at)]);
}

/** Takes everything out of the packs. */
export async function unpackAll(gitDir: string): Promise<void> {
  const list = await git(['count-objects', '-v'], { cwd: gitDir });
  if (/^packs: 0$/m.test(list)) return;
  const packs = join(gitDir, 'objects/pack');
  const aside = await mkdtemp(join(gitDir, 'aside-'));
  for (const name of await readdir(packs)) await rename(join(packs, name), join(aside, name));
  for (const name of await readdir(aside)) {
    if (!name.endsWith('.pack')) continue;
    await git(['unpack-objects', '-q'], { cwd: gitDir, input: await readFile(join(aside, name)) });
  }
}

/** Makes a pack of these objects, which may be stored elsewhere already; they are deltas among themselves. */
export async function packObjects(gitDir: string, oids: readonly Oid[]): Promise<void> {
  const target = join(gitDir, 'objects/pack/pack');
  await git(['pack-objects', '--quiet', target], { cwd: gitDir, input: `${oids.join('\n')}\n` });
}

/** All objects of a repository, borrowed ones too, as git reads them. */
export async function allObjects(gitDir: string): Promise<GitObject[]> {
  const output = await gitBytes(['cat-file', '--batch-all-objects', '--batch'], { cwd: gitDir });
  const objects: GitObject[] = [];
  for (let at = 0; at < output.length;) {
    const lineEnd = output.indexOf('\n', at);
    const [oid = '', type, size] = output.toString('latin1', at, lineEnd).split(' ');
    const start = lineEnd + 1;
    const end = start + Number(size);
    const data = output.subarray(start, end);
    objects.push({ oid: parseOid(oid), type: type as ObjectType, data });
    at = end + 1;
  }
  return objects;
}

/** The id that a revision stands for. */
export async function revision(gitDir: string, name: string): Promise<Oid> {
  return parseOid((await git(['rev-parse', '--verify', name], { cwd: gitDir })).trim());
}

/** The object database of a repository; closed when the test ends. */
export async function openObjects(
  gitDir: string,
  options: Partial<ObjectDatabaseOptions> = {},
): Promise<ObjectDatabase> {
  const database = await ObjectDatabase.open({
    objectsDirectory: join(gitDir, 'objects'),
    algorithm: 'sha1',
    compressionLevel: 6,
    ...options,
  });
  onTestFinished(() => database.close());
  return database;
}
