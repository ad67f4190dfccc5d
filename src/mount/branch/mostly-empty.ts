// Of a map or a set of its own, V8 keeps a table of some 200 bytes even while it is empty. A mount knows
// many directories in which nothing was changed, and each would have five of them.

/** A `Map` for a place where there is mostly nothing: it takes next to no memory until there is something. */
export class MostlyEmptyMap<Key, Value> implements Iterable<[Key, Value]> {
  #entries: Map<Key, Value> | undefined;

  get size(): number {
    return this.#entries?.size ?? 0;
  }

  get(key: Key): Value | undefined {
    return this.#entries?.get(key);
  }

  has(key: Key): boolean {
    return this.#entries?.has(key) ?? false;
  }

  set(key: Key, value: Value): void {
    (this.#entries ??= new Map()).set(key, value);
  }

  /** Tells whether it was there. */
  delete(key: Key): boolean {
    return this.#entries?.delete(key) ?? false;
  }

  *keys(): Generator<Key, void, undefined> {
    if (this.#entries !== undefined) yield* this.#entries.keys();
  }

  *values(): Generator<Value, void, undefined> {
    if (this.#entries !== undefined) yield* this.#entries.values();
  }

  *[Symbol.iterator](): Generator<[Key, Value], void, undefined> {
    if (this.#entries !== undefined) yield* this.#entries;
  }
}

/** The same for a `Set`. */
export class MostlyEmptySet<Item> implements Iterable<Item> {
  #items: Set<Item> | undefined;

  get size(): number {
    return this.#items?.size ?? 0;
  }

  has(item: Item): boolean {
    return this.#items?.has(item) ?? false;
  }

  add(item: Item): void {
    (this.#items ??= new Set()).add(item);
  }

  /** Tells whether it was there. */
  delete(item: Item): boolean {
    return this.#items?.delete(item) ?? false;
  }

  *[Symbol.iterator](): Generator<Item, void, undefined> {
    if (this.#items !== undefined) yield* this.#items;
  }
}
