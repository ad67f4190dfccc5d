import type { Suite } from './suite.ts';

const lastsSec = 3;

/** What a stressor would use too much of otherwise. */
const options: Readonly<Record<string, string>> = {
  'copy-file': '--copy-file-bytes 128M',
  fallocate: '--fallocate-bytes 64M',
  hdd: '--hdd-bytes 64M',
  iomix: '--iomix-bytes 64M',
  readahead: '--readahead-bytes 64M',
  seek: '--seek-size 64M',
  'sync-file': '--sync-file-bytes 64M',
};

/** Those that only look at the mount they are given; the others of the class are about the system. */
const elsewhere: ReadonlySet<string> = new Set([
  ...['binderfs', 'eventfd', 'ioprio', 'procfs', 'sysfs'],
]);

const differences: Readonly<Record<string, string>> = {
  xattr: 'git has no place for attributes that users set',
};

/**
 * The stressors of stress-ng that are about filesystems, each by itself and with `--verify`.
 * `listed` is what `stress-ng --class filesystem?` prints.
 */
export function stressors(listed: string): readonly Suite[] {
  const names = listed
    .slice(listed.indexOf(':') + 1)
    .trim()
    .split(/\s+/);
  return names
    .filter((name) => !elsewhere.has(name))
    .map((name) => ({
      name: `stress-ng: ${name}`,
      program: 'stress-ng',
      package: 'stress-ng',
      script: `stress-ng --${name} 2 ${options[name] ?? ''} --timeout ${lastsSec} --verify --temp-path . --metrics-brief 2>&1`,
      timeoutSec: lastsSec + 60,
      figure: (output) => {
        const metrics = new RegExp(` ${name} +\\d+ +\\S+ +\\S+ +\\S+ +(\\S+)`).exec(output);
        return `${metrics?.[1] ?? '?'} ops/s`;
      },
      differs: differences[name],
    }));
}
