import { describe, expect, test } from 'vitest';
import { isNear } from '../../../src/git/near-filesystem.ts';
import { ThreadPace } from '../../../src/git/thread-pace.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

function busyFor(durationMs: number): void {
  for (const startMs = performance.now(); performance.now() - startMs < durationMs;);
}

describe('the pace of reading', () => {
  function leftToPool(pace: ThreadPace): number {
    for (let count = 0; ; count++) if (pace.takeNext()) return count;
  }

  test('leaves some calls to the pool after one that was slow, and more each time', () => {
    const pace = new ThreadPace();
    expect(pace.takeNext()).toBe(true);
    const counts = Array.from({ length: 6 }, () => {
      pace.run(() => busyFor(1));
      return leftToPool(pace);
    });
    expect(counts).toEqual([4, 8, 16, 32, 64, 64]);
  });

  test('forgets slow calls after many quick ones', () => {
    const pace = new ThreadPace();
    pace.run(() => busyFor(1));
    pace.run(() => busyFor(1));
    expect(leftToPool(pace)).toBe(8);
    // One of them may take its time as well, on a busy machine.
    const hadQuickOnes = (): boolean => {
      for (let call = 0; call < 64; call++) {
        pace.run(() => undefined);
        if (leftToPool(pace) > 0) return false;
      }
      return true;
    };
    for (let attempts = 0; !hadQuickOnes(); attempts++) expect(attempts).toBeLessThan(100);
    pace.run(() => busyFor(1));
    expect(leftToPool(pace)).toBe(4);
  });

  test('counts calls that fail', () => {
    const pace = new ThreadPace();
    const failing = (): void => {
      busyFor(1);
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
