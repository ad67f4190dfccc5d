import { GitStoreError } from '../../src/errors.ts';
import { Mutator } from './mutations.ts';

/** Something that reads bytes which anybody may have written. */
export interface FuzzTarget {
  readonly name: string;
  /** Prepares what it needs; `close` removes it. */
  open(): Promise<OpenTarget>;
}

export interface OpenTarget {
  /** Good inputs. */
  readonly seeds: readonly Buffer[];
  /** Reads one input. What it throws must be a `GitStoreError`. */
  read(input: Buffer, mutator: Mutator): void | Promise<void>;
  /** Throws when something is wrong after all of them. */
  close(): Promise<void>;
}

export interface FuzzResult {
  readonly cases: number;
  /** How many were refused, with an error of the right kind. */
  readonly refused: number;
  readonly slowestMs: number;
}

/** An input that is answered in another way than it should be. */
export class FuzzFailure extends Error {
  readonly input: Buffer;

  constructor(target: string, seed: number, index: number, input: Buffer, cause: unknown) {
    const shown = input.subarray(0, 4096).toString('base64');
    super(
      `${target}, seed ${seed}, case ${index}: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}\n` +
        `input of ${input.length} bytes, in base64: ${shown}`,
      { cause },
    );
    this.name = 'FuzzFailure';
    this.input = input;
  }
}

/** @throws {FuzzFailure} */
export async function fuzz(
  target: FuzzTarget,
  options: {
    readonly cases: number;
    readonly seed: number;
    readonly onProgress?: (cases: number) => void;
  },
): Promise<FuzzResult> {
  const { cases, seed, onProgress } = options;
  const mutator = new Mutator(seed);
  const open = await target.open();
  let refused = 0;
  let slowestMs = 0;
  try {
    for (let index = 0; index < cases; index++) {
      const input = mutator.next(open.seeds);
      const startedMs = performance.now();
      try {
        const reading = open.read(Buffer.from(input), mutator);
        if (reading !== undefined) await reading;
      } catch (error) {
        if (!(error instanceof GitStoreError))
          throw new FuzzFailure(target.name, seed, index, input, error);
        refused += 1;
      }
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      if (index % 10_000 === 9999) onProgress?.(index + 1);
    }
  } finally {
    await open.close();
  }
  return { cases, refused, slowestMs };
}
