import { expect, test } from 'vitest';
import { bytesFromText } from '../../../../src/git/byte-string.ts';
import { ChangedPathQuery } from '../../../../src/git/odb/changed-paths.ts';
import { murmur3 } from '../../../../src/git/odb/murmur3.ts';

const hex = (text: string, seed: number, isSigned = false): string =>
  murmur3(Buffer.from(text), seed, isSigned).toString(16).padStart(8, '0');

test('MurmurHash3 gives the published values', () => {
  expect(hex('', 0)).toBe('00000000');
  expect(hex('', 1)).toBe('514e28b7');
  expect(hex('', 0xffffffff)).toBe('81f16f39');
  expect(hex('aaaa', 0x9747b28c)).toBe('5a97808a');
  expect(hex('aaa', 0x9747b28c)).toBe('283e0130');
  expect(hex('aa', 0x9747b28c)).toBe('5d211726');
  expect(hex('a', 0x9747b28c)).toBe('7fa09ea6');
  expect(hex('Hello, world!', 0x9747b28c)).toBe('24884cba');
  expect(hex('ππππππππ', 0x9747b28c)).toBe('d58063c1');
});

test('bytes with a sign hash as others do as long as they are ASCII', () => {
  expect(hex('Hello, world!', 7, true)).toBe(hex('Hello, world!', 7));
  expect(hex('ππππππππ', 7, true)).not.toBe(hex('ππππππππ', 7));
});

/** The smallest filter for these keys, as git would make it. */
function filterOf(paths: readonly string[], isSigned: boolean): Buffer {
  const filter = Buffer.alloc(64);
  for (const path of paths) {
    const data = Buffer.from(path);
    const [first, step] = [
      murmur3(data, 0x293ae76f, isSigned),
      murmur3(data, 0x7e646e2c, isSigned),
    ];
    for (let index = 0n; index < 7n; index++) {
      const bit = Number((BigInt(first) + index * BigInt(step)) % 2n ** 32n) % 512;
      filter[bit >> 3]! |= 1 << (bit & 7);
    }
  }
  return filter;
}

const isMissing = (path: string, filter: Buffer, hashVersion: number): boolean =>
  new ChangedPathQuery(bytesFromText(path)).isMissingIn(filter, { hashVersion, hashCount: 7 });

test('a path is found in whatever way its bytes were hashed', () => {
  const path = 'ünï/cödé';
  for (const isSigned of [true, false]) {
    const filter = filterOf(['ünï', path], isSigned);
    expect(isMissing(path, filter, 1)).toBe(false);
    expect(isMissing('ünï/other', filter, 1)).toBe(true);
    expect(isMissing('cödé', filter, 1)).toBe(true);
  }
  expect(isMissing(path, filterOf(['ünï', path], false), 2)).toBe(false);
  expect(isMissing(path, filterOf(['ünï', path], true), 2)).toBe(true);
});

test('a path whose directory is missing is missing', () => {
  expect(isMissing('a/b', filterOf(['a/b'], false), 1)).toBe(true);
  expect(isMissing('a/b', filterOf(['a', 'a/b'], false), 1)).toBe(false);
});

test('nothing is said without a filter, of the root, and of too many hashes', () => {
  expect(isMissing('a', Buffer.alloc(0), 1)).toBe(false);
  expect(isMissing('', Buffer.alloc(1), 1)).toBe(false);
  expect(isMissing('a', Buffer.alloc(1), 1)).toBe(true);
  expect(isMissing('a', Buffer.alloc(1, 0xff), 1)).toBe(false);
  const query = new ChangedPathQuery(bytesFromText('a'));
  expect(query.isMissingIn(Buffer.alloc(1), { hashVersion: 1, hashCount: 2 ** 31 })).toBe(false);
});
