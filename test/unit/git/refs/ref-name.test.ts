import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidRefNameError } from '../../../../src/errors.ts';
import { bytesFromText } from '../../../../src/git/byte-string.ts';
import {
  branchPrefix,
  isRefName,
  namesAbove,
  parseRefName,
  refNameFault,
  refNameIn,
  refNameText,
  tagPrefix,
} from '../../../../src/git/refs/ref-name.ts';
import { gitResult } from '../../../helpers/git.ts';

describe('parseRefName', () => {
  test('takes full names and refs beside refs/', () => {
    for (const name of ['refs/heads/main', 'HEAD', 'ORIG_HEAD', 'refs/heads/ü/\udcff', 'refs/x']) {
      expect(refNameText(parseRefName(name))).toBe(name);
    }
  });

  test.each([
    'main',
    'heads/main',
    'config',
    '../x',
    'refs/',
    'refs',
    'objects/x',
    '',
    'refs/heads/\udcff..',
  ])('%j is refused, since it is used as a path', (name) =>
    expect(() => parseRefName(name)).toThrow(InvalidRefNameError),
  );

  test('the reason is named', () => {
    expect(() => parseRefName('refs/heads/a b')).toThrow('"refs/heads/a b": it holds a space');
    expect(() => parseRefName('main')).toThrow('a full name begins with "refs/"');
  });
});

test('refNameIn', () => {
  expect(refNameIn(branchPrefix, bytesFromText('ä/b'))).toBe('refs/heads/Ã¤/b');
  expect(refNameIn(tagPrefix, bytesFromText('HEAD'))).toBe('refs/tags/HEAD');
  for (const name of ['HEAD', '-x', '@', '', 'a..b', '/a', 'a/', 'x.lock']) {
    expect(() => refNameIn(branchPrefix, bytesFromText(name)), name).toThrow(InvalidRefNameError);
  }
});

test('namesAbove', () => {
  expect(namesAbove(parseRefName('refs/heads/a/b'))).toEqual(['refs/heads', 'refs/heads/a']);
  expect(namesAbove(parseRefName('HEAD'))).toEqual([]);
});

test('git-check-ref-format agrees on any name', async () => {
  const piece = fc.constantFrom(
    ...[
      'a',
      'Z',
      '9',
      '-',
      '_',
      '.',
      '..',
      '/',
      '//',
      '@',
      '@{',
      '{',
      '}',
      '~',
      '^',
      ':',
      '?',
      '*',
      '[',
    ],
    ...[
      '\\',
      ' ',
      '\t',
      '\x7f',
      '.lock',
      '.lock/',
      'lock',
      'ü',
      '\u{1f600}',
      '!',
      '$',
      '"',
      "'",
      ']',
      '\x01',
    ],
  );
  const name = fc.array(piece, { minLength: 0, maxLength: 7 }).map((pieces) => pieces.join(''));
  await fc.assert(
    fc.asyncProperty(name, async (text) => {
      const full = `refs/heads/${text}`;
      const theirs = (await gitResult(['check-ref-format', full])).exitCode === 0;
      expect(isRefName(bytesFromText(full)), JSON.stringify(full)).toBe(theirs);
      // Alone, git takes what begins with a dash for an option.
      if (text.startsWith('-')) return;
      const alone = await gitResult(['check-ref-format', '--allow-onelevel', text]);
      expect(refNameFault(bytesFromText(text)) === undefined).toBe(alone.exitCode === 0);
    }),
    { numRuns: 300 },
  );
});
