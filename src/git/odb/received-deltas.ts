import { setImmediate as nextTurn } from 'node:timers/promises';
import { CorruptObjectError, ObjectTooLargeError } from '../../errors.ts';
import { hashObject } from '../hash-object.ts';
import type { HashAlgorithm, Oid } from '../oid.ts';
import type { ObjectData } from './delta-base-cache.ts';
import { DeltaApplication, parseDeltaHeader } from './delta.ts';
import type { ReceivedEntries, ReceivedEntry } from './received-entries.ts';

const bytesInOneTurn = 4 * 1024 * 1024;
// Bases that wait while what depends on them is made. git's own packs need a few times the largest object.
const mostHeldBytes = 1024 * 1024 * 1024;

interface Base extends ObjectData {
  /** The deltas that apply to it and are still to do. */
  readonly deltas: ReceivedEntry[];
}

/**
 * Finds out which objects the deltas of a received pack are. Each base is made once, and kept only
 * while deltas to it are left, however long the chains are.
 */
export class ReceivedDeltas {
  readonly #entries: ReceivedEntries;
  readonly #algorithm: HashAlgorithm;
  readonly #waiting = new Map<number | Oid, ReceivedEntry[]>();
  #heldBytes = 0;
  #bytesThisTurn = 0;

  constructor(entries: ReceivedEntries, algorithm: HashAlgorithm) {
    this.#entries = entries;
    this.#algorithm = algorithm;
  }

  /** Takes a delta. */
  add(entry: ReceivedEntry, base: number | Oid): void {
    const others = this.#waiting.get(base);
    if (others === undefined) this.#waiting.set(base, [entry]);
    else others.push(entry);
  }

  /** Tells whether there are deltas to an object. */
  isBase(offset: number | undefined, oid: Oid): boolean {
    return this.#waiting.has(oid) || (offset !== undefined && this.#waiting.has(offset));
  }

  /** What the deltas that are left apply to: objects that are not in the pack, or, in a damaged one, anything. */
  get missingBases(): (number | Oid)[] {
    return [...this.#waiting.keys()];
  }

  /** Resolves all that depends on an object, directly or not. */
  async *resolve(
    object: ObjectData,
    offset: number | undefined,
    oid: Oid,
  ): AsyncGenerator<ReceivedEntry, void, undefined> {
    const stack: Base[] = [];
    this.#push(stack, object, offset, oid);
    for (let base = stack.at(-1); base !== undefined; base = stack.at(-1)) {
      const delta = base.deltas.pop();
      // The last delta needs its base no longer than until it is applied: so a long chain holds one.
      if (base.deltas.length === 0) this.#pop(stack);
      if (delta === undefined) continue;
      const { type } = base;
      const data = await this.#apply(base.data, delta);
      const made = hashObject(this.#algorithm, type, data);
      yield { ...delta, type, oid: made };
      this.#push(stack, { type, data }, delta.offset, made);
    }
  }

  #push(stack: Base[], object: ObjectData, offset: number | undefined, oid: Oid): void {
    const deltas = [...this.#take(offset), ...this.#take(oid)];
    if (deltas.length === 0) return;
    stack.push({ ...object, deltas });
    this.#heldBytes += object.data.length;
  }

  #pop(stack: Base[]): void {
    this.#heldBytes -= stack.pop()?.data.length ?? 0;
  }

  #take(base: number | Oid | undefined): ReceivedEntry[] {
    if (base === undefined) return [];
    const deltas = this.#waiting.get(base) ?? [];
    this.#waiting.delete(base);
    return deltas;
  }

  async #apply(base: Buffer, entry: ReceivedEntry): Promise<Buffer> {
    this.#requireRoom(base.length + entry.sizeBytes);
    const delta = await this.#entries.content(entry);
    const { resultSizeBytes } = parseDeltaHeader(delta);
    this.#requireRoom(base.length + delta.length + resultSizeBytes);
    const application = new DeltaApplication(base, delta);
    while (!application.step(bytesInOneTurn)) await nextTurn();
    this.#bytesThisTurn += delta.length + resultSizeBytes;
    if (this.#bytesThisTurn >= bytesInOneTurn) {
      this.#bytesThisTurn = 0;
      await nextTurn();
    }
    return application.result;
  }

  #requireRoom(sizeBytes: number): void {
    if (this.#heldBytes + sizeBytes > mostHeldBytes) throw new ObjectTooLargeError(sizeBytes);
  }
}

/** What is wrong when these bases of deltas are neither in a pack nor in the repository. */
export function missingBasesError(bases: readonly (number | Oid)[]): CorruptObjectError {
  const oid = bases.find((base) => typeof base === 'string');
  if (oid === undefined) {
    return new CorruptObjectError('a received pack has deltas without a base');
  }
  const message = `a received pack needs object ${oid}, which neither it nor the repository holds`;
  return new CorruptObjectError(message, { oid });
}
