import { setImmediate as nextTurn } from 'node:timers/promises';

/** How many items that need no waiting are done in one go: a mount answers its requests on this thread. */
const itemsPerTurn = 1000;

/**
 * Runs `work` on every item, on at most `limit` of them at a time. After a failure, of the items
 * too, no more are begun; the first one is thrown when those under way have ended, so that nothing
 * goes on behind its back.
 */
export async function forEachBounded<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  limit: number,
  work: (item: Item) => void | Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  const queue =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let atOnce = 0;
  let turn: Promise<void> | undefined;
  const lane = async (): Promise<void> => {
    for (;;) {
      while (turn !== undefined) await turn;
      if (failures.length > 0) return;
      try {
        const coming = queue.next();
        const next = coming instanceof Promise ? await coming : coming;
        if (next.done === true) return;
        const working = work(next.value);
        if (working instanceof Promise) {
          await working;
          continue;
        }
        atOnce += 1;
        if (atOnce % itemsPerTurn === 0) turn = nextTurn().then(() => (turn = undefined));
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
  if (failures.length === 0) return;
  await queue.return?.();
  throw failures[0];
}

/** The items that pass a test, of which at most `limit` run at a time. */
export async function filterBounded<Item>(
  items: Iterable<Item>,
  limit: number,
  test: (item: Item) => boolean | Promise<boolean>,
): Promise<Set<Item>> {
  const passed = new Set<Item>();
  await forEachBounded(items, limit, (item) => {
    const passes = test(item);
    if (passes === true) passed.add(item);
    if (!(passes instanceof Promise)) return;
    return passes.then((later) => {
      if (later) passed.add(item);
    });
  });
  return passed;
}
