import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ByteString } from '../../../../src/git/byte-string.ts';
import { DirectoryBuffer } from '../../../../src/mount/fuse/directory-buffer.ts';
import type { Attr, EntryReply, Ino } from '../../../../src/mount/vfs/operations.ts';
import { structSizeBytes, unpack } from '../../../helpers/fuse-structs.ts';

const entrySizeBytes = structSizeBytes('entry_out') + structSizeBytes('attr');
const direntSizeBytes = structSizeBytes('dirent');

interface Listed {
  readonly name: string;
  readonly ino: number;
  readonly nodeid: number;
  readonly type: number;
  readonly offset: number;
}

/** Reads a listing as the kernel does. */
function parse(bytes: Buffer, plus: boolean): Listed[] {
  const entries: Listed[] = [];
  for (let at = 0; at < bytes.length;) {
    const nodeid = plus ? Number(unpack('entry_out', bytes, at)['nodeid']) : 0;
    if (plus) at += entrySizeBytes;
    const dirent = unpack('dirent', bytes, at);
    const nameAt = at + direntSizeBytes;
    const end = nameAt + Number(dirent['namelen']);
    entries.push({
      ...{ name: bytes.toString('latin1', nameAt, end), nodeid, ino: Number(dirent['ino']) },
      ...{ type: Number(dirent['type']), offset: Number(dirent['off']) },
    });
    at = end + ((8 - (end % 8)) % 8);
    expect(bytes.subarray(end, at).every((byte) => byte === 0)).toBe(true);
  }
  return entries;
}

function entryOf(ino: number, mode: number): EntryReply {
  const time = { sec: 0, nsec: 0 };
  const attr: Attr = {
    ...{ ino: ino as Ino, mode, nlink: 1, uid: 0, gid: 0, rdev: 0, size: 0, blocks: 0 },
    ...{ atime: time, mtime: time, ctime: time },
  };
  return { attr, entryValidSec: 1, attrValidSec: 1 };
}

const anyName = fc
  .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 255 })
  .map((codes) => String.fromCharCode(...codes) as ByteString);

describe('DirectoryBuffer', () => {
  it.each([false, true])('holds what fits, whole and in order (with attributes: %s)', (plus) => {
    fc.assert(
      fc.property(fc.array(anyName, { maxLength: 40 }), fc.nat(8192), (names, roomBytes) => {
        const buffer = new DirectoryBuffer(Buffer.alloc(roomBytes, 0xff), plus);
        const taken: Listed[] = [];
        for (const [index, name] of names.entries()) {
          const ino = 100 + index;
          const mode = index % 2 === 0 ? 0o100644 : 0o040755;
          const fits = plus
            ? buffer.addPlus(name, entryOf(ino, mode), index + 1)
            : buffer.add(name, ino as Ino, mode, index + 1);
          if (!fits) break;
          const type = mode >>> 12;
          taken.push({ name, ino, nodeid: plus ? ino : 0, type, offset: index + 1 });
        }
        expect(buffer.bytes.length).toBeLessThanOrEqual(roomBytes);
        expect(parse(buffer.bytes, plus)).toEqual(taken);
      }),
      { numRuns: 500 },
    );
  });

  it('lists an entry without attributes with node id 0, which counts no lookup', () => {
    const buffer = new DirectoryBuffer(Buffer.alloc(4096, 0xff), true);
    expect(buffer.add('..' as ByteString, 1 as Ino, 0o040000, 2)).toBe(true);
    expect(parse(buffer.bytes, true)).toEqual([
      { name: '..', ino: 1, nodeid: 0, type: 4, offset: 2 },
    ]);
  });

  it('does not take what nobody asked for, nor names that are missing', () => {
    const plain = new DirectoryBuffer(Buffer.alloc(4096, 0xff), false);
    expect(() => plain.addPlus('a' as ByteString, entryOf(2, 0o100644), 1)).toThrow(TypeError);
    const missing: EntryReply = { attr: null, entryValidSec: 0, attrValidSec: 0 };
    const withAttributes = new DirectoryBuffer(Buffer.alloc(4096, 0xff), true);
    expect(() => withAttributes.addPlus('a' as ByteString, missing, 1)).toThrow(TypeError);
  });
});
