import { compare, names } from './bench.ts';
import type { Bench, Measure } from './bench.ts';
import type { Place } from './places.ts';
import type { Row } from './report.ts';
import { dropCaches, forgetSizes, interleave, shell, speed } from './samples.ts';
import type { Contender, Samples } from './samples.ts';

// Reading the tree of R. Cold: a daemon that has just started, that of the filesystem in memory too, and
// no kernel caches. Warm: after the same was done before.

export const walk = "find . -printf '%s\\n' >/dev/null";
export const list = 'ls -lR . >/dev/null';
const grep = 'grep -r qzxjqzxj . || test $? = 1';
export const cat = 'find . -type f -print0 | xargs -0 cat >/dev/null';

interface Maker {
  readonly name: string;
  readonly make: () => Place;
}

/** Everything that shows the tree of R. */
function makers({ data, places }: Bench): Maker[] {
  const { project, projectTree } = data;
  const disk = { name: names.disk, path: projectTree, close: () => undefined };
  return [
    { name: names.branch, make: () => places.vost(names.branch, project, ['--branch', 'main']) },
    { name: names.ref, make: () => places.vost(names.ref, project, ['--ref', 'main']) },
    { name: names.disk, make: () => disk },
    { name: names.passthrough, make: () => places.bindfs(names.passthrough, projectTree) },
  ];
}

/** The filesystem in memory, which has just started and holds the tree of R. */
function freshMemory({ data, places }: Bench): Place {
  return places.memory(names.limit, { tree: data.projectTree });
}

/** Who runs a line in a place that is made for it, with no kernel caches. */
function fresh(name: string, make: () => Place, line: string): Contender {
  let place: Place;
  return {
    name,
    before: () => {
      place = make();
      dropCaches();
    },
    run: () => shell(line, place.path),
    after: () => {
      place.close();
    },
  };
}

function cold(bench: Bench, line: string, others: readonly Contender[] = []): Samples {
  const limit = { name: names.limit, make: () => freshMemory(bench) };
  const contenders = [...makers(bench), limit].map(({ name, make }) => fresh(name, make, line));
  return interleave(bench.rounds, [...contenders, ...others]);
}

function warm(bench: Bench, lines: readonly string[]): Samples[] {
  const made = makers(bench).map(({ make }) => make());
  const places = [...made, bench.filledMemory()];
  const samples = lines.map((line) => {
    for (const { path } of places) shell(line, path);
    const contenders = places.map(({ name, path }) => ({ name, run: () => shell(line, path) }));
    return interleave(bench.rounds, contenders);
  });
  for (const place of made) place.close();
  return samples;
}

interface Targets {
  readonly measure: string;
  readonly what: string;
  readonly samples: Samples;
  /** How many times as fast as which rival, on which mount. */
  readonly targets: readonly (readonly [ours: string, rival: string, atLeast?: number])[];
}

function rowsOf({ measure, what, samples, targets }: Targets): Row[] {
  return targets.map(([ours, rival, atLeast]) =>
    compare(samples, {
      measure,
      what: `${what}, ${ours}`,
      ours,
      rival,
      ...(atLeast === undefined ? {} : { atLeast }),
    }),
  );
}

/** The first walk that a repository sees: no mount has left the sizes of its files. */
const firstWalk = 'writable mount, for the first time';

export const coldWalk: Measure = {
  name: 'cold-walk',
  run: (bench) => {
    const { data, places } = bench;
    const makeFirst = (): Place => {
      forgetSizes(data.project);
      return places.vost(names.branch, data.project, ['--branch', 'main']);
    };
    const first = fresh(firstWalk, makeFirst, walk);
    return rowsOf({
      measure: 'cold-walk',
      what: 'find -printf %s, cold',
      samples: cold(bench, walk, [first]),
      targets: [
        [firstWalk, names.passthrough],
        [names.branch, names.passthrough, 1],
        [names.branch, names.disk, 1 / 1.5],
        [names.ref, names.passthrough, 1],
        [names.ref, names.disk, 1 / 1.5],
        [names.branch, names.limit],
        [names.ref, names.limit],
      ],
    });
  },
};

export const warmList: Measure = {
  name: 'warm-list',
  run: (bench) => {
    const [listed, walked] = warm(bench, [list, walk]) as [Samples, Samples];
    const targets = [
      [names.branch, names.disk, 1],
      [names.ref, names.disk, 1],
      [names.branch, names.limit],
    ] as const;
    const shared = { measure: 'warm-list', targets };
    return [
      ...rowsOf({ ...shared, what: 'ls -lR, warm', samples: listed }),
      ...rowsOf({ ...shared, what: 'stat of all, warm', samples: walked }),
    ];
  },
};

export const warmRead: Measure = {
  name: 'warm-read',
  run: (bench) => {
    const [grepped, read] = warm(bench, [grep, cat]) as [Samples, Samples];
    const targets = [
      [names.ref, names.disk, 1],
      [names.branch, names.passthrough, 1.5],
      [names.branch, names.disk, 0.4],
      [names.branch, names.limit],
      [names.ref, names.limit],
    ] as const;
    const shared = { measure: 'warm-read', targets };
    return [
      ...rowsOf({ ...shared, what: 'grep -r, warm', samples: grepped }),
      ...rowsOf({ ...shared, what: 'cat of all, warm', samples: read }),
    ];
  },
};

export const coldRead: Measure = {
  name: 'cold-read',
  run: (bench) => {
    const here = `git --git-dir ${bench.data.project}`;
    const blobs = `${here} ls-tree -r --format='%(objectname)' main`;
    const catFile: Contender = {
      name: names.git,
      before: dropCaches,
      run: () => shell(`${blobs} | ${here} cat-file --batch >/dev/null`, '/'),
    };
    return rowsOf({
      measure: 'cold-read',
      what: 'cat of all, cold',
      samples: cold(bench, cat, [catFile]),
      targets: [
        [names.branch, names.git, 1 / 1.3],
        [names.ref, names.git, 1 / 1.3],
        [names.branch, names.disk],
        [names.branch, names.passthrough],
        [names.branch, names.limit],
        [names.ref, names.limit],
      ],
    });
  },
};

/** Makes a contender of a line of shell. */
type Runner = (name: string, line: string) => Contender;

export const parallel: Measure = {
  name: 'parallel',
  run: (bench) => {
    const { data, places, rounds } = bench;
    const makeOurs = (): Place => places.vost(names.branch, data.project, ['--branch', 'main']);
    const readers = (count: number): string =>
      `find . -type f -print0 | xargs -0 -n 100 -P ${count} cat >/dev/null`;
    const row = (heat: string, ours: Runner, limit: Runner): Row => {
      const samples = interleave(rounds, [
        ours('one process', readers(1)),
        ours('eight', readers(8)),
        limit('one process, limit', readers(1)),
        limit('eight, limit', readers(8)),
      ]);
      return {
        ...compare(samples, {
          measure: 'parallel',
          what: `8 processes that read, ${heat}`,
          ours: 'eight',
          rival: 'one process',
          atLeast: 1,
        }),
        limit: speed(samples, 'eight, limit', 'one process, limit'),
      };
    };
    const readBefore = ({ path }: Place): Runner => {
      shell(readers(1), path);
      return (name, line) => ({ name, run: () => shell(line, path) });
    };
    const madeBy =
      (make: () => Place): Runner =>
      (name, line) =>
        fresh(name, make, line);
    const place = makeOurs();
    const warmRow = row('warm', readBefore(place), readBefore(bench.filledMemory()));
    place.close();
    return [
      warmRow,
      row(
        'cold',
        madeBy(makeOurs),
        madeBy(() => freshMemory(bench)),
      ),
    ];
  },
};
