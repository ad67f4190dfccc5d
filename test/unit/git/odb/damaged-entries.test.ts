import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CorruptObjectError } from '../../../../src/errors.ts';
import { hashObject } from '../../../../src/git/object.ts';
import type { ObjectDatabase } from '../../../../src/git/odb/object-database.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import { createBareRepository, noise, openObjects } from '../../../helpers/git-objects.ts';
import { git } from '../../../helpers/git.ts';
import {
  copyInstruction,
  delta,
  deltaEntry,
  insertInstruction,
  packIndex,
  wholeEntry,
  writeHandmadePack,
} from '../../../helpers/handmade-pack.ts';
import type { HandmadeEntry } from '../../../helpers/handmade-pack.ts';

const good = Buffer.from('The quick brown fox jumps over the lazy dog.\n');
const goodEntry = wholeEntry('blob', good);
const bad = Buffer.from('Nobody will ever read this.\n');
const badOid = hashObject('sha1', 'blob', bad);
const blob = 3;
const large = Buffer.alloc(2_000_000, 'large ');

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0xff;
  return copy;
}

/** A blob whose entry says or holds something wrong. */
function wrong(entry: Partial<HandmadeEntry>): HandmadeEntry {
  return { kind: blob, data: bad, oid: badOid, ...entry };
}

function wrongDelta(bytes: Buffer, base: number | Oid, oid = badOid): HandmadeEntry {
  return { ...deltaEntry(bytes, base, bad), oid };
}

const damages: readonly (readonly [string, HandmadeEntry])[] = [
  ['bytes that are no zlib stream', wrong({ compressed: noise(64, 1) })],
  [
    'a stream with a wrong checksum',
    wrong({ compressed: flipped(deflateSync(bad), deflateSync(bad).length - 1) }),
  ],
  [
    'a stream that the end of the pack cuts off',
    wrong({ compressed: deflateSync(bad).subarray(0, 12) }),
  ],
  ['less content than it declares', wrong({ declaredSizeBytes: bad.length + 1 })],
  ['more content than it declares', wrong({ declaredSizeBytes: bad.length - 1 })],
  ['a bomb that declares few bytes', wrong({ data: large, declaredSizeBytes: 10 })],
  ['a bomb that declares many bytes', wrong({ data: large, declaredSizeBytes: 1_200_000 })],
  [
    'large content that is shorter than declared',
    wrong({ data: large, declaredSizeBytes: 2_100_000 }),
  ],
  ['a size of terabytes', wrong({ declaredSizeBytes: 2 ** 42 })],
  ['a size of more bits than a number has', wrong({ declaredSizeBytes: 2 ** 60 })],
  ['type 0', wrong({ kind: 0 })],
  ['type 5', wrong({ kind: 5 })],
  [
    'a base in front of the pack',
    wrongDelta(delta(good.length, 1, copyInstruction(0, 1)), 100_000),
  ],
  ['itself as its base by distance', wrongDelta(delta(good.length, 1, copyInstruction(0, 1)), 0)],
  ['itself as its base by id', wrongDelta(delta(good.length, 1, copyInstruction(0, 1)), badOid)],
  [
    'a base that is not in the pack',
    wrongDelta(delta(good.length, 1, copyInstruction(0, 1)), hashObject('sha1', 'blob', large)),
  ],
  [
    'a base of another size',
    wrongDelta(delta(good.length + 1, 1, copyInstruction(0, 1)), goodEntry.oid),
  ],
  [
    'a copy of what its base has not',
    wrongDelta(delta(good.length, 9, copyInstruction(good.length, 9)), goodEntry.oid),
  ],
  [
    'a delta that declares terabytes',
    wrongDelta(delta(good.length, 2 ** 42, copyInstruction(0, 1)), goodEntry.oid),
  ],
  ['a delta that is empty', wrongDelta(Buffer.alloc(0), goodEntry.oid)],
];

async function corruptErrors(database: ObjectDatabase, oid: Oid): Promise<unknown[]> {
  const errors: unknown[] = [];
  const note = (error: unknown): void => void errors.push(error);
  await database.read(oid).catch(note);
  await database.tree(oid).catch(note);
  await database.readRange(oid, 0, 3_000_000).catch(note);
  await readAll(database.stream(oid)).catch(note);
  return errors;
}

async function readAll(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

describe('an entry of a pack', () => {
  it.each(damages)('with %s is corrupt, and only it', async (_, damaged) => {
    const gitDir = await createBareRepository();
    writeHandmadePack(join(gitDir, 'objects/pack'), 'damaged', [goodEntry, damaged]);
    const database = await openObjects(gitDir);
    const errors = await corruptErrors(database, damaged.oid);
    expect(errors).toHaveLength(4);
    for (const error of errors) {
      expect(error).toBeInstanceOf(CorruptObjectError);
      expect(error).toMatchObject({ oid: damaged.oid });
    }
    expect(database.readIfCached(damaged.oid)).toBeUndefined();
    expect(database.treeIfCached(damaged.oid)).toBeUndefined();
    expect((await database.read(goodEntry.oid)).data).toEqual(good);
  });

  it('that declares no content has none to be asked for, and is corrupt all the same', async () => {
    const gitDir = await createBareRepository();
    const entry = wrong({ declaredSizeBytes: 0 });
    writeHandmadePack(join(gitDir, 'objects/pack'), 'damaged', [goodEntry, entry]);
    const database = await openObjects(gitDir);
    expect(await database.header(badOid)).toEqual({ type: 'blob', sizeBytes: 0 });
    expect(await database.readRange(badOid, 0, 10)).toHaveLength(0);
    await expect(database.read(badOid)).rejects.toThrow(CorruptObjectError);
  });

  it.each([
    ['in front of the first', 4],
    ['behind the last', 1_000_000],
  ])('%s is corrupt', async (_, offset) => {
    const gitDir = await createBareRepository();
    const packs = join(gitDir, 'objects/pack');
    const { index } = writeHandmadePack(packs, 'damaged', [goodEntry]);
    const checksum = readFileSync(index).subarray(-40, -20);
    writeFileSync(
      index,
      packIndex(
        [
          { oid: goodEntry.oid, offset: 12 },
          { oid: badOid, offset },
        ],
        checksum,
      ),
    );
    const database = await openObjects(gitDir);
    await expect(database.read(badOid)).rejects.toMatchObject({
      code: 'OBJECT_CORRUPT',
      oid: badOid,
    });
    expect((await database.read(goodEntry.oid)).data).toEqual(good);
  });

  it('is passed over when there is another copy', async () => {
    const gitDir = await createBareRepository();
    const packs = join(gitDir, 'objects/pack');
    writeHandmadePack(packs, 'a', [wrong({ compressed: noise(64, 1) })]);
    writeHandmadePack(packs, 'b', [wrong({ kind: 0 })]);
    const database = await openObjects(gitDir);
    await expect(database.read(badOid)).rejects.toThrow(CorruptObjectError);
    // The same through a pack that comes later, and a loose object.
    writeHandmadePack(packs, 'c', [wholeEntry('blob', bad)]);
    expect((await database.read(badOid)).data).toEqual(bad);
    const loose = await createBareRepository();
    await git(['hash-object', '-w', '--stdin'], { cwd: loose, input: bad });
    writeHandmadePack(join(loose, 'objects/pack'), 'a', [wrong({ compressed: noise(64, 1) })]);
    expect((await (await openObjects(loose)).read(badOid)).data).toEqual(bad);
  });
});

describe('a chain of deltas', () => {
  it('may have thousands of links, and is applied without recursion', async () => {
    const gitDir = await createBareRepository();
    const { entries, contents } = chain(4_000);
    writeHandmadePack(join(gitDir, 'objects/pack'), 'long', entries);
    const database = await openObjects(gitDir, { cacheSizeBytes: 64 * 1024 });
    const last = entries.at(-1)!;
    expect((await database.read(last.oid)).data).toEqual(contents.at(-1));
    expect(await database.header(last.oid)).toEqual({
      type: 'blob',
      sizeBytes: 4_000 + good.length,
    });
  });

  it('has an end', async () => {
    const gitDir = await createBareRepository();
    const { entries } = chain(10_001);
    writeHandmadePack(join(gitDir, 'objects/pack'), 'endless', entries);
    const database = await openObjects(gitDir);
    await expect(database.read(entries.at(-1)!.oid)).rejects.toThrow(/10000 deltas/);
    await expect(database.header(entries.at(-1)!.oid)).rejects.toThrow(/10000 deltas/);
  });

  it('that leads in a circle is corrupt', async () => {
    const gitDir = await createBareRepository();
    const oids = [1, 2, 3].map((n) => hashObject('sha1', 'blob', Buffer.from([n])));
    const step = delta(1, 1, copyInstruction(0, 1));
    const entries = oids.map((oid, at) => wrongDelta(step, oids[(at + 1) % 3]!, oid));
    writeHandmadePack(join(gitDir, 'objects/pack'), 'circle', [goodEntry, ...entries]);
    const database = await openObjects(gitDir);
    for (const oid of oids) {
      await expect(database.header(oid)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', oid });
      await expect(database.read(oid)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', oid });
    }
    expect((await database.read(goodEntry.oid)).data).toEqual(good);
  });
});

/** A whole blob, and deltas that add a byte to what the one before makes. */
function chain(length: number): { entries: HandmadeEntry[]; contents: Buffer[] } {
  const entries = [goodEntry];
  const contents = [good];
  for (let link = 0; link < length; link++) {
    const before = contents.at(-1)!;
    const content = Buffer.concat([before, Buffer.from([97 + (link % 26)])]);
    const bytes = delta(
      before.length,
      content.length,
      copyInstruction(0, before.length),
      insertInstruction(content.subarray(-1)),
    );
    entries.push(deltaEntry(bytes, entries.at(-1)!.oid, content));
    contents.push(content);
  }
  return { entries, contents };
}
