import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkConnected, reachableObjects } from '../../src/git/reachable.ts';
import { parseOid } from '../../src/git/oid.ts';
import type { Oid } from '../../src/git/oid.ts';
import { git } from '../helpers/git.ts';
import {
  createBareRepository,
  importHistory,
  openObjects,
  revision,
  seededRandom,
} from '../helpers/git-objects.ts';
import { collect } from '../helpers/library-fixture.ts';

async function gitWalk(gitDir: string, args: readonly string[]): Promise<Set<string>> {
  const output = await git(['rev-list', '--objects', '--no-object-names', ...args], {
    cwd: gitDir,
  });
  return new Set(output.split('\n').filter((line) => line !== ''));
}

/** Commits that merge at random, some of them with clocks that went wrong. */
async function importMerges(gitDir: string, commits: number, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const lines: string[] = [];
  for (let commit = 1; commit <= commits; commit++) {
    const time = 1700000000 + commit * 10 - (random() < 0.2 ? Math.floor(random() * 300) : 0);
    lines.push(`commit refs/heads/c${commit}`, `mark :${commit}`);
    lines.push(`committer C <c@e> ${time} +0000`, 'data 1', 'c');
    const parents = new Set<number>();
    for (let count = 1 + Math.floor(random() * 2); count > 0 && commit > 1; count--) {
      parents.add(1 + Math.floor(random() * (commit - 1)));
    }
    for (const [index, parent] of [...parents].entries()) {
      lines.push(`${index === 0 ? 'from' : 'merge'} :${parent}`);
    }
    const content = String(Math.floor(random() * 1000));
    lines.push(`M 100644 inline d${Math.floor(random() * 4)}/f${Math.floor(random() * 4)}`);
    lines.push(`data ${content.length}`, content);
  }
  await git(['fast-import', '--quiet'], { cwd: gitDir, input: `${lines.join('\n')}\n` });
}

describe('the objects that refs reach', () => {
  test('are those that git finds, tags, trees and blobs included', async () => {
    const gitDir = await createBareRepository();
    await importHistory(gitDir, { files: 10, commits: 5 });
    const odb = await openObjects(gitDir);
    const walk = async (tips: string[], excluded: string[] = []): Promise<Set<Oid>> => {
      const found = await collect(
        reachableObjects(odb, {
          tips: await Promise.all(tips.map((name) => revision(gitDir, name))),
          excluded: await Promise.all(excluded.map((name) => revision(gitDir, name))),
        }),
      );
      for (const { oid, type } of found) expect((await odb.header(oid)).type).toBe(type);
      expect(new Set(found.map(({ oid }) => oid)).size).toBe(found.length);
      return new Set(found.map(({ oid }) => oid));
    };
    expect(await walk(['main', 'v1'])).toEqual(await gitWalk(gitDir, ['main', 'v1']));
    expect(await walk(['v1'], ['main~1'])).toEqual(await gitWalk(gitDir, ['v1', '^main~1']));
    expect(await walk(['main'], ['v1'])).toEqual(new Set());
    expect(await walk(['main:large', 'main:bin'])).toEqual(
      await gitWalk(gitDir, ['main:large', 'main:bin']),
    );
    expect(await walk(['main:bin'], ['main:bin/run'])).toEqual(
      new Set([await revision(gitDir, 'main:bin')]),
    );
  });

  test('between any commits of a tangled history are all that git finds', async () => {
    const gitDir = await createBareRepository();
    const commits = 60;
    await importMerges(gitDir, commits, 3);
    const odb = await openObjects(gitDir);
    const random = seededRandom(4);
    const some = (): string[] =>
      Array.from(
        { length: 1 + Math.floor(random() * 3) },
        () => `c${1 + Math.floor(random() * commits)}`,
      );
    for (let round = 0; round < 25; round++) {
      const [tips, excluded] = [some(), some()];
      const wanted = await gitWalk(gitDir, [...tips, ...excluded.map((name) => `^${name}`)]);
      const everything = await gitWalk(gitDir, tips);
      const found = new Set<string>();
      const options = {
        tips: await Promise.all(tips.map((name) => revision(gitDir, name))),
        excluded: await Promise.all(excluded.map((name) => revision(gitDir, name))),
      };
      for await (const { oid } of reachableObjects(odb, options)) found.add(oid);
      // Nothing that is needed is left out; git leaves out less for want of looking further.
      const exact = await gitWalk(gitDir, [
        '--objects-edge-aggressive',
        ...tips,
        ...excluded.map((name) => `^${name}`),
      ]);
      for (const oid of exact) if (!oid.startsWith('-')) expect(found).toContain(oid);
      for (const oid of found) expect(everything).toContain(oid);
      expect(found.size).toBeLessThanOrEqual(wanted.size + 4);
    }
  });

  test('must all be there, what is excluded need not be', async () => {
    const gitDir = await createBareRepository();
    await importMerges(gitDir, 6, 9);
    const odb = await openObjects(gitDir);
    const tip = await revision(gitDir, 'c6');
    const missing = parseOid('1'.repeat(40));
    await checkConnected(odb, [tip], [missing]);
    await expect(checkConnected(odb, [missing], [])).rejects.toMatchObject({ oid: missing });
    const [, blob] = (await git(['ls-tree', '-r', 'c6'], { cwd: gitDir })).split(/[ \t]blob |\t/);
    const oid = parseOid(blob ?? '');
    await rm(join(gitDir, 'objects', oid.slice(0, 2), oid.slice(2)));
    await odb.refresh();
    await expect(checkConnected(odb, [tip], [])).rejects.toMatchObject({ oid });
    await checkConnected(odb, [tip], [tip]);
  });
});
