import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/helpers/longest-first.ts';

// Three groups, one after the other: what only touches its own temporary directory; what mounts, and so has
// a daemon beside each worker; and what sees all mounts of the machine, counts on the number that its own one
// gets, or keeps the mounts of others from ending (in a mount namespace): one file at a time.
const alone = ['test/cli/**/*.test.ts', 'test/mount/resilient.test.ts'];

export default defineConfig({
  test: {
    reporters: ['default', './test/helpers/summary-reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    sequence: { sequencer: LongestFirst },
    // Vitest leaves one processor free, which on a machine with two is half of them.
    maxWorkers: availableParallelism(),
    projects: [
      {
        extends: true,
        test: {
          name: 'library',
          include: ['test/{unit,contract,model,oracle,package,fuzz}/**/*.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'mount',
          include: ['test/{mount,crash}/**/*.test.ts'],
          exclude: alone,
          globalSetup: './test/helpers/build-before.ts',
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          globalSetup: './test/helpers/build-before.ts',
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
