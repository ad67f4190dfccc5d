import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { ByteBudget } from '../../../../src/git/odb/byte-budget.ts';
import { filterBounded, forEachBounded } from '../../../../src/git/odb/for-each-bounded.ts';

describe('a budget of bytes', () => {
  test('admits what fits, in the order of asking, and something too large alone', async () => {
    const budget = new ByteBudget(10);
    const log: string[] = [];
    const ends = new Map<string, () => void>();
    const start = (name: string, sizeBytes: number): Promise<void> =>
      budget.run(sizeBytes, () => {
        log.push(name);
        return new Promise<void>((resolve) => ends.set(name, resolve));
      });
    const end = async (name: string): Promise<void> => {
      ends.get(name)?.();
      await nextTurn();
    };
    const runs = [start('a', 6), start('b', 4), start('huge', 100), start('c', 1)];
    expect(log).toEqual(['a', 'b']);
    await end('a');
    expect(log).toEqual(['a', 'b']);
    await end('b');
    expect(log).toEqual(['a', 'b', 'huge']);
    await end('huge');
    expect(log).toEqual(['a', 'b', 'huge', 'c']);
    await end('c');
    await Promise.all(runs);
  });

  test('gives back what a failed run had', async () => {
    const budget = new ByteBudget(1);
    const failing = budget.run(1, () => Promise.reject(new Error('no')));
    const next = budget.run(1, () => Promise.resolve('yes'));
    await expect(failing).rejects.toThrow('no');
    await expect(next).resolves.toBe('yes');
  });
});

describe('bounded parallel work', () => {
  test('is on every item, on no more than so many at a time', async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await forEachBounded([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
      running += 1;
      most = Math.max(most, running);
      await nextTurn();
      running -= 1;
      done.push(item);
    });
    expect(done.sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(most).toBe(3);
  });

  test.each([1, 16])(
    'lets others have their turn when nothing waits, %i at a time',
    async (limit) => {
      let [inThisTurn, most, count] = [0, 0, 0];
      let isOver = false;
      const turns = (async () => {
        for (; !isOver; inThisTurn = 0) await nextTurn();
      })();
      await forEachBounded(Array(5000).keys(), limit, () => {
        count += 1;
        inThisTurn += 1;
        most = Math.max(most, inThisTurn);
      });
      isOver = true;
      await turns;
      expect(count).toBe(5000);
      expect(most).toBeLessThanOrEqual(1000);
    },
  );

  test('takes what passes a test, at once or later', async () => {
    const passed = await filterBounded([1, 2, 3, 4, 5, 6, 7, 8], 3, (item) =>
      item % 2 === 0 ? item > 4 : nextTurn(item > 4),
    );
    expect([...passed].sort()).toEqual([5, 6, 7, 8]);
    const failing = filterBounded([1, 2, 3], 2, (item) => {
      if (item === 3) throw new Error('at once');
      return nextTurn(true);
    });
    await expect(failing).rejects.toThrow('at once');
  });

  test('ends with the first failure, when what was begun has ended', async () => {
    const begun: number[] = [];
    let ended = 0;
    const work = forEachBounded([1, 2, 3, 4, 5], 2, async (item) => {
      begun.push(item);
      await nextTurn();
      ended += 1;
      if (item === 2) throw new Error(`item ${item}`);
    });
    await expect(work).rejects.toThrow('item 2');
    expect(ended).toBe(begun.length);
    expect(begun).not.toContain(5);
  });
});
