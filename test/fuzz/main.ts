// Feeds random and mutated bytes to what reads bytes, as many as wanted:
//
//   npm run test:fuzz -- [--cases N] [--seed N] [TARGET…]
//
// A failure prints the input in base64 and the seed that leads to it again.
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz-target.ts';
import { fuzzTargets } from './targets.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { cases: { type: 'string', default: '1000000' }, seed: { type: 'string' } },
});
const cases = Number(values.cases);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const chosen = fuzzTargets.filter(
  ({ name }) => positionals.length === 0 || positionals.includes(name),
);
if (chosen.length === 0 || !Number.isSafeInteger(cases) || !Number.isSafeInteger(seed)) {
  throw new Error(`the targets are ${fuzzTargets.map(({ name }) => name).join(', ')}`);
}

for (const target of chosen) {
  const startedMs = performance.now();
  try {
    const result = await fuzz(target, { cases, seed });
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
    console.log(
      `${target.name}: ${result.cases} cases in ${seconds} s, ${result.refused} refused, ` +
        `slowest ${result.slowestMs.toFixed(1)} ms, ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB (seed ${seed})`,
    );
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
