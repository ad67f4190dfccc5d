import { expect, test } from 'vitest';
import { fuzz } from './fuzz-target.ts';
import { fuzzTargets } from './targets.ts';

// The same cases each time; `npm run test:fuzz` tries others, and as many as one wants.
test.for(fuzzTargets.map((target) => [target.name, target] as const))(
  '%s: random and mutated bytes are read, or refused with an error of its kind',
  async ([, target]) => {
    const { cases, refused } = await fuzz(target, { cases: 2000, seed: 1 });
    // Neither all nor none: the cases reach what they are meant for.
    expect(refused).toBeLessThan(cases);
  },
);
