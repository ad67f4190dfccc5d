import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { FreedMemory } from '../../../src/mount/freed-memory.ts';
import { Log } from '../../../src/mount/observe/log.ts';
import { eventually } from '../../helpers/eventually.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('freed memory goes back to the system, at rest, when there is much of it', async () => {
  const lines: string[] = [];
  const memory = new FreedMemory(new Log({ write: (line) => lines.push(line) }, 'debug'));
  await sleep(50);
  await memory.giveBack();
  expect(lines).toEqual([]);

  // A tenth stays, so that malloc finds hardly a free page at the end of its heap.
  const kept = freeMost();
  const before = process.memoryUsage.rss();
  // Just now there was much to do.
  await memory.giveBack();
  expect(lines).toEqual([]);
  // The collector may go on for a while, and to look takes some of the processor, too.
  await eventually(
    async () => {
      await memory.giveBack();
      expect(lines.join()).toMatch(/ debug memory-given-back before=\d+ after=\d+\n$/);
    },
    40_000,
    1000,
  );
  expect(process.memoryUsage.rss()).toBeLessThan(before - 20 * 2 ** 20);
  expect(kept.length).toBeGreaterThan(1000);

  // It is not tried again as long as the process does not grow.
  await sleep(1000);
  await memory.giveBack();
  expect(lines.length).toBe(1);
});

test('what cannot be looked at, for there is no descriptor left, does no harm', async () => {
  const lines: string[] = [];
  const memory = new FreedMemory(new Log({ write: (line) => lines.push(line) }, 'debug'));
  const rss = vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => {
    throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  });
  try {
    await memory.giveBack();
  } finally {
    rss.mockRestore();
  }
  expect(lines.join()).toMatch(/ debug memory-kept reason=.*EMFILE/);
});

/** Some 160 MB in small pieces, of which most are freed. */
function freeMost(): Uint8Array[] {
  const pieces = Array.from({ length: 160_000 }, () => new Uint8Array(1000).fill(1));
  const kept = pieces.filter((_, index) => index % 10 === 0);
  pieces.length = 0;
  collect();
  return kept;
}
