/**
 * Runs `work` on every item, on at most `limit` of them at a time. After a failure, of the items
 * too, no more are begun; the first one is thrown when those under way have ended, so that nothing
 * goes on behind its back.
 */
export async function forEachBounded<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  limit: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  const queue =
    Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (;;) {
      if (failures.length > 0) return;
      try {
        const next = await queue.next();
        if (next.done === true) return;
        await work(next.value);
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
