import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { BenchData } from './data.ts';
import type { Place, Places } from './places.ts';
import type { Row, SpeedRow } from './report.ts';
import { gitEnvironment, speed, summary } from './samples.ts';
import type { Samples } from './samples.ts';

/** What every measure works with. */
export interface Bench {
  readonly data: BenchData;
  readonly places: Places;
  /** How many pairs are measured. */
  readonly rounds: number;
  /** Less data where that is a matter of size alone. */
  readonly isQuick: boolean;
  /** The tree of R in a filesystem in memory, which is mounted until the end: for what is measured warm. */
  readonly filledMemory: () => Place;
}

/** A line of the table of targets, or several that are measured together. */
export interface Measure {
  readonly name: string;
  readonly run: (bench: Bench) => Row[];
}

/** The names of who is measured, the same in all tables. */
export const names = {
  branch: 'writable mount',
  ref: 'read-only mount',
  history: 'history in a writable mount',
  disk: 'local disk',
  passthrough: 'bindfs',
  limit: 'memory over the same transport',
  saving: 'memory, and what a save asks of the disk',
  other: 'the fuse-native transport',
  git: 'git',
} as const;

/** Makes a row of what was measured. */
export function compare(
  samples: Samples,
  row: {
    readonly measure: string;
    readonly what: string;
    readonly ours: string;
    readonly rival: string;
    readonly atLeast?: number;
  },
): SpeedRow {
  const { measure, what, ours, rival, atLeast } = row;
  return {
    kind: 'speed',
    measure,
    what,
    rival,
    oursMs: summary(samples.get(ours)!),
    rivalMs: summary(samples.get(rival)!),
    speed: speed(samples, ours, rival),
    ...(atLeast === undefined ? {} : { atLeast }),
    ...(samples.has(names.limit) ? { limit: speed(samples, names.limit, rival) } : {}),
  };
}

/** An empty repository, mounted whole, with one branch. */
export function freshBranch(
  places: Places,
  args: readonly string[] = [],
): { place: Place; branch: string; repository: string } {
  const repository = join(places.directory(), 'fresh.git');
  git('init', '--quiet', '--bare', '--initial-branch=main', repository);
  const place = places.vost(names.branch, repository, args);
  const branch = join(place.path, 'main');
  execFileSync('mkdir', [branch]);
  return { place, branch, repository };
}

export function git(...args: readonly string[]): string {
  return execFileSync('git', args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...gitEnvironment },
  });
}
