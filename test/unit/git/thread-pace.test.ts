import { describe, expect, test } from 'vitest';
import { isNear } from '../../../src/git/near-filesystem.ts';
import { ThreadPace } from '../../../src/git/thread-pace.ts';
import { temporaryDirectory } from '../../helpers/temporary-directory.ts';

function busyFor(durationMs: number): void {
  for (const startMs = performance.now(); performance.now() - startMs < durationMs;);
}

describe('the pace of reading', () => {
  test('leaves some files to the pool after a call that was slow', () => {
    const pace = new ThreadPace();
    expect(pace.takeNext()).toBe(true);
    pace.run(() => busyFor(1));
    const left = Array.from({ length: 65 }, () => pace.takeNext());
    expect(left.indexOf(true)).toBe(64);
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
