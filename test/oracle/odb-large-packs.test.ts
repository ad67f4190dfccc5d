import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { oidToBytes } from '../../src/git/oid.ts';
import { createBareRepository, openObjects } from '../helpers/git-objects.ts';
import { git, gitBytes } from '../helpers/git.ts';
import {
  copyInstruction,
  delta,
  deltaEntry,
  insertInstruction,
  wholeEntry,
  writeHandmadePack,
} from '../helpers/handmade-pack.ts';

const gibibyte = 2 ** 30;

describe('a pack of more than 4 GiB', () => {
  const first = wholeEntry('blob', Buffer.from('in front of everything\n'));
  const far = wholeEntry('blob', Buffer.from('behind two gibibytes\n'));
  const farther = wholeEntry('tree', Buffer.alloc(0));
  const changed = Buffer.from('in front of everything, changed\n');
  const changes = delta(
    first.data.length,
    changed.length,
    copyInstruction(0, first.data.length - 1),
    insertInstruction(Buffer.from(', changed\n')),
  );

  it('is read through offsets of 64 bits, as git does it', async () => {
    const gitDir = await createBareRepository();
    const place = 5 * gibibyte + 17;
    const entries = [
      first,
      { ...far, offset: 2 * gibibyte + 5 },
      { ...farther, offset: 4 * gibibyte - 3 },
      // A delta whose base is more than 4 GiB away.
      { ...deltaEntry(changes, place - 12, changed), offset: place },
    ];
    const { pack, index } = writeHandmadePack(join(gitDir, 'objects/pack'), 'large', entries);
    expect(statSync(pack).size).toBeGreaterThan(5 * gibibyte);
    const database = await openObjects(gitDir);
    const expected = [first.data, far.data, farther.data, changed];
    for (const [at, { oid }] of entries.entries()) {
      const { type, data } = await database.read(oid);
      expect(data).toEqual(expected[at]);
      expect(data).toEqual(await gitBytes(['cat-file', type, oid], { cwd: gitDir }));
    }
    // Through an index over many packs, whose large offsets stand in a chunk of their own.
    await git(['multi-pack-index', 'write'], { cwd: gitDir });
    expect(readFileSync(join(gitDir, 'objects/pack/multi-pack-index')).includes('LOFF')).toBe(true);
    const indexed = await openObjects(gitDir);
    for (const [at, { oid }] of entries.entries()) {
      expect((await indexed.read(oid)).data).toEqual(expected[at]);
    }
    expect(statSync(index).size).toBeLessThan(10_000);
  });
});

describe('an index of more than 100 MB', () => {
  it('is not read whole', async () => {
    const gitDir = await createBareRepository();
    const entry = wholeEntry('blob', Buffer.from('one of five million\n'));
    const { pack, index } = writeHandmadePack(join(gitDir, 'objects/pack'), 'wide', [entry]);
    const checksum = readFileSync(pack).subarray(-20);
    writeWideIndex(index, entry.oid, checksum);
    expect(statSync(index).size).toBeGreaterThan(130_000_000);

    const cacheSizeBytes = 16 * 1024 * 1024;
    const residentBefore = process.memoryUsage().rss;
    const database = await openObjects(gitDir, { cacheSizeBytes });
    expect((await database.read(entry.oid)).data).toEqual(entry.data);
    expect(await database.resolvePrefix(entry.oid.slice(0, 12))).toEqual([entry.oid]);
    expect(process.memoryUsage().rss - residentBefore).toBeLessThan(64 * 1024 * 1024);
  });
});

/**
 * An index where the object stands behind five million others, whose ids are all zero: they are a
 * hole in the file.
 */
function writeWideIndex(
  path: string,
  oid: ReturnType<typeof wholeEntry>['oid'],
  checksum: Buffer,
): void {
  const others = 5_000_000;
  const count = others + 1;
  const raw = oidToBytes(oid);
  const fanout = Buffer.alloc(1024);
  for (let byte = 0; byte < 256; byte++) {
    fanout.writeUInt32BE(byte < raw.readUInt8(0) ? others : count, 4 * byte);
  }
  const offset = Buffer.alloc(4);
  offset.writeUInt32BE(12);
  const idsOffset = 8 + fanout.length;
  const offsetsOffset = idsOffset + count * 24;
  const trailerOffset = offsetsOffset + count * 4;
  const file = openSync(path, 'w');
  const put = (bytes: Buffer, position: number): number =>
    writeSync(file, bytes, 0, bytes.length, position);
  put(Buffer.from([0xff, 0x74, 0x4f, 0x63, 0, 0, 0, 2]), 0);
  put(fanout, 8);
  put(raw, idsOffset + others * 20);
  put(offset, offsetsOffset + others * 4);
  put(checksum, trailerOffset);
  put(createHash('sha1').update('not looked at').digest(), trailerOffset + checksum.length);
  ftruncateSync(file, trailerOffset + 40);
  closeSync(file);
}
