import { expect, test } from 'vitest';
import type { ByteString } from '../../../src/git/byte-string.ts';
import { modeBlob } from '../../../src/git/mode.ts';
import { serializeTree, Tree } from '../../../src/git/object.ts';
import { ObjectCaches } from '../../../src/git/odb/object-caches.ts';
import type { Pack } from '../../../src/git/odb/pack.ts';
import type { Oid } from '../../../src/git/oid.ts';
import { ownBytes } from '../../../src/git/own-bytes.ts';

const oid = '1'.repeat(40) as Oid;
const small = (): Buffer => Buffer.from('a commit, say, of some two hundred bytes'.repeat(5));

test('a small buffer keeps a slab alive, its own bytes do not', () => {
  const pooled = small();
  expect(pooled.buffer.byteLength).toBeGreaterThan(4096);
  const own = ownBytes(pooled);
  expect(own.equals(pooled)).toBe(true);
  expect(own.buffer.byteLength).toBe(pooled.length);
  expect(ownBytes(own)).toBe(own);
  expect(ownBytes(Buffer.alloc(0)).length).toBe(0);
});

test('what is kept for long has its own bytes', () => {
  const caches = new ObjectCaches(1 << 20);
  caches.keepObject(oid, { type: 'commit', data: small() });
  expect(caches.objects.get(oid)?.data.buffer.byteLength).toBe(small().length);
  const pack = { id: 1 } as unknown as Pack;
  caches.deltaBases.set(pack, 0, { type: 'blob', data: small() });
  expect(caches.deltaBases.get(pack, 0)?.data.buffer.byteLength).toBe(small().length);

  const tree = Tree.parse(serializeTree([], 'sha1'), 'sha1');
  const edited = tree.edited(new Map([['a' as ByteString, { mode: modeBlob, oid }]]), 'sha1');
  expect(edited.raw.buffer.byteLength).toBe(edited.raw.length);
});
