import { readdir, readlink } from 'node:fs/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CorruptObjectError } from '../../../../src/errors.ts';
import { hashObject } from '../../../../src/git/object.ts';
import { BigBlobs } from '../../../../src/git/odb/big-blobs.ts';
import type { BlobContent } from '../../../../src/git/odb/blob-content.ts';
import { BlobSpool } from '../../../../src/git/odb/blob-spool.ts';
import type { Oid } from '../../../../src/git/oid.ts';
import { eventually } from '../../../helpers/eventually.ts';
import { noise } from '../../../helpers/git-objects.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const mebibyte = 1024 * 1024;
const content = noise(12 * mebibyte + 12_345, 1);
const oid = hashObject('sha1', 'blob', content);
const blob = { oid, sizeBytes: content.length };

let directory: string;
let spool: BlobSpool;
let opened: number;
let inflatedBytes: number;
let openNow: number;

beforeEach(async () => {
  directory = await temporaryDirectory();
  spool = new BlobSpool({ directories: [directory], maxSizeBytes: 100 * mebibyte });
  opened = inflatedBytes = openNow = 0;
});

afterEach(() => {
  spool.close();
});

/** Where content stops coming, and until when. */
interface Stop {
  readonly at: number;
  readonly until: Promise<void>;
}

/** Content that is counted as it is read, and that comes in uneven chunks. */
function open(data: Buffer, breakAt = Infinity, stop?: Stop): BlobContent {
  opened += 1;
  openNow += 1;
  return {
    sizeBytes: data.length,
    whole: undefined,
    async *chunks() {
      for (let at = 0, size = 1; at < data.length; at += size, size = (size * 7) % 300_007) {
        await Promise.resolve();
        if (stop !== undefined && at > stop.at) await stop.until;
        if (at > breakAt) throw new CorruptObjectError('broken in the middle');
        inflatedBytes += Math.min(size, data.length - at);
        yield data.subarray(at, at + size);
      }
    },
    close() {
      openNow -= 1;
      return Promise.resolve();
    },
  };
}

function bigBlobs(data = content, breakAt?: number, stop?: Stop): BigBlobs {
  return new BigBlobs({
    open: () => Promise.resolve(open(data, breakAt, stop)),
    spool,
    maxBlocksSizeBytes: mebibyte,
  });
}

async function expectRange(blobs: BigBlobs, offset: number, length: number): Promise<void> {
  const part = await blobs.read(blob, offset, length);
  expect(part.equals(content.subarray(offset, offset + length))).toBe(true);
}

describe('BigBlobs', () => {
  it('inflates a blob once for those who read on, and not ahead of them', async () => {
    const blobs = bigBlobs();
    const step = 100_000;
    for (let offset = 0; offset + step < content.length; offset += step) {
      await expectRange(blobs, offset, step);
      expect(inflatedBytes).toBeLessThan(offset + step + 600_000);
    }
    expect(opened).toBe(1);
    expect(await readdir(directory)).toEqual([]);
    expect(spool.get(oid)).toBeUndefined();
  });

  it('serves readers that run side by side from one pass', async () => {
    const blobs = bigBlobs();
    const step = 131_072;
    for (let offset = 0; offset + 8 * step < content.length; offset += 8 * step) {
      const offsets = [3, 1, 0, 2, 5, 4, 7, 6].map((n) => offset + n * step);
      await Promise.all(offsets.map((at) => expectRange(blobs, at, step)));
    }
    expect(opened).toBe(1);
  });

  it('inflates a blob once more for those who jump about, to the spool', async () => {
    const blobs = bigBlobs();
    await expectRange(blobs, 0, 1000);
    const ranges = fc.tuple(fc.nat(content.length - 1), fc.integer({ min: 1, max: mebibyte }));
    await fc.assert(
      fc.asyncProperty(ranges, ([offset, length]) =>
        expectRange(blobs, offset, Math.min(length, content.length - offset)),
      ),
    );
    // Twice to its end, where a jump that comes early leads there.
    expect(opened).toBeLessThanOrEqual(2);
    expect(inflatedBytes).toBeLessThanOrEqual(2 * content.length);
    expect(await readdir(directory)).toEqual([]);
  });

  it('reads from the spool into the memory that is lent', async () => {
    const blobs = bigBlobs();
    await expectRange(blobs, 6 * mebibyte, 1000);
    const into = Buffer.alloc(1000);
    const part = await blobs.read(blob, 5000, 900, () => into);
    expect(part.buffer).toBe(into.buffer);
    expect(part.equals(content.subarray(5000, 5900))).toBe(true);
    expect(into.subarray(0, 900).equals(part)).toBe(true);
  });

  it('asks for memory when a part can be read, for eight mebibytes at a time', async () => {
    let goOn = (): void => undefined;
    const until = new Promise<void>((resolve) => (goOn = resolve));
    const blobs = bigBlobs(content, Infinity, { at: 7 * mebibyte, until });
    await expectRange(blobs, 6 * mebibyte, 1000);
    let lent = 0;
    let mostLent = 0;
    const readAt = async (offset: number): Promise<void> => {
      const part = await blobs.read(blob, offset, mebibyte, () => {
        mostLent = Math.max(mostLent, ++lent);
        return Buffer.alloc(mebibyte);
      });
      lent -= 1;
      expect(part.equals(content.subarray(offset, offset + mebibyte))).toBe(true);
    };
    const late = readAt(11 * mebibyte);
    await Promise.all(Array.from({ length: 24 }, (_, index) => readAt((index % 6) * mebibyte)));
    // One more: what was read before is being answered while the next one begins.
    expect(mostLent).toBeLessThanOrEqual(9);
    expect(lent).toBe(0);
    goOn();
    await late;
  });

  it('answers from the spool as soon as the part is there', async () => {
    let goOn = (): void => undefined;
    const until = new Promise<void>((resolve) => (goOn = resolve));
    const blobs = bigBlobs(content, Infinity, { at: 7 * mebibyte, until });
    await expectRange(blobs, 6 * mebibyte, 1000);
    expect(inflatedBytes).toBeLessThan(8 * mebibyte);
    goOn();
    await expectRange(blobs, 10 * mebibyte, 1000);
  });

  it('starts again from the front where there is no spool', async () => {
    spool.close();
    spool = new BlobSpool({ directories: [directory], maxSizeBytes: 1000 });
    const blobs = bigBlobs();
    await expectRange(blobs, 10 * mebibyte, 1000);
    await expectRange(blobs, 0, 1000);
    await expectRange(blobs, 11 * mebibyte, 1000);
    expect(opened).toBeGreaterThanOrEqual(2);
    expect(openNow).toBeLessThanOrEqual(1);
  });

  it('does so too when the disk has no room or the directory is not to be written to', async () => {
    spool.close();
    spool = new BlobSpool({
      directories: ['/nonexistent/a', '/proc'],
      maxSizeBytes: 100 * mebibyte,
    });
    const blobs = bigBlobs();
    await expectRange(blobs, 10 * mebibyte, 1000);
    await expectRange(blobs, 0, 1000);
    expect(openNow).toBeLessThanOrEqual(1);
  });

  it('says that a blob is damaged, to those who read on and to those who jump', async () => {
    const blobs = bigBlobs(content, 9 * mebibyte);
    await expectRange(blobs, 0, 1000);
    for (let offset = 0; offset < 8 * mebibyte; offset += mebibyte) {
      await expectRange(blobs, offset, mebibyte);
    }
    await expect(blobs.read(blob, 10 * mebibyte, 1000)).rejects.toThrow(CorruptObjectError);
    await expect(blobs.read(blob, 10 * mebibyte, 1000)).rejects.toThrow(CorruptObjectError);
    await expect(blobs.read(blob, content.length - 1, 1)).rejects.toThrow(CorruptObjectError);
    await expectRange(blobs, 0, 1000);
  });

  it('closes what it opened', async () => {
    const blobs = bigBlobs();
    const others = Array.from({ length: 30 }, (_, n) => hashObject('sha1', 'blob', Buffer.of(n)));
    for (const other of others) await blobs.read({ oid: other, sizeBytes: content.length }, 0, 10);
    await eventually(() => expect(openNow).toBe(8));
    blobs.closeCursors();
    await eventually(() => expect(openNow).toBe(0));
    await blobs.read(blob, 9 * mebibyte, 10);
    await eventually(() => expect(openNow).toBe(0));
  });

  it('gives out content that is in memory anyway, and keeps it in the spool only', async () => {
    const blobs = new BigBlobs({
      open: () => {
        const whole = open(content);
        return Promise.resolve({ ...whole, whole: content });
      },
      spool,
      maxBlocksSizeBytes: mebibyte,
    });
    await expectRange(blobs, 5_000_000, 1000);
    await expectRange(blobs, 3_000_000, 1000);
    await expectRange(blobs, 0, 1000);
    expect(opened).toBe(1);
  });
});

describe('BlobSpool', () => {
  async function* once(data: Buffer): AsyncGenerator<Buffer> {
    await Promise.resolve();
    yield data;
  }

  function key(n: number): Oid {
    return hashObject('sha1', 'blob', Buffer.of(n));
  }

  async function spoolFiles(): Promise<number> {
    let count = 0;
    for (const descriptor of await readdir('/proc/self/fd')) {
      const target = await readlink(`/proc/self/fd/${descriptor}`).catch(() => '');
      if (target.startsWith(directory)) count += 1;
    }
    return count;
  }

  it('makes room for new blobs, and gives the disk what they leave', async () => {
    spool.close();
    spool = new BlobSpool({ directories: [directory], maxSizeBytes: 3000 });
    for (let n = 0; n < 10; n++) {
      const added = await spool.add(key(n), 1000, once(noise(1000, n)));
      expect((await added.read(0, 1000)).equals(noise(1000, n))).toBe(true);
    }
    await eventually(async () => expect(await spoolFiles()).toBe(3));
    expect(spool.get(key(6))).toBeUndefined();
    expect(spool.get(key(7))).toBeDefined();
    spool.close();
    await eventually(async () => expect(await spoolFiles()).toBe(0));
  });

  it('keeps a file for as long as somebody uses it', async () => {
    spool.close();
    spool = new BlobSpool({ directories: [directory], maxSizeBytes: 1000 });
    const data = noise(1000, 1);
    const added = await spool.add(key(1), 1000, once(data));
    const reading = added.read(10, 100);
    await spool.add(key(2), 900, once(noise(900, 2)));
    expect(spool.get(key(1))).toBeUndefined();
    expect((await reading).equals(data.subarray(10, 110))).toBe(true);
    await eventually(async () => expect(await spoolFiles()).toBe(1));
    spool.close();
  });

  it('gives errors of the content to those who wait for it', async () => {
    async function* failing(): AsyncGenerator<Buffer> {
      yield noise(100, 1);
      await Promise.resolve();
      throw new CorruptObjectError('no more');
    }
    const broken = await spool.add(key(1), 1000, failing());
    expect((await broken.read(0, 100)).equals(noise(100, 1))).toBe(true);
    await expect(broken.read(0, 101)).rejects.toThrow('no more');
    expect(broken.wholeFile).toBeUndefined();
    expect(spool.get(key(1))).toBeUndefined();
    const short = await spool.add(key(2), 1000, once(noise(100, 1)));
    await expect(short.read(50, 100)).rejects.toThrow(CorruptObjectError);
    await eventually(async () => expect(await spoolFiles()).toBe(0));
  });
});
