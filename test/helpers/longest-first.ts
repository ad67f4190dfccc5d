import { BaseSequencer } from 'vitest/node';
import type { TestSpecification } from 'vitest/node';

/** The files that take longest, the longest first: begun last, each would have a processor to itself. */
const longest = [
  'oracle/mirror',
  'cli/command-line',
  'mount/libfuse',
  'package/package',
  'cli/not-root',
  'crash/kill',
  'oracle/rsync',
  'contract/copy-in',
  'oracle/archive-zip64',
  'oracle/small-packs',
  'oracle/archives',
  'mount/resilient',
  'fuzz/fuzz',
  'mount/soak',
  'cli/security',
  'cli/at-once',
];

/**
 * Begins with the files that take longest; on a fresh checkout nothing else tells which they are. Those of which
 * only one may run at a time are spread among the others, so that they seldom wait for each other.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return at < 0 ? longest.length : at;
    };
    const sorted = (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
    const alone = sorted.filter(({ project }) => project.name === 'alone');
    const others = sorted.filter(({ project }) => project.name !== 'alone');
    const distance = Math.ceil(others.length / Math.max(1, alone.length));
    return others
      .flatMap((file, index) => {
        const next = index % distance === 0 ? alone.shift() : undefined;
        return next === undefined ? [file] : [next, file];
      })
      .concat(alone);
  }
}
