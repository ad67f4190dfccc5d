import * as promises from 'node:fs/promises';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hashObject } from '../../../../src/git/hash-object.ts';
import { PackWriter } from '../../../../src/git/odb/pack-writer.ts';
import { SpareIndexes } from '../../../../src/git/odb/spare-indexes.ts';
import { systemError } from '../../../helpers/staging.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const original = await importOriginal<typeof promises>();
  return { ...original, link: vi.fn(original.link) };
});

const spare = 'vost_spare_0123';
let gitDir = '';
let packs = '';
let spares: SpareIndexes;

beforeEach(async () => {
  gitDir = await temporaryDirectory();
  packs = join(gitDir, 'objects/pack');
  await mkdir(packs, { recursive: true });
  await writeFile(join(gitDir, 'gc.pid'), `${process.pid} ${hostname()}`);
  spares = new SpareIndexes(join(gitDir, 'objects'));
});

afterEach(async () => {
  await spares.close();
  vi.mocked(promises.link).mockClear();
});

async function put(...names: string[]): Promise<void> {
  for (const name of names) await writeFile(join(packs, name), 'content');
}

async function listing(): Promise<Set<string>> {
  return new Set(await readdir(packs));
}

/** A pack beside a `git gc`, whose index has not got its own name. */
async function keepIndex(): Promise<void> {
  await put('pack-0123.pack', 'tmp_idx_vost_1');
  await spares.keep(join(packs, 'tmp_idx_vost_1'), join(packs, 'pack-0123.pack'));
  await rm(join(packs, 'tmp_idx_vost_1'));
}

describe('an index beside a git gc', () => {
  test.each([
    ['with links', false],
    ['without links', true],
  ])('is put back on a filesystem %s', async (_kind, isWithout) => {
    if (isWithout) vi.mocked(promises.link).mockRejectedValue(systemError('EPERM'));
    await keepIndex();
    const names = await listing();
    expect([...names].sort()).toEqual(['pack-0123.pack', spare]);
    await spares.see(names);
    expect(names).toContain('pack-0123.idx');
    expect(await readFile(join(packs, 'pack-0123.idx'), 'utf8')).toBe('content');
    await rm(join(gitDir, 'gc.pid'));
    await spares.settle();
    expect([...(await listing())].sort()).toEqual(['pack-0123.idx', 'pack-0123.pack']);
    vi.mocked(promises.link).mockReset();
  });

  test('leaves no temporary name when somebody else puts it back before it has its own', async () => {
    const other = new SpareIndexes(join(gitDir, 'objects'));
    const keep = spares.keep.bind(spares);
    vi.spyOn(spares, 'keep').mockImplementation(async (indexPath, packPath) => {
      await keep(indexPath, packPath);
      await other.see(await listing());
    });
    const writer = new PackWriter(join(gitDir, 'objects'), 'sha1');
    const content = Buffer.from('content');
    await writer.append({
      oid: hashObject('sha1', 'blob', content),
      type: 'blob',
      sizeBytes: content.length,
      deflated: [deflateSync(content)],
    });
    const { packPath, indexPath } = await writer.finish({ fsync: true, spares });
    await writer.close();
    await rm(join(gitDir, 'gc.pid'));
    await spares.settle();
    expect(await listing()).toEqual(new Set([basename(packPath), basename(indexPath)]));
  });

  test('has no second name when no git gc is at work', async () => {
    await rm(join(gitDir, 'gc.pid'));
    await keepIndex();
    expect([...(await listing())]).toEqual(['pack-0123.pack']);
  });

  test('is not put back for a pack that others have removed, the index first', async () => {
    await keepIndex();
    const names = await listing();
    await rm(join(packs, 'pack-0123.pack'));
    await spares.see(names);
    expect(names).not.toContain('pack-0123.idx');
    expect([...(await listing())]).toEqual([spare]);
  });

  test('keeps the second name as long as this git gc is at work, whoever asks', async () => {
    await keepIndex();
    const other = new SpareIndexes(join(gitDir, 'objects'));
    for (const some of [spares, other]) await some.settle();
    expect([...(await listing())].sort()).toEqual(['pack-0123.idx', 'pack-0123.pack', spare]);
    await writeFile(join(gitDir, 'gc.pid'), `${process.pid} ${hostname()} later`);
    await other.settle();
    expect([...(await listing())].sort()).toEqual(['pack-0123.idx', 'pack-0123.pack']);
  });

  test.each(['EACCES', 'EROFS', 'ENOSPC'])(
    'that cannot be put back for %s does not keep others from being read',
    async (code) => {
      await keepIndex();
      vi.mocked(promises.link).mockRejectedValueOnce(systemError(code));
      const names = await listing();
      await spares.see(names);
      expect(names).not.toContain('pack-0123.idx');
    },
  );

  test('that cannot be put back for a fault of the disk is an error', async () => {
    await keepIndex();
    vi.mocked(promises.link).mockRejectedValueOnce(systemError('EIO'));
    await expect(spares.see(await listing())).rejects.toMatchObject({ code: 'EIO' });
  });
});
