import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/helpers/longest-first.ts';

// Two groups, one after the other: what only touches its own temporary directory, and what mounts, and so
// has a daemon beside each worker.
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
          include: ['test/{mount,crash,cli}/**/*.test.ts'],
          globalSetup: './test/helpers/build-before.ts',
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
