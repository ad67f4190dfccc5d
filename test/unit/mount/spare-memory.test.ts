import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Log } from '../../../src/mount/observe/log.ts';
import { SpareMemory } from '../../../src/mount/spare-memory.ts';
import { eventually } from '../../helpers/eventually.ts';

const mebibyte = 2 ** 20;
const residentMiB = (): number => process.memoryUsage.rss() / mebibyte;

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

test('what was freed is given back when nothing is done any more', async () => {
  const lines: string[] = [];
  const spare = new SpareMemory(new Log({ write: (line) => void lines.push(line) }, 'debug'));
  // Every third piece stays, so that what is freed between them cannot go back by itself.
  const all = Array.from({ length: 20_000 }, () => Buffer.allocUnsafeSlow(8192).fill(1));
  const kept = all.filter((_, index) => index % 3 === 0);
  all.length = 0;
  await eventually(() => {
    collectGarbage();
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(100 * mebibyte);
  });
  const before = residentMiB();
  spare.look();
  expect(residentMiB()).toBeGreaterThan(before - 20);
  await eventually(() => {
    spare.look();
    expect(residentMiB()).toBeLessThan(before - 60);
  });
  expect(kept.every((piece) => piece[0] === 1)).toBe(true);
  expect(lines).toEqual([]);
});
