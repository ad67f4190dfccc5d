import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesFromText } from '../../../src/git/byte-string.ts';
import { modeBlob } from '../../../src/git/mode.ts';
import { parseOid } from '../../../src/git/oid.ts';
import type { Oid } from '../../../src/git/oid.ts';
import { Repository } from '../../../src/git/repository.ts';
import { changesFromPaths, editTree } from '../../../src/snapshot/tree-edit.ts';
import { allNotes, findNote, placeForNote } from '../../../src/store/note-tree.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

let repository: Repository;
let blob: Oid;

const target = (index: number): Oid =>
  parseOid(createHash('sha1').update(String(index)).digest('hex'));

/** A path with a slash after every two of the first digits, as many as `depth`. */
const cut = (oid: Oid, depth: number): string =>
  oid.slice(0, 2 * depth).replace(/../g, '$&/') + oid.slice(2 * depth);

async function treeOfPaths(paths: readonly string[]): Promise<Oid> {
  const staging = repository.odb.stage();
  const change = changesFromPaths(
    paths.map((path) => [bytesFromText(path), { mode: modeBlob, oid: blob }]),
  );
  const { oid } = await editTree(repository.odb, staging, null, change, { pruneEmpty: true });
  await staging.publish(undefined, { fsync: false });
  await staging.discard();
  return oid;
}

async function targetsIn(tree: Oid): Promise<string[]> {
  const found: string[] = [];
  for await (const oid of allNotes(repository.odb, tree)) found.push(oid);
  return found.sort();
}

beforeAll(async () => {
  const path = join(await temporaryDirectory(), 'notes.git');
  repository = await Repository.create(path, { initialBranch: null });
  blob = await repository.odb.write('blob', Buffer.from('note'));
});

afterAll(() => repository.close());

describe('the tree of notes', () => {
  test.each([0, 1, 2, 3, 19])('is read when %i pairs of digits are directories', async (depth) => {
    const targets = Array.from({ length: 20 }, (_, index) => target(index));
    const tree = await treeOfPaths(targets.map((oid) => cut(oid, depth)));
    expect(await targetsIn(tree)).toEqual([...targets].sort());
    for (const oid of targets) {
      expect(await findNote(repository.odb, tree, oid)).toEqual({ path: cut(oid, depth), blob });
    }
    expect(await findNote(repository.odb, tree, target(99))).toBeNull();
  });

  test('may be cut up differently in different parts, and hold other files', async () => {
    const paths = [0, 1, 2].map((depth) => cut(target(depth), depth));
    const tree = await treeOfPaths([
      ...paths,
      'README',
      'ab/x',
      'abc/d',
      `${target(7)}x`,
      '0'.repeat(41),
    ]);
    expect(await targetsIn(tree)).toEqual([0, 1, 2].map(target).sort());
    for (const depth of [0, 1, 2]) {
      const note = await findNote(repository.odb, tree, target(depth));
      expect(note?.path).toBe(cut(target(depth), depth));
    }
  });

  test('gets new notes where the others are', async () => {
    const { odb } = repository;
    expect(await placeForNote(odb, null, target(0))).toBe(target(0));
    const flat = await treeOfPaths([target(1)]);
    expect(await placeForNote(odb, flat, target(0))).toBe(target(0));
    const beside = parseOid(target(0).slice(0, 39) + (target(0).endsWith('0') ? '1' : '0'));
    const deep = await treeOfPaths([cut(beside, 2), cut(target(1), 2)]);
    expect(await placeForNote(odb, deep, target(0))).toBe(cut(target(0), 2));
    expect(await placeForNote(odb, deep, target(2))).toBe(cut(target(2), 1));
  });
});
