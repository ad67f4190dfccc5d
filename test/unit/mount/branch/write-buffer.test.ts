import { readdir } from 'node:fs/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Oid } from '../../../../src/git/oid.ts';
import { BufferPool } from '../../../../src/mount/vfs/buffer-pool.ts';
import { MemoryBudget } from '../../../../src/mount/branch/memory-budget.ts';
import { SpoolDirectory } from '../../../../src/mount/branch/spool-file.ts';
import { WriteBuffer } from '../../../../src/mount/branch/write-buffer.ts';
import type {
  BlobReader,
  BufferContent,
  WriteBufferSetting,
} from '../../../../src/mount/branch/write-buffer.ts';
import type { StoredContent } from '../../../../src/mount/vfs/vnode.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const blob = Buffer.from(Array.from({ length: 30_000 }, (_, index) => 1 + (index % 251)));
const stored: StoredContent = { oid: 'b'.repeat(40) as Oid, sizeBytes: blob.length };
const now: BlobReader = {
  readRange: (_, offset, length) => blob.subarray(offset, offset + length),
};
const later: BlobReader = {
  readRange: async (_, offset, length) => {
    await new Promise(setImmediate);
    return blob.subarray(offset, offset + length);
  },
};

let spoolPath = '';
beforeAll(async () => {
  spoolPath = await temporaryDirectory();
});

function setting(change: Partial<WriteBufferSetting> = {}): WriteBufferSetting {
  return {
    blobs: now,
    memory: new MemoryBudget(1 << 26),
    spool: new SpoolDirectory(spoolPath),
    copies: new BufferPool(5000, 2),
    memoryFileBytes: 1 << 20,
    maxFileSizeBytes: 2 ** 36,
    ...change,
  };
}

async function bytesOf(content: BufferContent): Promise<Buffer> {
  if (content.kind === 'stored') return blob;
  if (content.kind === 'bytes') return Buffer.from(content.bytes);
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.chunks()) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const size = 40_000;
const position = fc.oneof(
  fc.nat(size),
  fc.nat(10).map((page) => page * 4096),
);
const step = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    offset: position,
    length: fc.nat(9000),
    value: fc.integer({ min: 0, max: 255 }),
  }),
  fc.record({
    kind: fc.constant('writeAtEnd' as const),
    length: fc.nat(9000),
    value: fc.integer({ min: 0, max: 255 }),
  }),
  fc.record({ kind: fc.constant('truncate' as const), offset: position }),
  fc.record({ kind: fc.constant('extend' as const), offset: position }),
  fc.record({ kind: fc.constant('punch' as const), offset: position, length: fc.nat(20_000) }),
  fc.record({
    kind: fc.constant('append' as const),
    page: fc.nat(10),
    from: fc.nat(blob.length),
    length: fc.nat(9000),
  }),
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a file should hold: a plain buffer. */
class Model {
  bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = Buffer.from(bytes);
  }

  resize(length: number): void {
    const resized = Buffer.alloc(length);
    this.bytes.copy(resized);
    this.bytes = resized;
  }

  grow(length: number): void {
    if (length > this.bytes.length) this.resize(length);
  }
}

async function runStep(buffer: WriteBuffer, model: Model, taken: Step): Promise<void> {
  switch (taken.kind) {
    case 'write': {
      const data = Buffer.alloc(taken.length, taken.value);
      const done = buffer.write(taken.offset, data);
      // The bytes are only lent.
      data.fill(0xee);
      await done;
      if (taken.length > 0) model.grow(taken.offset + taken.length);
      model.bytes.subarray(taken.offset, taken.offset + taken.length).fill(taken.value);
      break;
    }
    case 'writeAtEnd': {
      const data = Buffer.alloc(taken.length, taken.value);
      const done = buffer.writeAtEnd(data);
      data.fill(0xee);
      expect(await done).toBe(model.bytes.length);
      model.bytes = Buffer.concat([model.bytes, Buffer.alloc(taken.length, taken.value)]);
      break;
    }
    case 'truncate':
      await buffer.truncate(taken.offset);
      model.resize(taken.offset);
      break;
    case 'extend':
      await buffer.extend(taken.offset);
      model.grow(taken.offset);
      break;
    case 'punch':
      await buffer.punch(taken.offset, taken.length);
      model.bytes.subarray(taken.offset, taken.offset + taken.length).fill(0);
      break;
    case 'append': {
      const offset = taken.page * 4096;
      const length = Math.min(taken.length, blob.length - taken.from);
      const done = await buffer.append(stored, taken.from, offset, length);
      expect(done).toBe(offset >= model.bytes.length);
      if (!done) break;
      model.grow(offset + length);
      blob.copy(model.bytes, offset, taken.from, taken.from + length);
      break;
    }
  }
}

/** Data and holes must follow each other to the end, and a hole must read as zeros. */
function expectHolesToBeZero(buffer: WriteBuffer, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    const data = buffer.nextData(at) ?? bytes.length;
    expect(bytes.subarray(at, data).every((byte) => byte === 0)).toBe(true);
    if (data === bytes.length) break;
    at = buffer.nextHole(data);
    expect(at).toBeGreaterThan(data);
  }
}

describe('WriteBuffer', () => {
  test.each([
    { name: 'in memory, blobs at once', memoryFileBytes: 1 << 20, blobs: now },
    { name: 'in memory, blobs from disk', memoryFileBytes: 1 << 20, blobs: later },
    { name: 'soon on disk', memoryFileBytes: 3 * 4096, blobs: now },
    { name: 'all on disk, blobs from disk', memoryFileBytes: 0, blobs: later },
  ])('does to a file what a plain buffer does: $name', async ({ memoryFileBytes, blobs }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(step, { maxLength: 12 }),
        fc.array(fc.tuple(position, fc.nat(12_000)), { minLength: 3, maxLength: 3 }),
        async (fromBlob, steps, probes) => {
          const used = setting({ memoryFileBytes, blobs });
          const buffer = new WriteBuffer(used, fromBlob ? stored : undefined);
          const model = new Model(fromBlob ? blob : Buffer.alloc(0));
          for (const taken of steps) {
            await runStep(buffer, model, taken);
            expect(buffer.sizeBytes).toBe(model.bytes.length);
          }
          for (const [offset, length] of probes) {
            const read = await buffer.read(offset, length);
            expect(read.equals(model.bytes.subarray(offset, offset + length))).toBe(true);
          }
          const content = await buffer.hold(bytesOf);
          expect(content.equals(model.bytes)).toBe(true);
          expectHolesToBeZero(buffer, model.bytes);
          await buffer.close();
          expect(used.memory.usedBytes).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('runs in order what is asked for without waiting', async () => {
    const buffer = new WriteBuffer(setting({ memoryFileBytes: 4096, blobs: later }), stored);
    const data = Buffer.alloc(10, 7);
    const writes = [buffer.write(5000, data), buffer.write(5005, Buffer.alloc(10, 8))];
    data.fill(9);
    writes.push(buffer.truncate(5008), buffer.write(5010, Buffer.alloc(2, 6)));
    for (const write of writes) await write;
    expect([...(await buffer.read(4998, 100))]).toEqual([
      blob[4998],
      blob[4999],
      ...[7, 7, 7, 7, 7, 8, 8, 8, 0, 0, 6, 6],
    ]);
    await buffer.close();
  });

  test('the end is where the file ends when everything before is done', async () => {
    const buffer = new WriteBuffer(setting({ memoryFileBytes: 4096, maxFileSizeBytes: 10_000 }), {
      ...stored,
      sizeBytes: 9000,
    });
    const data = Buffer.from('first');
    const before = [buffer.write(5000, Buffer.alloc(10)), buffer.truncate(0)];
    const [first, second] = [buffer.writeAtEnd(data), buffer.writeAtEnd(Buffer.from('second'))];
    data.fill(0);
    const tooFar = Promise.resolve(buffer.truncate(9999)).then(() => buffer.writeAtEnd(data));
    await expect(tooFar).rejects.toThrow('EFBIG');
    for (const change of before) await change;
    expect([await first, await second]).toEqual([0, 5]);
    expect((await buffer.read(0, 11)).toString()).toBe('firstsecond');
    await buffer.close();
  });

  test('small writes and reads in memory are done at once', () => {
    const buffer = new WriteBuffer(setting(), undefined);
    expect(buffer.write(100, Buffer.from('abc'))).toBeUndefined();
    expect(buffer.writeAtEnd(Buffer.from('de'))).toBe(103);
    expect(buffer.read(99, 10)).toEqual(Buffer.from('\0abcde'));
  });

  test('memory that another file had shows nothing of it', async () => {
    for (const sizeBytes of [10, 4096, 9000, 30_000, 40_000]) {
      const others = [1, 2].map(() => new WriteBuffer(setting(), undefined));
      for (const other of others) await other.write(0, Buffer.alloc(sizeBytes, 0xff));
      const kept = others[0]?.read(0, sizeBytes);
      for (const other of others) await other.close();
      const buffer = new WriteBuffer(setting(), undefined);
      const model = new Model(Buffer.alloc(0));
      const offset = Math.floor(sizeBytes / 3);
      await runStep(buffer, model, { kind: 'write', offset, length: 5, value: 7 });
      await runStep(buffer, model, { kind: 'punch', offset, length: 2 });
      await runStep(buffer, model, { kind: 'extend', offset: sizeBytes });
      await runStep(buffer, model, { kind: 'write', offset: sizeBytes, length: 1, value: 8 });
      expect(await buffer.read(0, 2 * sizeBytes)).toEqual(model.bytes);
      // Nor do bytes that were read change with what comes later.
      expect(await kept).toEqual(Buffer.alloc(sizeBytes, 0xff));
      await buffer.close();
    }
  });

  test('a stored blob that nothing was written to is known by its hash', async () => {
    const kindOf = (content: BufferContent): Promise<string> => Promise.resolve(content.kind);
    expect(await new WriteBuffer(setting(), stored).hold(kindOf)).toBe('stored');
    const copy = new WriteBuffer(setting(), undefined);
    expect(await copy.append(stored, 0, 0, 8192)).toBe(true);
    expect(await copy.hold(kindOf)).toBe('bytes');
    expect(await copy.append(stored, 8192, 8192, blob.length - 8192)).toBe(true);
    expect(await copy.hold(kindOf)).toBe('stored');
    await copy.write(3, Buffer.from([blob[3] ?? 0]));
    expect(await copy.hold(kindOf)).toBe('bytes');
  });

  test('changes wait while the content is held', async () => {
    const buffer = new WriteBuffer(setting(), undefined);
    await buffer.write(0, Buffer.from('before'));
    let release = (): void => undefined;
    const held = buffer.hold(async (content) => {
      await new Promise<void>((resolve) => (release = resolve));
      return (await bytesOf(content)).toString();
    });
    const written = buffer.write(0, Buffer.from('AFTER!'));
    expect(written).toBeInstanceOf(Promise);
    expect((await buffer.read(0, 6)).toString()).toBe('before');
    release();
    expect(await held).toBe('before');
    await written;
    expect((await buffer.read(0, 6)).toString()).toBe('AFTER!');
  });

  test('memory stays within its budget, and what exceeds it goes to disk without a name', async () => {
    const memory = new MemoryBudget(64 * 1024);
    const buffers = Array.from(
      { length: 8 },
      () => new WriteBuffer(setting({ memory }), undefined),
    );
    for (const [index, buffer] of buffers.entries()) {
      await buffer.write(0, Buffer.alloc(20_000, index + 1));
      expect(memory.usedBytes).toBeLessThanOrEqual(64 * 1024);
    }
    expect(await readdir(spoolPath)).toEqual([]);
    for (const [index, buffer] of buffers.entries()) {
      expect(await buffer.read(19_998, 10)).toEqual(Buffer.alloc(2, index + 1));
      await buffer.close();
    }
    expect(memory.usedBytes).toBe(0);
  });

  test('a sparse file costs what is written to it', async () => {
    const buffer = new WriteBuffer(setting({ maxFileSizeBytes: 2 ** 41 }), undefined);
    await buffer.truncate(2 ** 40);
    await buffer.write(2 ** 39, Buffer.from('x'));
    expect(buffer.allocatedBytes).toBe(4096);
    expect(buffer.nextData(0)).toBe(2 ** 39);
    expect(buffer.nextHole(2 ** 39)).toBe(2 ** 39 + 4096);
    expect(buffer.nextData(2 ** 39 + 4096)).toBeUndefined();
    expect((await buffer.read(2 ** 39 - 1, 3)).toString('latin1')).toBe('\0x\0');
    await buffer.close();
  });

  test('a file over the limit is refused, and stays as it was', async () => {
    const buffer = new WriteBuffer(setting({ maxFileSizeBytes: 10 }), undefined);
    await buffer.write(0, Buffer.from('0123456789'));
    expect(() => buffer.write(5, Buffer.from('abcdef'))).toThrow('EFBIG');
    expect(() => buffer.truncate(11)).toThrow('EFBIG');
    expect(() => buffer.extend(11)).toThrow('EFBIG');
    expect(() => buffer.append(stored, 0, 4096, 1)).toThrow('EFBIG');
    expect((await buffer.read(0, 20)).toString()).toBe('0123456789');
  });

  test('a spool directory that cannot be written fails the write, not the bytes before it', async () => {
    const spool = new SpoolDirectory('/dev/null/none');
    const buffer = new WriteBuffer(setting({ spool, memoryFileBytes: 4096 }), undefined);
    await buffer.write(0, Buffer.from('kept'));
    await expect(buffer.write(4096, Buffer.from('lost'))).rejects.toThrow('ENOTDIR');
    expect((await buffer.read(0, 10)).toString()).toBe('kept');
    await buffer.write(4, Buffer.from('!'));
    expect((await buffer.read(0, 10)).toString()).toBe('kept!');
  });
});
