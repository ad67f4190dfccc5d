import { afterEach, expect, test, vi } from 'vitest';
import { RecentPaths, noRecentPaths } from '../../../src/git/recent-paths.ts';

afterEach(() => vi.useRealTimers());

test('a path is recent when it was looked at within the last seconds', () => {
  vi.useFakeTimers();
  const recent = new RecentPaths(true);
  expect(recent.look('a')).toBe(false);
  vi.advanceTimersByTime(4000);
  expect(recent.look('a')).toBe(true);
  vi.advanceTimersByTime(4000);
  expect(recent.look('a')).toBe(true);
  expect(recent.look('b')).toBe(false);
  vi.advanceTimersByTime(6000);
  expect(recent.look('a')).toBe(false);
});

test('no path is where others may be waited for', () => {
  expect(noRecentPaths.look('a')).toBe(false);
  expect(noRecentPaths.look('a')).toBe(false);
});

test('only the latest paths are remembered', () => {
  const recent = new RecentPaths(true);
  for (let count = 0; count < 257; count++) recent.look(String(count));
  expect(recent.look('256')).toBe(true);
  expect(recent.look('0')).toBe(false);
});
