import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileSegment, compileWildcard, hasWildcard } from '../../../src/snapshot/wildcard.ts';

/** By definition, and as slow as that. */
function matches(pattern: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === '*') {
    return matches(rest, text) || (text.length > 0 && matches(pattern, text.slice(1)));
  }
  if (text.length === 0) return false;
  return (first === '?' || first === text[0]) && matches(rest, text.slice(1));
}

describe('wildcards', () => {
  test('match as they are defined', () => {
    const pattern = fc.array(fc.constantFrom('a', 'b', '*', '?', '\n'), { maxLength: 7 });
    const text = fc.array(fc.constantFrom('a', 'b', '\n', '☃', '\u{1f600}'), { maxLength: 8 });
    fc.assert(
      fc.property(pattern, text, (wanted, given) => {
        const found = compileWildcard(wanted.join(''))(given.join(''));
        expect(found).toBe(matches(wanted, given));
      }),
      { numRuns: 2000 },
    );
  });

  test('take other characters for what they are', () => {
    expect(compileWildcard('[ab].(x)+$')('[ab].(x)+$')).toBe(true);
    expect(compileWildcard('[ab]')('a')).toBe(false);
    expect(compileWildcard('a.c')('abc')).toBe(false);
    expect(compileWildcard('?')('\udc80')).toBe(true);
  });

  test('are quick on what does not match', () => {
    const start = performance.now();
    expect(compileWildcard('*a'.repeat(40))('a'.repeat(2000) + 'b')).toBe(false);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('leave leading dots alone', () => {
    expect(compileSegment('*')('.hidden')).toBe(false);
    expect(compileSegment('?hidden')('.hidden')).toBe(false);
    expect(compileSegment('.*')('.hidden')).toBe(true);
    expect(compileSegment('.*')('hidden')).toBe(false);
    expect(compileSegment('*.*')('a.b')).toBe(true);
    expect([hasWildcard('a*'), hasWildcard('?'), hasWildcard('[a]')]).toEqual([true, true, false]);
  });
});
