import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  attrOutSizeBytes,
  entryOutSizeBytes,
  openOutSizeBytes,
  statfsOutSizeBytes,
  wordsOf,
  writeAttrOut,
  writeEntryOut,
  writeOpenOut,
  writeStatfsOut,
} from '../../../../src/mount/fuse/wire.ts';
import type { Attr, Fh, Ino } from '../../../../src/mount/vfs/operations.ts';
import { structSizeBytes, unpack } from '../../../helpers/fuse-structs.ts';
import type { StructValues } from '../../../helpers/fuse-structs.ts';

const u32 = fc.nat(0xffff_ffff);
const u53 = fc.maxSafeNat();
/** Where structs stand. */
const position = fc.constantFrom(0, 8, 16);
const time = fc.record({
  sec: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
  nsec: fc.nat(999_999_999),
});
const anyAttr = fc.record({
  ino: u53.map((ino) => ino as Ino),
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  rdev: u32,
  size: u53,
  blocks: u53,
  atime: time,
  mtime: time,
  ctime: time,
});

/** A buffer whose old content must not shine through. */
function dirtyBuffer(sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes + 16, 0xee);
}

function attrValues(attr: Attr): StructValues {
  const { ino, size, blocks, mode, nlink, uid, gid, rdev, atime, mtime, ctime } = attr;
  return {
    ...{ ino, size, blocks, mode, nlink, uid, gid, rdev, blksize: 4096, flags: 0 },
    ...{ atime: atime.sec, mtime: mtime.sec, ctime: ctime.sec },
    ...{ atimensec: atime.nsec, mtimensec: mtime.nsec, ctimensec: ctime.nsec },
  };
}

describe('the structs of answers', () => {
  it('have the sizes of the kernel header', () => {
    expect(entryOutSizeBytes).toBe(structSizeBytes('entry_out') + structSizeBytes('attr'));
    expect(attrOutSizeBytes).toBe(structSizeBytes('attr_out') + structSizeBytes('attr'));
    expect(openOutSizeBytes).toBe(structSizeBytes('open_out'));
    expect(statfsOutSizeBytes).toBe(structSizeBytes('kstatfs'));
  });

  it('carry every entry', () => {
    fc.assert(
      fc.property(anyAttr, u32, u32, position, (attr, entryValidSec, attrValidSec, at) => {
        const buffer = dirtyBuffer(entryOutSizeBytes);
        writeEntryOut(wordsOf(buffer), { attr, entryValidSec, attrValidSec }, at);
        expect(unpack('entry_out', buffer, at)).toEqual({
          ...{ nodeid: attr.ino, generation: 0, entry_valid: entryValidSec },
          ...{ attr_valid: attrValidSec, entry_valid_nsec: 0, attr_valid_nsec: 0 },
        });
        expect(unpack('attr', buffer, at + 40)).toEqual(attrValues(attr));
        expect(buffer.subarray(0, at)).toEqual(Buffer.alloc(at, 0xee));
        expect(buffer.subarray(at + entryOutSizeBytes)).toEqual(Buffer.alloc(16 - at, 0xee));
      }),
      { numRuns: 1000 },
    );
  });

  it('say that there is no such name with node id 0 and zeros for attributes', () => {
    const buffer = dirtyBuffer(entryOutSizeBytes);
    writeEntryOut(wordsOf(buffer), { attr: null, entryValidSec: 7, attrValidSec: 0 }, 0);
    expect(unpack('entry_out', buffer)).toMatchObject({ nodeid: 0, entry_valid: 7 });
    expect(new Set(Object.values(unpack('attr', buffer, 40)))).toEqual(new Set([0]));
  });

  it('carry every set of attributes', () => {
    fc.assert(
      fc.property(anyAttr, u32, (attr, attrValidSec) => {
        const buffer = dirtyBuffer(attrOutSizeBytes);
        writeAttrOut(wordsOf(buffer), { attr, attrValidSec }, 0);
        expect(unpack('attr_out', buffer)).toEqual({
          ...{ attr_valid: attrValidSec, attr_valid_nsec: 0, dummy: 0 },
        });
        expect(unpack('attr', buffer, 16)).toEqual(attrValues(attr));
      }),
      { numRuns: 1000 },
    );
  });

  it('refuse attributes that cannot be', () => {
    const buffer = dirtyBuffer(attrOutSizeBytes);
    const attr: Attr = {
      ...{ ino: 1 as Ino, mode: 0, nlink: 1, uid: 0, gid: 0, rdev: 0, size: 0, blocks: 0 },
      ...{ atime: { sec: 0, nsec: 0 }, mtime: { sec: 0, nsec: 0 }, ctime: { sec: 0, nsec: 0 } },
    };
    const early = { sec: 0, nsec: -1 };
    for (const wrong of [{ uid: -1 }, { size: 2 ** 70 }, { mode: 2 ** 32 }, { mtime: early }]) {
      const reply = { attr: { ...attr, ...wrong }, attrValidSec: 0 };
      expect(() => writeAttrOut(wordsOf(buffer), reply, 0)).toThrow(RangeError);
    }
  });

  it('carry a handle with its flags', () => {
    fc.assert(
      fc.property(
        u53,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        fc.option(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { nil: undefined }),
        (fh, directIo, keepCache, cacheDirectory, noFlush, backingId) => {
          const buffer = dirtyBuffer(openOutSizeBytes);
          const open = { fh: fh as Fh, directIo, keepCache, cacheDirectory, noFlush };
          writeOpenOut(wordsOf(buffer), open, 0, backingId);
          const flags =
            Number(directIo) +
            2 * Number(keepCache && backingId === undefined) +
            8 * Number(cacheDirectory) +
            32 * Number(noFlush) +
            128 * Number(backingId !== undefined);
          const expected = { fh, open_flags: flags, backing_id: backingId ?? 0 };
          expect(unpack('open_out', buffer)).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('carry the numbers of a filesystem', () => {
    const counts = fc.record({ blocks: u53, bfree: u53, bavail: u53, files: u53, ffree: u53 });
    fc.assert(
      fc.property(counts, u32, u32, (some, bsize, namelen) => {
        const buffer = dirtyBuffer(statfsOutSizeBytes);
        writeStatfsOut(wordsOf(buffer), { ...some, bsize, namelen }, 0);
        const { frsize, ...rest } = unpack('kstatfs', buffer);
        expect(frsize).toBe(bsize);
        expect(rest).toMatchObject({ ...some, bsize, namelen, padding: 0, spare0: 0, spare5: 0 });
      }),
      { numRuns: 500 },
    );
  });
});
