import type { ByteString } from '../../git/byte-string.ts';

/**
 * Where names stand in the listings of a directory that the tree which was there first does not have.
 * A name gets the next place when a listing first shows it, and keeps that while it is there; no place
 * is given twice. So whoever goes through the directory, however slowly, can go on behind the place
 * that it has reached, whatever came and went meanwhile.
 */
export class LateNames {
  #names: ByteString[] = [];
  /** Of each of the names; ascending. */
  #places: number[] = [];
  #next = 0;

  /** The places end before this one. */
  get end(): number {
    return this.#next;
  }

  /** Makes room for a listing that begins: forgets what is gone, and gives places to what is new. */
  update(present: ReadonlySet<ByteString>): void {
    const fresh = new Set(present);
    const kept = this.#names.map((name) => fresh.delete(name));
    this.#places = this.#places.filter((_, index) => kept[index]);
    this.#names = this.#names.filter((_, index) => kept[index]);
    for (const name of fresh) {
      this.#names.push(name);
      this.#places.push(this.#next++);
    }
  }

  /** The first place from this one on that has a name; `end` or beyond when there is none. */
  placeFrom(place: number): number {
    return this.#places[this.#indexFrom(place)] ?? Math.max(place, this.#next);
  }

  /** The name at a place that has one. */
  at(place: number): ByteString | undefined {
    const index = this.#indexFrom(place);
    return this.#places[index] === place ? this.#names[index] : undefined;
  }

  #indexFrom(place: number): number {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] ?? 0) < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
