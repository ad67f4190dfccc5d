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
];

/** Begins with the files that take longest; on a fresh checkout nothing else tells which they are. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return at < 0 ? longest.length : at;
    };
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
