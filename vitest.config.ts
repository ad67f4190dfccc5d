import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/helpers/longest-first.ts';

// What only touches its own temporary directory; what mounts, and so has a daemon beside each worker; and what
// sees all mounts of the machine, counts on the number that its own one gets, or keeps the mounts of others from
// ending (in a mount namespace). Of these one file runs at a time, and waits for much: beside the first, not
// beside the second.
const library = ['unit', 'contract', 'model', 'oracle', 'fuzz'];
const mount = ['test/{mount,crash}/**/*.test.ts'];
const alone = ['test/{cli,package}/**/*.test.ts', 'test/mount/resilient.test.ts'];

// What replaces modules needs a process in which nobody has loaded these, and what looks at its process one in
// which nobody else has left anything.
const needsOwnProcess =
  /\bvi\.(?:mock|resetModules)\(|setFlagsFromString|memoryUsage|cpuUsage|listenerCount|\/proc\/self/;
const apart = library
  .flatMap((name) =>
    readdirSync(join('test', name), { recursive: true, encoding: 'utf8' }).map((path) =>
      join('test', name, path),
    ),
  )
  .filter((path) => path.endsWith('.test.ts') && needsOwnProcess.test(readFileSync(path, 'utf8')));

export default defineConfig({
  test: {
    reporters: ['default', './test/helpers/summary-reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    // Vitest leaves one processor free, which on a machine with two is half of them.
    maxWorkers: availableParallelism(),
    // To start a process for each file, and load everything in it, took a fifth of what the library's tests take.
    isolate: false,
    setupFiles: ['./test/helpers/each-file.ts'],
    globalSetup: ['./test/helpers/nothing-left.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'library',
          include: [`test/{${library.join()}}/**/*.test.ts`],
          exclude: apart,
        },
      },
      { extends: true, test: { name: 'apart', include: apart, isolate: true } },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          globalSetup: './test/helpers/build-before.ts',
          setupFiles: './test/helpers/one-at-a-time.ts',
        },
      },
      {
        extends: true,
        test: {
          name: 'mount',
          include: mount,
          exclude: alone,
          globalSetup: './test/helpers/build-before.ts',
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
