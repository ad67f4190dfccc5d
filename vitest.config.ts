import { readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/helpers/longest-first.ts';

// What only touches its own temporary directory; what mounts, and so has a daemon beside each worker; and what
// sees all mounts of the machine, counts on the number that its own one gets, or keeps the mounts of others from
// ending (in a mount namespace). Of these one file runs at a time, and waits for much: beside the first, not
// beside the second.
const library = ['test/{unit,contract,model,oracle,fuzz}/**/*.test.ts'];
const mount = ['test/{mount,crash}/**/*.test.ts'];
const alone = ['test/{cli,package}/**/*.test.ts', 'test/mount/resilient.test.ts'];

// What replaces modules, or forgets them, needs a process in which nobody has loaded these.
const replacing = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .map((name) => join('test', name))
  .filter(
    (path) =>
      path.endsWith('.test.ts') && /\bvi\.(?:mock|resetModules)\(/.test(readFileSync(path, 'utf8')),
  );

export default defineConfig({
  test: {
    reporters: ['default', './test/helpers/summary-reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    // One more than there are processors, for what runs alone and mostly waits.
    maxWorkers: availableParallelism() + 1,
    // To start a process for each file, and load everything in it, took a fifth of what the library's tests take.
    isolate: false,
    setupFiles: ['./test/helpers/own-environment.ts'],
    projects: [
      { extends: true, test: { name: 'library', include: library, exclude: replacing } },
      { extends: true, test: { name: 'replacing', include: replacing, isolate: true } },
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
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
