import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Two groups: what only touches its own temporary directory runs in parallel, what mounts runs
// one file at a time, so that a busy machine does not turn waiting into failing.
export default defineConfig({
  test: {
    reporters: ['default', './test/helpers/summary-reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'library',
          // Vitest leaves one processor free, which on a machine with two is half of them.
          maxWorkers: availableParallelism(),
          include: ['test/{unit,contract,model,oracle,package,fuzz}/**/*.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'mount',
          include: ['test/{mount,crash,cli}/**/*.test.ts'],
          globalSetup: './test/helpers/build-before.ts',
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
