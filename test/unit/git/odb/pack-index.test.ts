import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { whenReady } from '../../../../src/git/odb/fault.ts';
import { PackIndex } from '../../../../src/git/odb/pack-index.ts';
import { writePackIndex } from '../../../../src/git/odb/pack-index-writer.ts';
import { PageCache } from '../../../../src/git/odb/page-cache.ts';
import { PagedFile } from '../../../../src/git/odb/paged-file.ts';
import { oidToBytes } from '../../../../src/git/oid.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const pageSizeBytes = 8 * 1024;

test.each([
  ['spread evenly', () => randomBytes(20).toString('hex')],
  // All with the same first byte, most of them at one end: none is where it should be.
  [
    'crowded',
    () =>
      `77${randomBytes(1).toString('hex').replace(/^./, '0')}${randomBytes(18).toString('hex')}`,
  ],
])('every id of a large index is found, and no other, when they are %s', async (_, digits) => {
  const oids = [...new Set(Array.from({ length: 30_000 }, () => digits() as Oid))];
  const path = join(await temporaryDirectory(), 'pack.idx');
  const handle = await open(path, 'w');
  const entries = oids.map((oid, index) => ({ oid, offset: 12 + index, crc32: index }));
  await writePackIndex(handle, entries, Buffer.alloc(20), 'sha1');
  await handle.close();
  onTestFinished(() => {
    vi.restoreAllMocks();
  });
  const glance = vi.spyOn(PagedFile.prototype, 'glance');
  vi.spyOn(performance, 'now').mockReturnValue(0);
  const cache = new PageCache({ maxSizeBytes: 1024 * 1024, pageSizeBytes });
  cache.readHere(statSync(path).dev);
  const index = new PackIndex(path, 'sha1', cache);
  for (const [at, oid] of oids.entries()) {
    expect(await whenReady(() => index.find(oidToBytes(oid)))).toBe(12 + at);
    const other = digits() as Oid;
    const found = await whenReady(() => index.find(oidToBytes(other)));
    if (!oids.includes(other)) expect(found).toBeUndefined();
    if (at === 2000) break;
  }
  expect(glance.mock.results.some(({ value }) => value !== undefined)).toBe(true);
  index.file.close();
});
