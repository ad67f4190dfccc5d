import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ObjectDatabase } from '../../src/git/odb/object-database.ts';
import { packStream } from '../../src/git/odb/pack-stream.ts';
import type { PackStreamOptions } from '../../src/git/odb/pack-stream.ts';
import { reachableObjects } from '../../src/git/reachable.ts';
import type { ReachableObject } from '../../src/git/reachable.ts';
import { fsck, git } from '../helpers/git.ts';
import {
  createBareRepository,
  importHistory,
  openObjects,
  packObjects,
  revision,
  text,
} from '../helpers/git-objects.ts';
import { collect } from '../helpers/library-fixture.ts';
import { temporaryDirectory } from '../helpers/temporary-directory.ts';

/** A file of some 100 KiB, and one of a mebibyte, that change a little in each commit. */
async function importChanges(gitDir: string, commits: number): Promise<void> {
  const parts: Buffer[] = [];
  for (let commit = 0; commit < commits; commit++) {
    const start = `commit refs/heads/changes\ncommitter C <c@e> ${1.7e9 + commit} +0000\ndata 1\nx\n`;
    parts.push(Buffer.from(start));
    for (const [name, sizeBytes] of [
      ['some', 100_000],
      ['d/large', 1_100_000],
    ] as const) {
      const content = Buffer.concat([text(sizeBytes, 3), Buffer.from(`change ${commit}\n`)]);
      parts.push(Buffer.from(`M 100644 inline ${name}\ndata ${content.length}\n`), content);
    }
  }
  await git(['fast-import', '--quiet'], { cwd: gitDir, input: Buffer.concat(parts) });
}

async function reachableFrom(odb: ObjectDatabase, gitDir: string): Promise<ReachableObject[]> {
  const names = (await git(['for-each-ref', '--format=%(refname)'], { cwd: gitDir })).trim();
  const tips = await Promise.all(names.split('\n').map((name) => revision(gitDir, name)));
  return collect(reachableObjects(odb, { tips }));
}

/** Has git take in a stream as a pack of a new repository; gives how many of its entries are deltas. */
async function indexedByGit(
  odb: ObjectDatabase,
  objects: readonly ReachableObject[],
  options?: PackStreamOptions,
): Promise<{ deltas: number; sizeBytes: number }> {
  const pack = Buffer.concat(await collect(packStream(odb, objects, options)));
  const gitDir = await createBareRepository(odb.algorithm);
  const path = join(await temporaryDirectory(), 'x.pack');
  await writeFile(path, pack);
  // Not `--fix-thin`: it has to hold all that its deltas need.
  await git(['index-pack', '--stdin', '--strict'], { cwd: gitDir, input: pack });
  const format = '--batch-check=%(objectname) %(objecttype) %(deltabase)';
  const listing = await git(['cat-file', format, '--batch-all-objects'], { cwd: gitDir });
  const lines = listing.trim().split('\n');
  const named = lines.map((line) => line.split(' ').slice(0, 2).join(' '));
  expect(named).toEqual(objects.map(({ oid, type }) => `${oid} ${type}`).sort());
  await fsck(gitDir);
  const deltas = lines.filter((line) => !/ 0+$/.test(line)).length;
  return { deltas, sizeBytes: pack.length };
}

describe('a pack that is sent', () => {
  test.each(['sha1', 'sha256'] as const)('of %s holds the deltas that stand here', async (kind) => {
    const gitDir = await createBareRepository(kind);
    await importHistory(gitDir, { files: 12, commits: 8 });
    await importChanges(gitDir, 12);
    await git(['repack', '-adfq', '--depth=20', '--window=30'], { cwd: gitDir });
    const odb = await openObjects(gitDir, { algorithm: kind });
    const objects = await reachableFrom(odb, gitDir);
    const whole = await indexedByGit(odb, objects, { deltas: false });
    expect(whole.deltas).toBe(0);
    const sent = await indexedByGit(odb, objects);
    expect(sent.deltas).toBeGreaterThan(20);
    expect(sent.sizeBytes).toBeLessThan(whole.sizeBytes / 3);
    // In any order, and whatever of it is sent.
    for (const part of [objects.toReversed(), objects.filter((_, index) => index % 3 !== 0)]) {
      const pack = Buffer.concat(await collect(packStream(odb, part)));
      const other = await createBareRepository(kind);
      await git(['index-pack', '--stdin'], { cwd: other, input: pack });
      const listing = ['cat-file', '--batch-all-objects', '--batch-check=%(objectname)'];
      const listed = (await git(listing, { cwd: other })).trim().split('\n');
      expect(listed).toEqual(part.map(({ oid }) => oid).sort());
    }
  });

  test('is whole though packs here hold each other’s objects as deltas', async () => {
    const gitDir = await createBareRepository();
    await importChanges(gitDir, 8);
    const odb = await openObjects(gitDir);
    const objects = await reachableFrom(odb, gitDir);
    const oids = objects.map(({ oid }) => oid);
    // The same objects in several packs, with other deltas in each.
    for (const part of [oids, oids.toReversed(), oids.slice(5), oids.slice(0, -5)]) {
      await packObjects(gitDir, part);
    }
    await odb.refresh();
    for (const order of [objects, objects.toReversed()]) await indexedByGit(odb, order);
  });
});
