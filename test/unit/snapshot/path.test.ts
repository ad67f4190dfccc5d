import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidPathError } from '../../../src/errors.ts';
import { bytesFromText } from '../../../src/git/byte-string.ts';
import { modeSymlink } from '../../../src/git/mode.ts';
import {
  baseName,
  isWithin,
  joinPath,
  normalizePath,
  parentPath,
  splitPath,
  writablePathFromText,
} from '../../../src/snapshot/path.ts';
import { parseSource } from '../../../src/snapshot/source-path.ts';

describe('paths', () => {
  test('have one form', () => {
    const forms = {
      a: 'a',
      '/a/': 'a',
      '//a/b//': 'a/b',
      'a\\b': 'a/b',
      '\\a\\': 'a',
      './a/./b/.': 'a/b',
      '': '',
      '/': '',
      '.': '',
      './.': '',
      ' ': ' ',
      'a/...': 'a/...',
      '..a': '..a',
    };
    for (const [path, form] of Object.entries(forms)) expect(normalizePath(path)).toBe(form);
    for (const path of ['..', 'a/..', '../a', 'a//b', 'a/\\b', 'a\0', 'a\\..\\b']) {
      expect(() => normalizePath(path)).toThrow(InvalidPathError);
    }
  });

  test('in their one form stay as they are', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[^/\\\0]+$/)), (names) => {
        fc.pre(!names.includes('..'));
        const form = normalizePath(names.join('/'));
        expect(normalizePath(form)).toBe(form);
        expect(form.split('/')).not.toContain('.');
      }),
    );
  });

  test('are taken apart and put together', () => {
    const path = bytesFromText('a/b/c');
    const [root, a, b] = ['', 'a', 'b'].map(bytesFromText) as [never, never, never];
    expect(splitPath(path)).toEqual(['a', 'b', 'c']);
    expect(splitPath(root)).toEqual([]);
    expect([baseName(path), parentPath(path), parentPath(a), baseName(a)]).toEqual([
      'c',
      'a/b',
      '',
      'a',
    ]);
    expect([joinPath(root, a), joinPath(a, b), joinPath(a, root)]).toEqual(['a', 'a/b', 'a']);
    expect([isWithin(path, a), isWithin(path, root), isWithin(a, a), isWithin(a, path)]).toEqual([
      ...[true, true, true, false],
    ]);
    expect(isWithin(bytesFromText('ab'), a)).toBe(false);
  });

  test('that are written hold only names that git allows', () => {
    expect(writablePathFromText('ä')).toBe(bytesFromText('ä'));
    expect(writablePathFromText('a/.gitmodules')).toBe('a/.gitmodules');
    for (const path of ['', '/', '.git', 'a/.GIT/b', 'git~1/x']) {
      expect(() => writablePathFromText(path)).toThrow(InvalidPathError);
    }
    expect(() => writablePathFromText('.gitmodules', modeSymlink)).toThrow(InvalidPathError);
    expect(writablePathFromText('.gitmodules/x', modeSymlink)).toBe('.gitmodules/x');
  });
});

describe('sources of copies', () => {
  test('are taken as rsync takes them', () => {
    const parsed = (source: string): unknown[] => Object.values(parseSource(source));
    expect(parsed('a/b')).toEqual(['a/b', false, null]);
    expect(parsed('a/b/')).toEqual(['a/b', true, null]);
    expect(parsed('a\\b\\')).toEqual(['a/b', true, null]);
    expect(parsed('a/.')).toEqual(['a', true, null]);
    expect(parsed('')).toEqual(['', true, null]);
    expect(parsed('/')).toEqual(['', true, null]);
    expect(parsed('.')).toEqual(['', true, null]);
    expect(parsed('./a')).toEqual(['a', false, null]);
    expect(parsed('a/./b/c')).toEqual(['a/b/c', false, 'b/c']);
    expect(parsed('a/./b/')).toEqual(['a/b', true, 'b']);
    expect(parsed('/./a/b')).toEqual(['a/b', false, 'a/b']);
    expect(parsed('a/./b/./c')).toEqual(['a/b/c', false, 'b/c']);
    expect(parsed('a/.b')).toEqual(['a/.b', false, null]);
    expect(() => parseSource('a/./../b')).toThrow(InvalidPathError);
  });
});
