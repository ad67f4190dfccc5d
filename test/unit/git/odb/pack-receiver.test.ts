import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { hashObject } from '../../../../src/git/object.ts';
import type { ObjectDatabase } from '../../../../src/git/odb/object-database.ts';
import { receivePack } from '../../../../src/git/odb/pack-receiver.ts';
import { packStream } from '../../../../src/git/odb/pack-stream.ts';
import { packEntryHeader } from '../../../../src/git/odb/pack-headers.ts';
import { reachableObjects } from '../../../../src/git/reachable.ts';
import { fsck, git, gitBytes } from '../../../helpers/git.ts';
import {
  allObjects,
  createBareRepository,
  importHistory,
  openObjects,
  revision,
} from '../../../helpers/git-objects.ts';
import { collect } from '../../../helpers/library-fixture.ts';

async function* cut(bytes: Buffer, size = 4096): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) {
    yield await Promise.resolve(bytes.subarray(at, at + size));
  }
}

function pack(entries: readonly Buffer[], count = entries.length): Buffer {
  const header = Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1');
  header.writeUInt32BE(count, 8);
  const body = Buffer.concat([header, ...entries]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

function blob(data: string, sizeBytes = data.length): Buffer {
  return Buffer.concat([packEntryHeader('blob', sizeBytes), deflateSync(data)]);
}

function refDelta(base: string, delta: Buffer): Buffer {
  const head = Buffer.from([0x70 | delta.length]);
  return Buffer.concat([head, Buffer.from(base, 'hex'), deflateSync(delta)]);
}

function ofsDelta(distance: number, delta: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x60 | delta.length, distance]), deflateSync(delta)]);
}

async function emptyDatabase(): Promise<{ gitDir: string; odb: ObjectDatabase }> {
  const gitDir = await createBareRepository();
  return { gitDir, odb: await openObjects(gitDir) };
}

describe('a pack that is received', () => {
  test.each([[['--all']], [['--delta-base-offset', '--all']]])(
    'from git, with deltas (%j), is stored as it is',
    async (options) => {
      const source = await createBareRepository();
      await importHistory(source, { files: 12, commits: 6 });
      const bytes = await gitBytes(['pack-objects', '--stdout', '--revs', '-q', ...options], {
        cwd: source,
        input: '',
      });
      const { gitDir, odb } = await emptyDatabase();
      const seen: number[] = [];
      const received = await receivePack(odb, cut(bytes, 1000), {
        onEntry: (indexed, total) => seen.push(indexed / total),
      });
      expect(received.objectCount).toBe(seen.length);
      expect(seen.at(-1)).toBe(1);
      const [kept, index, packed] = (await readdir(join(gitDir, 'objects/pack'))).sort();
      expect(kept).toMatch(/\.idx$|\.keep$/);
      await received.letGo();
      const names = (await readdir(join(gitDir, 'objects/pack'))).sort();
      expect(names).toEqual([kept, index, packed].filter((name) => !name?.endsWith('.keep')));
      const stored = await readFile(join(gitDir, 'objects/pack', names[1]!));
      expect(stored.equals(bytes)).toBe(true);
      // The index is the one that git makes.
      const ours = await readFile(join(gitDir, 'objects/pack', names[0]!));
      const path = join(gitDir, 'git.idx');
      await git(['index-pack', '-o', path, join(gitDir, 'objects/pack', names[1]!)]);
      expect(ours.equals(await readFile(path))).toBe(true);
      for (const { oid, data } of await allObjects(source)) {
        expect((await odb.read(oid)).data.equals(data)).toBe(true);
      }
    },
  );

  test('from us goes both ways, and a thin one is completed', async () => {
    const source = await createBareRepository();
    await importHistory(source, { files: 6, commits: 5 });
    const from = await openObjects(source);
    const { gitDir, odb } = await emptyDatabase();
    const old = await revision(source, 'main~2');
    const objects = await collect(reachableObjects(from, { tips: [old] }));
    await (await receivePack(odb, packStream(from, objects))).letGo();
    const thin = await gitBytes(['pack-objects', '--stdout', '--revs', '--thin', '-q'], {
      cwd: source,
      input: 'v1\n^main~2\n',
    });
    await (await receivePack(odb, cut(thin))).letGo();
    await git(['update-ref', 'refs/heads/main', await revision(source, 'main')], { cwd: gitDir });
    await fsck(gitDir);
  });

  // A delta for a base of 3 bytes that makes `abcabc` of `abc`.
  const twice = Buffer.from([3, 6, 0x90, 3, 0x90, 3]);
  const abc = hashObject('sha1', 'blob', Buffer.from('abc'));
  const abcabc = hashObject('sha1', 'blob', Buffer.from('abcabc'));

  test('may have deltas before their bases, and chains of any length', async () => {
    const { odb } = await emptyDatabase();
    const same = (size: number): Buffer => Buffer.from([size, size, 0x90, size]);
    const chain = [blob('abc'), ofsDelta(blob('abc').length, twice)];
    for (let length = 0; length < 3000; length++) {
      chain.push(ofsDelta(chain.at(-1)!.length, same(6)));
    }
    const received = await receivePack(odb, cut(pack([refDelta(abc, twice), ...chain])));
    expect(received.objectCount).toBe(chain.length + 1);
    expect((await odb.read(abcabc)).data.toString()).toBe('abcabc');
  });

  const other = '1'.repeat(40);
  const faults: readonly (readonly [string, Buffer, RegExp])[] = [
    ['is empty', Buffer.alloc(0), /cut off/],
    [
      'has a wrong checksum',
      Buffer.concat([pack([blob('abc')]).subarray(0, -1), Buffer.from('x')]),
      /checksum/,
    ],
    ['holds fewer objects than it says', pack([blob('abc')], 2), /is missing/],
    ['holds more objects than it says', pack([blob('abc'), blob('abd')], 1), /behind its last/],
    ['says billions of objects', pack([blob('abc')], 0xffffffff), /is missing/],
    ['says a wrong size', pack([blob('abc', 4)]), /declared/],
    ['says too small a size', pack([blob('abcdef', 3)]), /declared/],
    ['says an absurd size', pack([blob('abc', 2 ** 40)]), /cannot hold/],
    ['says a size that is no number', pack([Buffer.alloc(30, 0xff)]), /size|end/],
    ['has an unknown type', pack([Buffer.from([0x53, 0x78])]), /unknown type/],
    [
      'is damaged inside',
      pack([Buffer.concat([packEntryHeader('blob', 3), Buffer.from('xyz')])]),
      /damaged/,
    ],
    ['has a delta without a base', pack([refDelta(other, twice)]), /1{40}/],
    ['has a delta to nowhere', pack([ofsDelta(3, twice)]), /without a base/],
    ['has a delta to itself', pack([ofsDelta(0, twice)]), /without a base/],
    [
      'has deltas in a circle',
      pack([refDelta(abcabc, twice), refDelta(abc, twice)]),
      /needs object/,
    ],
    [
      'has a delta for another base',
      pack([blob('ab'), ofsDelta(blob('ab').length, twice)]),
      /a base of 3/,
    ],
    [
      'has a delta that declares gigabytes',
      pack([
        blob('abc'),
        ofsDelta(blob('abc').length, Buffer.from([3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x90, 3])),
      ]),
      /does not fit|declares/,
    ],
  ];

  test.each(faults)(
    'is refused when it %s, and nothing is left of it',
    async (_, bytes, message) => {
      const { gitDir, odb } = await emptyDatabase();
      await expect(receivePack(odb, cut(bytes))).rejects.toThrow(message);
      expect(await readdir(join(gitDir, 'objects/pack'))).toEqual([]);
    },
  );

  test('is refused when it grows beyond a bound, is aborted, or its stream fails', async () => {
    const { gitDir, odb } = await emptyDatabase();
    const bytes = pack([blob('abc')]);
    const small = receivePack(odb, cut(bytes, 10), { largestSizeBytes: 20 });
    await expect(small).rejects.toThrow(/refused/);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(receivePack(odb, cut(bytes), { signal })).rejects.toThrow('enough');
    async function* failing(): AsyncGenerator<Buffer> {
      yield await Promise.resolve(bytes.subarray(0, 15));
      throw new Error('gone');
    }
    await expect(receivePack(odb, failing())).rejects.toThrow('gone');
    expect(await readdir(join(gitDir, 'objects/pack'))).toEqual([]);
    expect((await receivePack(odb, cut(pack([])))).objectCount).toBe(0);
  });
});
