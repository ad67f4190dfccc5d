import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { compare, git, names } from './bench.ts';
import type { Measure } from './bench.ts';
import { memoryOf } from './places.ts';
import type { Row } from './report.ts';
import { dropCaches, forgetSizes, interleave, shell, summary } from './samples.ts';
import type { Contender } from './samples.ts';

// What depends on the size of the repository.

const randomReads = 300;
const randomReadBytes = 128 * 1024;

export const firstByte: Measure = {
  name: 'first-byte',
  run: ({ data, places, rounds }) => {
    const contender = (branch: string, path: string): Contender => {
      let close: () => void;
      return {
        name: branch,
        run: () => {
          const first = places.firstByte(data.synthetic, join(branch, path));
          close = first.close;
          return first.ms;
        },
        after: () => {
          close();
        },
      };
    };
    const trees: string[] = [];
    const here = ['--git-dir', data.synthetic, 'worktree'];
    // Of the smaller tree: that of `wide` takes git minutes.
    const worktree: Contender = {
      name: 'git worktree add',
      before: () => {
        trees.push(join(places.directory(), 'tree'));
      },
      run: () => {
        const tree = trees.at(-1)!;
        const start = performance.now();
        git(...here, 'add', '--quiet', '--detach', tree, 'flat');
        readByte(join(tree, 'flat/file-4711'));
        return performance.now() - start;
      },
      // What it leaves to be written is not for the next one to wait for; nor is what it takes to remove it.
      after: () => void execFileSync('sync'),
    };
    const start: Contender = {
      name: 'a start of Node',
      run: () => {
        execFileSync(process.execPath, ['-e', '0']);
        return undefined;
      },
    };
    const ours = [
      contender('flat', 'flat/file-4711'),
      contender('wide', 'dir-4711/file-4711'),
      contender('main', 'dir-2/file-1414'),
    ];
    const samples = interleave(2 * rounds - 1, [...ours, worktree, start]);
    for (const tree of trees) git(...here, 'remove', '--force', tree);
    return [
      compare(samples, {
        measure: 'first-byte',
        what: 'mount to first byte (flat)',
        ours: 'flat',
        rival: worktree.name,
        atLeast: 10,
      }),
      compare(samples, {
        measure: 'first-byte',
        what: 'mount to first byte (flat)',
        ours: 'flat',
        rival: start.name,
      }),
      ...ours.map(({ name }): Row => ({
        kind: 'bound',
        measure: 'first-byte',
        what: `mount to first byte (${name})`,
        value: summary(samples.get(name)!),
        unit: 'ms',
        atMost: 250,
      })),
    ];
  },
};

export const bigRead: Measure = {
  name: 'big-read',
  run: ({ data, places, rounds }) => {
    const mounts = [
      places.vost(names.branch, data.synthetic, ['--branch', 'big']),
      places.vost(names.ref, data.synthetic, ['--ref', 'big']),
    ];
    const files = new Map(mounts.map(({ name, path }) => [name, join(path, 'big')]));
    // The kernel reads what is spooled by itself there.
    const whole = places.vost(names.history, data.synthetic, []);
    const commit = git('--git-dir', data.synthetic, 'rev-parse', 'big').trim();
    mounts.push(whole);
    files.set(names.history, join(whole.path, '.commits', commit, 'big'));
    files.set(names.disk, data.bigFile);
    const limit = places.memory(names.limit);
    mounts.push(limit);
    files.set(names.limit, join(limit.path, 'big'));
    shell(`cp ${data.bigFile} big`, limit.path);
    // What is read once from front to back need not be spooled: reads here and there make it, where
    // the kernel has nothing left of the first reading.
    for (const file of files.values()) {
      shell(`cat ${file} >/dev/null`, '/');
      dropCaches();
      readRandomly(file);
    }
    const sequential = interleave(
      5 * rounds,
      [...files].map(([name, file]) => ({
        name,
        before: dropCaches,
        run: () => shell(`dd if=${file} of=/dev/null bs=1M status=none`, '/'),
      })),
    );
    const random = interleave(
      rounds,
      [...files].map(([name, file]) => ({
        name,
        before: dropCaches,
        run: () => readRandomly(file),
      })),
    );
    for (const mount of mounts) mount.close();
    return [names.branch, names.ref, names.history].flatMap((ours): Row[] => [
      compare(sequential, {
        measure: 'big-read',
        what: `read 1 GiB in order, ${ours}`,
        ours,
        rival: names.disk,
        atLeast: 0.9,
      }),
      compare(sequential, {
        measure: 'big-read',
        what: `read 1 GiB in order, ${ours}`,
        ours,
        rival: names.limit,
      }),
      compare(random, {
        measure: 'big-read',
        what: `128 KiB anywhere, ${ours}`,
        ours,
        rival: names.disk,
      }),
      {
        kind: 'bound',
        measure: 'big-read',
        what: `128 KiB anywhere, ${ours}`,
        value: summary(random.get(ours)!),
        unit: 'ms',
        atMost: 1,
      },
    ]);
  },
};

export const memory: Measure = {
  name: 'memory',
  run: ({ data, places, rounds, isQuick }) => {
    const walk = "find . -printf '%s\\n' >/dev/null";
    const [branch, count] = isQuick ? ['flat', 100_002] : ['wide', 1_010_001];
    const here = ['--git-dir', data.project];
    const countR = git(...here, 'ls-tree', '-r', '-t', '--name-only', 'main').split('\n').length;
    return ['--branch', '--ref'].flatMap((option): Row[] => {
      const name = option === '--branch' ? names.branch : names.ref;
      const small: number[] = [];
      for (let round = 0; round < rounds; round++) {
        forgetSizes(data.project);
        const place = places.vost(name, data.project, [option, 'main']);
        dropCaches();
        small.push(timed(() => shell(walk, place.path)) / countR);
        place.close();
      }
      forgetSizes(data.synthetic);
      const place = places.vost(name, data.synthetic, [option, branch]);
      dropCaches();
      const large = timed(() => shell(walk, place.path)) / count;
      const { nowBytes, peakBytes } = memoryOf(place.pid!());
      place.close();
      const what = `${count} files walked, ${name}`;
      const bytes = [
        ['memory after it', nowBytes],
        ['peak memory', peakBytes],
      ] as const;
      return [
        ...bytes.map(([when, value]): Row => ({
          kind: 'bound',
          measure: 'memory',
          what: `${what}: ${when}`,
          value: summary([value / 1e6]),
          unit: 'MB',
          atMost: 300,
        })),
        {
          kind: 'bound',
          measure: 'memory',
          what: `${what}: time of each, against R`,
          value: summary(small.map((ms) => large / ms)),
          unit: '×',
          atMost: 1.3,
        },
      ];
    });
  },
};

/** Milliseconds for a read, on average. */
function readRandomly(path: string): number {
  const fd = openSync(path, 'r');
  const buffer = Buffer.alloc(randomReadBytes);
  const start = performance.now();
  for (let read = 0; read < randomReads; read++) {
    const offset = Math.floor(Math.random() * (2 ** 30 - randomReadBytes));
    readSync(fd, buffer, 0, randomReadBytes, offset);
  }
  const ms = performance.now() - start;
  closeSync(fd);
  return ms / randomReads;
}

function readByte(path: string): void {
  const fd = openSync(path, 'r');
  if (readSync(fd, Buffer.alloc(1)) !== 1) throw new Error(`${path} is empty`);
  closeSync(fd);
}

function timed(action: () => void): number {
  const start = performance.now();
  action();
  return performance.now() - start;
}
