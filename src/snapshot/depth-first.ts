/** A part of a walk, at whose place all that it gives comes. */
export class Descent<Item> {
  readonly walk: Walk<Item>;

  constructor(walk: Walk<Item>) {
    this.walk = walk;
  }
}

/** A walk that goes on in others: they are given as a `Descent` and not by `yield*`. */
export type Walk<Item> = AsyncGenerator<Item | Descent<Item>, void, undefined>;

/**
 * All that a walk gives, and the walks that it goes on in. Walks that delegate to each other with `yield*`
 * are a call deeper for each directory, which a tree of some thousand levels has too many of.
 */
export async function* depthFirst<Item>(root: Walk<Item>): AsyncGenerator<Item, void, undefined> {
  const entered = [root];
  try {
    for (let walk: Walk<Item> | undefined = root; walk !== undefined; walk = entered.at(-1)) {
      const { done, value } = await walk.next();
      if (done === true) entered.pop();
      else if (value instanceof Descent) entered.push(value.walk);
      else yield value;
    }
  } finally {
    // Whoever stops early ends those that are under way, the innermost first.
    for (const walk of entered.reverse()) await walk.return();
  }
}
