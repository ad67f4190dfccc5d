import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What several runs of one thing gave: milliseconds, ratios or bytes. */
export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly count: number;
}

/** One of those that are measured against each other. */
export interface Contender {
  readonly name: string;
  /** Not measured. */
  readonly before?: () => void;
  /** Gives the milliseconds, if not all that it does counts. */
  readonly run: () => number | undefined;
  /** Not measured. */
  readonly after?: () => void;
}

/** What each contender took in each round, in milliseconds. */
export type Samples = ReadonlyMap<string, readonly number[]>;

/**
 * Runs all contenders in turn, as many times as there are rounds, so that what else the machine does
 * hits all alike. Each round has another order, for what one leaves behind (memory that was just freed,
 * say) the next one finds.
 */
export function interleave(rounds: number, contenders: readonly Contender[]): Samples {
  const samples = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, before, run, after } of shuffled(contenders)) {
      before?.();
      const start = performance.now();
      const measured = run();
      samples.get(name)!.push(measured ?? performance.now() - start);
      after?.();
    }
  }
  return samples;
}

function shuffled<T>(items: readonly T[]): T[] {
  const placed = items.map((item) => ({ item, place: Math.random() }));
  return placed.sort((one, other) => one.place - other.place).map(({ item }) => item);
}

export function summary(values: readonly number[]): Summary {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  const median =
    sorted.length % 2 === 1
      ? sorted[Math.floor(middle)]!
      : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)!, count: values.length };
}

/** How many times as fast as the rival, from the runs of the same rounds. */
export function speed(samples: Samples, subject: string, rival: string): Summary {
  const ours = samples.get(subject)!;
  return summary(samples.get(rival)!.map((ms, round) => ms / ours[round]!));
}

/** Removes what mounts have kept of the sizes of files. */
export function forgetSizes(repository: string): void {
  rmSync(join(repository, 'vost/sizes'), { force: true });
}

/** Empties the kernel's caches, and writes out what waits in them. Only root can. */
export function dropCaches(): void {
  execFileSync('sync');
  writeFileSync('/proc/sys/vm/drop_caches', '3');
}

/**
 * Waits until what was deleted before does not count any more. Without a journal, ext4 gives nobody the inode
 * of a file that was deleted within the last minute, and looks at each such one, on the way to another,
 * whenever a file is made: right behind the removal of many that takes up to a millisecond instead of 0.05.
 */
export function forgetDeletions(): void {
  execFileSync('sync');
  execFileSync('sleep', ['61']);
}

/**
 * Touches so much memory, and gives it back at once. A virtual machine may hand memory that is free to its
 * host, and has to ask for it again when it is used: whoever came behind one that had just freed a
 * gigabyte wrote the next in 0.83 s, and in 2.26 s otherwise.
 */
export function touchMemory(directory: string, mebibytes: number): void {
  shell(`dd if=/dev/zero of=touched bs=1M count=${mebibytes} status=none; rm touched`, directory);
}

/** Runs a line of shell in a directory and waits for its end. What git commits, it commits the same everywhere. */
export function shell(line: string, directory: string): undefined {
  execFileSync('bash', ['-ec', `set -o pipefail; ${line}`], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...gitEnvironment },
    timeout: 300_000,
  });
}

export const gitEnvironment: Readonly<Record<string, string>> = {
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_AUTHOR_NAME: 'Bench',
  GIT_AUTHOR_EMAIL: 'bench@example.com',
  GIT_COMMITTER_NAME: 'Bench',
  GIT_COMMITTER_EMAIL: 'bench@example.com',
};
