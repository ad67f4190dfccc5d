import { afterEach, describe, expect, test, vi } from 'vitest';
import { isNear } from '../../../src/git/near-filesystem.ts';
import { ThreadPace } from '../../../src/git/thread-pace.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

afterEach(() => vi.restoreAllMocks());

function busyFor(durationMs: number): void {
  for (const startMs = performance.now(); performance.now() - startMs < durationMs;);
}

describe('the pace of calls', () => {
  test('leaves calls to the pool after one that was slow, ten times as long as that took', () => {
    const now = vi.spyOn(performance, 'now');
    let timeMs = 1000;
    now.mockImplementation(() => timeMs);
    const pace = new ThreadPace(1);
    const take = (ms: number): void => pace.run(() => void (timeMs += ms));
    take(0.9);
    expect(pace.takeNext()).toBe(true);
    take(2);
    expect(pace.takeNext()).toBe(false);
    timeMs += 19;
    expect(pace.takeNext()).toBe(false);
    timeMs += 1;
    expect(pace.takeNext()).toBe(true);
    take(0.9);
    expect(pace.takeNext()).toBe(true);
    take(7);
    timeMs += 69;
    expect(pace.takeNext()).toBe(false);
  });

  test('counts calls that fail', () => {
    const pace = new ThreadPace();
    const failing = (): void => {
      busyFor(1.1);
      throw new RangeError('no');
    };
    expect(() => pace.run(failing)).toThrow('no');
    expect(pace.takeNext()).toBe(false);
  });
});

test('disks are near, what a program answers for is not', async () => {
  expect(await isNear(Buffer.from(await temporaryDirectory()))).toBe(true);
  expect(await isNear(Buffer.from('/proc/self'))).toBe(false);
  await expect(isNear(Buffer.from('/none'))).rejects.toMatchObject({ code: 'ENOENT' });
});
