import { join } from 'node:path';
import { compare, freshBranch, names } from './bench.ts';
import type { Measure } from './bench.ts';
import { cat, list, walk } from './reading.ts';
import { dropCaches, interleave, shell } from './samples.ts';
import { makeFiles } from './writing.ts';

// A part of R and few files, as the other transport takes about a millisecond for each request.
const part = 'lib/utilities';
const fileCount = 500;

/** Both transports of this package, with the same mounts. */
export const otherTransport: Measure = {
  name: 'fuse-native',
  run: ({ data, places, rounds }) => {
    const transports = [
      [names.branch, 'kernel'],
      [names.other, 'fuse-native'],
    ] as const;
    const row = (what: string, atLeast: number) => ({
      measure: 'fuse-native',
      what,
      ours: names.branch,
      rival: names.other,
      atLeast,
    });

    const reading = transports.map(([name, transport]) =>
      places.vost(name, data.project, ['--branch', 'main', '--transport', transport]),
    );
    const reads = [
      ['find -printf %s', walk, 2],
      ['ls -lR', list, 2],
      ['cat of all', cat, 1],
    ] as const;
    const readRows = reads.flatMap(([what, line, atLeast]) =>
      [true, false].map((isCold) => {
        for (const { path } of reading) shell(line, join(path, part));
        const samples = interleave(
          rounds,
          reading.map(({ name, path }) => ({
            name,
            ...(isCold ? { before: dropCaches } : {}),
            run: () => shell(line, join(path, part)),
          })),
        );
        const state = isCold ? 'caches of the kernel dropped' : 'warm';
        return compare(samples, row(`${what} of ${part}, ${state}`, atLeast));
      }),
    );
    for (const place of reading) place.close();

    const writing = transports.map(([name, transport]) => {
      const { place, branch } = freshBranch(places, ['--transport', transport]);
      return { name, place, branch };
    });
    let round = 0;
    const create = interleave(
      rounds,
      writing.map(({ name, branch }) => ({
        name,
        run: () => {
          const directory = join(branch, `round-${(round += 1)}`);
          shell(`mkdir ${directory}`, branch);
          return makeFiles(directory, fileCount).closedMs;
        },
      })),
    );
    const dd = `dd if=${data.bigFile} of=big bs=1M count=64 conv=fsync status=none`;
    const write = interleave(
      2 * rounds - 1,
      writing.map(({ name, branch }) => ({ name, run: () => shell(dd, branch) })),
    );
    const read = interleave(
      rounds,
      writing.map(({ name, branch }) => ({
        name,
        before: dropCaches,
        run: () => shell('cat big >/dev/null', branch),
      })),
    );
    for (const { place } of writing) place.close();
    return [
      ...readRows,
      compare(create, row(`${fileCount} files of 1 KiB, closed`, 2)),
      compare(write, row('write 64 MiB and fsync', 1)),
      compare(read, row('read 64 MiB', 1)),
    ];
  },
};
