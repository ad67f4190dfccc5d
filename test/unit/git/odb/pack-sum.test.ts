import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PackSum } from '../../../../src/git/odb/pack-sum.ts';
import type { HashAlgorithm } from '../../../../src/git/oid.ts';
import { noise } from '../../../helpers/git-objects.ts';
import { temporaryDirectory } from '../../../helpers/temporary-directory.ts';

const mebibyte = 1024 * 1024;
const header = Buffer.from('a header');
const content = noise(9 * mebibyte + 321, 1);
const end = header.length + content.length;

let file: FileHandle;

beforeEach(async () => {
  file = await open(join(await temporaryDirectory(), 'file'), 'w+');
});

afterEach(async () => {
  await file.close();
});

describe('the sums of a pack that is being written', () => {
  it.each<HashAlgorithm>(['sha1', 'sha256'])('are over header and content (%s)', async (name) => {
    const sum = new PackSum({ fd: file.fd, algorithm: name, header });
    for (let at = 0; at < content.length; at += mebibyte) {
      await file.write(content.subarray(at, at + mebibyte), 0, undefined, header.length + at);
      sum.wroteUpTo(header.length + Math.min(at + mebibyte, content.length));
    }
    const checksum = createHash(name).update(header).update(content).digest();
    expect(await sum.finish(end)).toEqual({ checksum, crc32: crc32(content) });
  });

  it('are those of the file, whatever was meant to be there', async () => {
    await file.write(content, 0, undefined, header.length);
    await file.write(Buffer.alloc(1, (content[5 * mebibyte] ?? 0) + 1), 0, 1, 5 * mebibyte);
    const sums = await new PackSum({ fd: file.fd, algorithm: 'sha1', header }).finish(end);
    expect(sums?.crc32).not.toBe(crc32(content));
  });

  it('are none where the file is shorter, or cannot be read', async () => {
    await file.write(content.subarray(1), 0, undefined, header.length);
    expect(await new PackSum({ fd: file.fd, algorithm: 'sha1', header }).finish(end)).toBe(
      undefined,
    );
    expect(await new PackSum({ fd: 1_000_000, algorithm: 'sha1', header }).finish(end)).toBe(
      undefined,
    );
  });

  it('are none where there is no thread to be had', async () => {
    await file.write(content, 0, undefined, header.length);
    // What no thread can be given is as good as too many threads.
    const unheard = { fd: file.fd, algorithm: 'sha1', header, more: () => undefined } as const;
    const sum = new PackSum(unheard);
    sum.wroteUpTo(end);
    expect(await sum.finish(end)).toBe(undefined);
    await sum.stop();
  });

  it('can be given up at any time', async () => {
    const sum = new PackSum({ fd: file.fd, algorithm: 'sha1', header });
    await file.write(content, 0, undefined, header.length);
    sum.wroteUpTo(end);
    await sum.stop();
    await sum.stop();
  });
});
