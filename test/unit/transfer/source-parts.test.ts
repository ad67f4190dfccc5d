import { describe, expect, test } from 'vitest';
import type { ByteString } from '../../../src/git/byte-string.ts';
import { parseLocalSource } from '../../../src/transfer/local-path.ts';
import { mergeParts } from '../../../src/transfer/source-parts.ts';
import type { SourcePart } from '../../../src/transfer/source-parts.ts';

const name = (text: string): ByteString => text as ByteString;
const file = { isDirectory: false };
const directory = { isDirectory: true };

describe('parts at one name', () => {
  const part = (item: { isDirectory: boolean }, ...names: string[]): SourcePart<typeof item> => ({
    names: names.map(name),
    item,
  });
  const merge = (...parts: SourcePart<{ isDirectory: boolean }>[]) =>
    mergeParts(parts.map((each) => [name('n'), each] as const)).get(name('n'));

  test('the first file wins', () => {
    const other = { ...file };
    expect(merge(part(file), part(other))).toEqual({ kind: 'leaf', item: file });
    expect((merge(part(file), part(other)) as { item: object }).item).toBe(file);
  });
  test('directories become one, and go before files on either side', () => {
    const [one, two] = [part(directory), part(file, 'below')];
    const both = { kind: 'directory', parts: [one, two] };
    expect(merge(one, two)).toEqual(both);
    expect(merge(part(file), one, part(file), two)).toEqual(both);
  });
  test('nothing comes of nothing', () => {
    expect(mergeParts([]).size).toBe(0);
  });
});

describe('a local source', () => {
  test.each([
    ['a', 'a', false, ['a']],
    ['/x/a', '/x/a', false, ['a']],
    ['a/', 'a', true, []],
    ['a//', 'a', true, []],
    ['a/.', 'a', true, []],
    ['.', '.', true, []],
    ['..', '..', true, []],
    ['a/..', 'a/..', true, []],
    ['/', '/', true, []],
    ['a\\b', 'a\\b', false, ['a\\b']],
    ['..a', '..a', false, ['..a']],
    ['x/./a/b', 'x/./a/b', false, ['a', 'b']],
    ['x/./a//b/', 'x/./a//b', true, ['a', 'b']],
    ['x/./', 'x', true, []],
    ['/./a', '/./a', false, ['a']],
    ['./a', './a', false, ['a']],
    ['x/./a/./b', 'x/./a/./b', false, ['a', 'b']],
  ])('%s', (text, path, contents, names) => {
    expect(parseLocalSource(text)).toEqual({ path, contents, names });
  });
});
