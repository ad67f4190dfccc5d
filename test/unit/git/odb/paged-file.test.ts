import { renameSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CorruptObjectError } from '../../../../src/errors.ts';
import { Fault, ifReady, whenReady } from '../../../../src/git/odb/fault.ts';
import { PageCache } from '../../../../src/git/odb/page-cache.ts';
import { FileGoneError, PagedFile } from '../../../../src/git/odb/paged-file.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { noise } from '../../../helpers/git-objects.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const pageSizeBytes = 512;
const content = noise(40 * pageSizeBytes + 100, 3);
let directory: string;
let path: string;

function openPaged(cache = new PageCache({ maxSizeBytes: 1, pageSizeBytes })): PagedFile {
  return new PagedFile(path, cache);
}

/** How many descriptors of this process lead to the test's directory. */
async function openDescriptors(): Promise<number> {
  let count = 0;
  for (const descriptor of await readdir('/proc/self/fd')) {
    const target = await readlink(`/proc/self/fd/${descriptor}`).catch(() => '');
    if (target.startsWith(directory)) count += 1;
  }
  return count;
}

beforeEach(async () => {
  directory = await temporaryDirectory();
  path = join(directory, 'file');
  writeFileSync(path, content);
});

describe('PagedFile', () => {
  it('gives any part of the file, across pages too', async () => {
    const file = openPaged();
    await fc.assert(
      fc.asyncProperty(fc.nat(content.length), fc.nat(3000), async (offset, length) => {
        const expected = content.subarray(offset, offset + length);
        const part = await whenReady(() => file.slice(offset, expected.length));
        expect(part.equals(expected)).toBe(true);
      }),
    );
    file.close();
  });

  it('reads numbers, also where a page ends in them', async () => {
    const file = openPaged();
    for (const offset of [0, 100, 509, 510, 511, 512, content.length - 4]) {
      expect(await whenReady(() => file.readUInt32(offset))).toBe(content.readUInt32BE(offset));
    }
    file.close();
    writeFileSync(path, Buffer.from('0000000500000007ffffffffffffffff', 'hex'));
    const numbers = openPaged();
    expect(await whenReady(() => numbers.readUInt64(0))).toBe(5 * 2 ** 32 + 7);
    await expect(whenReady(() => numbers.readUInt64(8))).rejects.toThrow(CorruptObjectError);
    numbers.close();
  });

  it('answers at once what is in memory, and nothing else', async () => {
    const file = openPaged();
    expect(() => file.slice(0, 10)).toThrow(Fault);
    expect(ifReady(() => file.slice(0, 10))).toBeUndefined();
    await whenReady(() => file.slice(0, 10));
    expect(ifReady(() => file.slice(500, 12))).toEqual(content.subarray(500, 512));
    expect(ifReady(() => file.slice(500, 13))).toBeUndefined();
    file.close();
  });

  it('reads on by itself when somebody goes from page to page', async () => {
    const file = openPaged();
    await whenReady(() => file.slice(0, 10));
    await whenReady(() => file.slice(pageSizeBytes, 10));
    await eventually(() => {
      expect(ifReady(() => file.slice(4 * pageSizeBytes, 10))).toBeDefined();
    });
    expect(ifReady(() => file.slice(5 * pageSizeBytes, 10))).toBeUndefined();
    file.close();
  });

  it('says so when the file ends too early', async () => {
    const file = openPaged();
    await expect(whenReady(() => file.slice(content.length - 1, 2))).rejects.toThrow(/is cut off/);
    await expect(whenReady(() => file.slice(-1, 2))).rejects.toThrow(CorruptObjectError);
    await expect(whenReady(() => file.readUInt32(content.length - 3))).rejects.toThrow(
      CorruptObjectError,
    );
    const end = content.length;
    await expect(whenReady(() => file.sliceToPageEnd(end))).rejects.toThrow(CorruptObjectError);
    truncateSync(path, pageSizeBytes);
    await expect(whenReady(() => file.slice(9 * pageSizeBytes, 2))).rejects.toThrow(/is cut off/);
    file.close();
  });

  it('keeps its pages within the bound', async () => {
    const maxSizeBytes = 35 * pageSizeBytes;
    const cache = new PageCache({ maxSizeBytes, pageSizeBytes });
    const file = openPaged(cache);
    for (let offset = 0; offset < content.length; offset += pageSizeBytes) {
      await whenReady(() => file.slice(offset, 1));
      expect(cache.sizeBytes).toBeLessThanOrEqual(maxSizeBytes);
    }
    expect(cache.sizeBytes).toBeGreaterThan(30 * pageSizeBytes);
    expect(ifReady(() => file.slice(0, 1))).toBeUndefined();
    file.close();
  });

  it('shares a bound on descriptors, and opens again what was closed for it', async () => {
    const cache = new PageCache({ maxSizeBytes: 1, pageSizeBytes, maxOpenFiles: 3 });
    const files = Array.from({ length: 20 }, (_, at) => {
      writeFileSync(join(directory, `${at}`), content);
      return new PagedFile(join(directory, `${at}`), cache);
    });
    for (const round of [0, 1]) {
      for (const file of files) await whenReady(() => file.slice(round * pageSizeBytes, 1));
      await eventually(async () => expect(await openDescriptors()).toBe(3));
    }
    for (const file of files) file.close();
    await eventually(async () => expect(await openDescriptors()).toBe(0));
  });

  it('is closed when it was idle for a while, and opened again', async () => {
    const cache = new PageCache({ maxSizeBytes: 1, pageSizeBytes });
    const file = openPaged(cache);
    const letGo = await file.hold();
    cache.closeIdle();
    cache.closeIdle();
    expect(await openDescriptors()).toBe(1);
    letGo();
    await eventually(async () => expect(await openDescriptors()).toBe(0));
    expect(await file.readDirect(0, 10)).toEqual(content.subarray(0, 10));
    cache.closeIdle();
    await file.readDirect(10, 10);
    cache.closeIdle();
    expect(await openDescriptors()).toBe(1);
    cache.closeIdle();
    await eventually(async () => expect(await openDescriptors()).toBe(0));
    renameSync(path, `${path}-moved`);
    await expect(file.readDirect(0, 10)).rejects.toThrow(FileGoneError);
  });

  it('is gone when it is not there, or another one is', async () => {
    const cache = new PageCache({ maxSizeBytes: 1, pageSizeBytes, maxOpenFiles: 1 });
    const missing = new PagedFile(join(directory, 'missing'), cache);
    await expect(whenReady(() => missing.sizeBytes)).rejects.toThrow(FileGoneError);
    const file = openPaged(cache);
    await whenReady(() => file.slice(0, 1));
    writeFileSync(join(directory, 'other'), content);
    const other = new PagedFile(join(directory, 'other'), cache);
    await whenReady(() => other.slice(0, 1));
    // The first one has lost its descriptor, and now its name.
    renameSync(join(directory, 'other'), path);
    await expect(whenReady(() => file.slice(pageSizeBytes, 1))).rejects.toThrow(FileGoneError);
    expect(ifReady(() => file.slice(0, 1))).toEqual(content.subarray(0, 1));
    file.close();
    other.close();
  });

  it('can be read to its end after it was removed and closed, by those who hold it', async () => {
    const file = openPaged();
    const release = await file.hold();
    unlinkSync(path);
    file.close();
    expect(await file.readDirect(1000, 5000)).toEqual(content.subarray(1000, 6000));
    expect(await openDescriptors()).toBe(1);
    release();
    await eventually(async () => expect(await openDescriptors()).toBe(0));
    await expect(file.readDirect(0, 1)).rejects.toThrow(FileGoneError);
  });

  it('makes one read of a page that many ask for', async () => {
    const file = openPaged();
    const parts = await Promise.all(
      Array.from({ length: 50 }, (_, at) => whenReady(() => file.slice(at, 10))),
    );
    for (const [at, part] of parts.entries()) expect(part).toEqual(content.subarray(at, at + 10));
    // All of them are views of the one page.
    expect(new Set(parts.map((part) => part.buffer)).size).toBe(1);
    file.close();
  });
});

describe('PagedFile on a device that is near', () => {
  function openNear(maxSizeBytes = 1): { file: PagedFile; cache: PageCache } {
    const cache = new PageCache({ maxSizeBytes, pageSizeBytes });
    cache.readHere(statSync(path).dev);
    return { file: openPaged(cache), cache };
  }

  /** So that it does not count how busy the machine is. */
  function withoutHurry(): void {
    vi.spyOn(performance, 'now').mockReturnValue(0);
  }

  afterEach(() => vi.restoreAllMocks());

  it('is read at once as soon as it is open', async () => {
    withoutHurry();
    const { file } = openNear();
    expect(ifReady(() => file.slice(0, 10))).toBeUndefined();
    await whenReady(() => file.slice(0, 10));
    const offset = 7 * pageSizeBytes + 500;
    expect(ifReady(() => file.slice(offset, 1000))).toEqual(
      content.subarray(offset, offset + 1000),
    );
    expect(ifReady(() => file.readUInt32(content.length - 4))).toBe(
      content.readUInt32BE(content.length - 4),
    );
    file.close();
    expect(ifReady(() => file.slice(20 * pageSizeBytes, 10))).toBeUndefined();
  });

  it('lets others have their turn now and then', async () => {
    withoutHurry();
    const { file } = openNear(50 * pageSizeBytes);
    await whenReady(() => file.slice(0, 10));
    const isThere = (page: number): boolean =>
      ifReady(() => file.slice(page * pageSizeBytes, 1)) !== undefined;
    const there = Array.from({ length: 34 }, (_, at) => isThere(at + 1));
    expect(there.map((is, at) => (is ? -1 : at)).filter((at) => at >= 0)).toEqual([16, 33]);
    file.close();
  });

  it('is left to others as long as it is slow', async () => {
    let nowMs = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => (nowMs += 1));
    const { file } = openNear();
    await whenReady(() => file.slice(0, 10));
    expect(ifReady(() => file.slice(5 * pageSizeBytes, 10))).toBeDefined();
    expect(ifReady(() => file.slice(9 * pageSizeBytes, 10))).toBeUndefined();
    expect(await whenReady(() => file.slice(9 * pageSizeBytes, 10))).toHaveLength(10);
    file.close();
  });

  it('is waited for on another device', async () => {
    const cache = new PageCache({ maxSizeBytes: 1, pageSizeBytes });
    cache.readHere(statSync(path).dev + 1);
    const file = openPaged(cache);
    await whenReady(() => file.slice(0, 10));
    expect(ifReady(() => file.slice(5 * pageSizeBytes, 10))).toBeUndefined();
    file.close();
  });

  it('says so when it ends too early, and when it is another one', async () => {
    withoutHurry();
    const { file } = openNear();
    await whenReady(() => file.slice(0, 10));
    truncateSync(path, pageSizeBytes);
    expect(ifReady(() => file.slice(9 * pageSizeBytes, 2))).toBeUndefined();
    await expect(whenReady(() => file.slice(9 * pageSizeBytes, 2))).rejects.toThrow(/is cut off/);
    file.releaseDescriptor();
    expect(ifReady(() => file.slice(8 * pageSizeBytes, 2))).toBeUndefined();
    await expect(whenReady(() => file.slice(8 * pageSizeBytes, 2))).rejects.toThrow(FileGoneError);
    file.close();
  });

  it('is glanced at where it is large, and a page that is glanced at often is read', async () => {
    withoutHurry();
    const large = noise(64 * pageSizeBytes, 5);
    writeFileSync(path, large);
    const { file, cache } = openNear(32 * pageSizeBytes);
    expect(() => file.glance(0, 10)).toThrow(Fault);
    await whenReady(() => file.slice(0, 10));
    // What is in memory is not read a second time.
    expect(file.glance(0, 10)).toBeUndefined();
    const { sizeBytes } = cache;
    // Also over the end of a page.
    const offset = 7 * pageSizeBytes + 500;
    const countGlances = (): number => {
      let count = 0;
      // Now and then it is the turn of others.
      for (let tries = 0; tries < 40; tries++) {
        const glanced = file.glance(offset, 1000);
        if (glanced === undefined) continue;
        expect(glanced).toEqual(large.subarray(offset, offset + 1000));
        count += 1;
      }
      return count;
    };
    expect(countGlances()).toBe(16);
    expect(cache.sizeBytes).toBe(sizeBytes);
    expect(file.glance(offset, 1000)).toBeUndefined();
    // So it is again when others have pushed the page out.
    await whenReady(() => file.slice(offset, 1000));
    expect(countGlances()).toBe(0);
    for (let page = 10; page < 50; page++) {
      await whenReady(() => file.slice(page * pageSizeBytes, 10));
    }
    expect(countGlances()).toBe(16);
    expect(file.glance(9 * pageSizeBytes, 8 * 1024 + 1)).toBeUndefined();
    truncateSync(path, 20 * pageSizeBytes);
    expect(file.glance(30 * pageSizeBytes, 10)).toBeUndefined();
    file.close();
    expect(file.glance(12 * pageSizeBytes, 10)).toBeUndefined();
    writeFileSync(path, large.subarray(pageSizeBytes));
    const small = openPaged(cache);
    await whenReady(() => small.slice(0, 10));
    expect(small.glance(5 * pageSizeBytes, 10)).toBeUndefined();
    small.close();
  });

  it('counts as in use when it is read', async () => {
    withoutHurry();
    const { file, cache } = openNear();
    await whenReady(() => file.slice(0, 10));
    cache.closeIdle();
    expect(ifReady(() => file.slice(5 * pageSizeBytes, 10))).toBeDefined();
    cache.closeIdle();
    expect(ifReady(() => file.slice(9 * pageSizeBytes, 10))).toBeDefined();
    cache.closeIdle();
    cache.closeIdle();
    expect(ifReady(() => file.slice(13 * pageSizeBytes, 10))).toBeUndefined();
    file.close();
  });
});
