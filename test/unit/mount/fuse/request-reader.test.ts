import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MalformedRequestError, RequestReader } from '../../../../src/mount/fuse/request-reader.ts';
import { ErrnoError } from '../../../../src/mount/vfs/errno.ts';
import { nameBytes, pack, packRequest } from '../../../helpers/fuse-structs.ts';
import type { RequestValues } from '../../../helpers/fuse-structs.ts';

const u32 = fc.nat(0xffff_ffff);

/** A reader at a request, behind which the bytes of an earlier one still stand. */
function readerAt(values: RequestValues): RequestReader {
  const request = packRequest(values);
  const buffer = Buffer.concat([request, Buffer.alloc(100, 'older')]);
  const reader = new RequestReader(buffer);
  reader.begin(request.length);
  return reader;
}

describe('RequestReader', () => {
  it('reads headers', () => {
    fc.assert(
      fc.property(u32, fc.maxSafeNat(), fc.maxSafeNat(), (opcode, unique, nodeid) => {
        const reader = readerAt({ opcode, unique, nodeid });
        expect([reader.opcode, reader.unique, reader.ino]).toEqual([opcode, unique, nodeid]);
        expect(reader.caller()).toEqual({ uid: 1000, gid: 100, pid: 4242 });
      }),
      { numRuns: 500 },
    );
  });

  it('refuses what is no request', () => {
    const request = packRequest({ opcode: 3 });
    const reader = new RequestReader(request);
    for (const sizeBytes of [0, 1, 39]) {
      expect(() => reader.begin(sizeBytes)).toThrow(MalformedRequestError);
      expect(reader.unique).toBe(0);
    }
    const longer = new RequestReader(Buffer.concat([request, request]));
    expect(() => longer.begin(80)).toThrow(/40 bytes came in 80/);
    expect(longer.unique).toBe(2);
  });

  it('refuses numbers beyond 2^53, by which nothing can be known here', () => {
    const begin = (values: Partial<RequestValues>) => () => readerAt({ opcode: 3, ...values });
    expect(begin({ nodeid: 2n ** 53n })).toThrow(MalformedRequestError);
    expect(begin({ unique: 2n ** 64n - 1n })).toThrow(MalformedRequestError);
    const reader = readerAt({ opcode: 3, body: [pack('forget_in', { nlookup: 2n ** 53n })] });
    expect(() => reader.u64(0)).toThrow(MalformedRequestError);
    expect(() => reader.filePosition(0)).toThrow(expect.objectContaining({ errno: 'EFBIG' }));
    expect(reader.byteCount(0)).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('reads times on both sides of 1970', () => {
    const anyTime = fc.integer({ min: -(2 ** 50), max: 2 ** 50 });
    fc.assert(
      fc.property(anyTime, fc.nat(999_999_999), (sec, nsec) => {
        const body = [pack('setattr_in', { atime: sec, atimensec: nsec })];
        expect(readerAt({ opcode: 4, body }).time(32, 56)).toEqual({ sec, nsec });
      }),
      { numRuns: 500 },
    );
    const body = [pack('setattr_in', { atime: 1, atimensec: 1_000_000_000 })];
    expect(() => readerAt({ opcode: 4, body }).time(32, 56)).toThrow(MalformedRequestError);
  });

  it('reads names as bytes, up to their end and not beyond the request', () => {
    const byte = fc.integer({ min: 1, max: 255 }).filter((code) => code !== 0x2f);
    fc.assert(
      fc.property(fc.array(byte, { minLength: 3, maxLength: 300 }), (codes) => {
        const name = String.fromCharCode(...codes);
        const reader = readerAt({ opcode: 1, body: [nameBytes(name), nameBytes('next')] });
        expect(reader.name(0)).toBe(name);
        expect(reader.name(name.length + 1)).toBe('next');
      }),
      { numRuns: 500 },
    );
    const endless = readerAt({ opcode: 1, body: [Buffer.from('name')] });
    expect(() => endless.name(0)).toThrow(MalformedRequestError);
    expect(() => endless.name(4)).toThrow(MalformedRequestError);
  });

  it('refuses names that no directory can hold', () => {
    for (const name of ['', '.', '..', '/', 'a/b', '../x']) {
      const reader = readerAt({ opcode: 1, body: [nameBytes(name)] });
      expect(() => reader.name(0)).toThrow(MalformedRequestError);
    }
  });

  it('never reads beyond the request, and fails with an errno whatever the bytes are', () => {
    const access = fc.constantFrom(
      ...(['u32', 'u64', 'filePosition', 'byteCount', 'text', 'name', 'optionalFh', 'fh'] as const),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), access, fc.nat(80), (body, method, offset) => {
        const reader = readerAt({ opcode: 1, body: [Buffer.from(body)] });
        let result: unknown;
        try {
          result = reader[method](offset);
        } catch (error) {
          expect(error).toBeInstanceOf(ErrnoError);
          return;
        }
        expect(offset).toBeLessThan(body.length);
        expect(String(result)).not.toContain('older');
      }),
      { numRuns: 5000 },
    );
  });
});
