import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { program, programResult } from '../../test/helpers/program.ts';
import { fileSuites } from './file-suites.ts';
import { runSuite } from './run-suite.ts';
import { stressors } from './stressors.ts';
import { table, verdict } from './suite.ts';
import type { Row, Suite } from './suite.ts';

// Runs what Debian has to test filesystems with, on a branch of a mount and on the disk beside it. As
// root, after a build:
//
//   npm run test:suites [-- [--only PATTERN] [--to FILE]]
//
// Each suite gets a fresh repository. Afterwards what was committed must be what the mount shows,
// before and after another mount, and `git fsck --strict` clean. The table has a line for each suite;
// the exit code is 1 when one of them fails on the mount and not on the disk. Programs that are
// missing are installed. PATTERN is a regular expression; with --to the table goes to a file as well.

const { values: given } = parseArgs({
  options: { only: { type: 'string', default: '' }, to: { type: 'string' } },
});
if (process.getuid?.() !== 0) throw new Error('only root can install programs and mount');

await install(new Map([['stress-ng', 'stress-ng'], ...packagesOf(fileSuites)]));
const listed = await programResult('stress-ng', ['--class', 'filesystem?']);
const all = [...fileSuites, ...stressors(listed.stdout)];
const chosen = all.filter(({ name }) => new RegExp(given.only).test(name));
if (chosen.length === 0) throw new Error(`there are ${all.map(({ name }) => name).join(', ')}`);

// As the table of mounts names it.
const scratch = await realpath(await mkdtemp(join(tmpdir(), 'vost-suites-')));
const rows: Row[] = [];
for (const [index, suite] of chosen.entries()) {
  const directory = join(scratch, String(index));
  await mkdir(directory);
  const row = await runSuite(suite, directory);
  rows.push(row);
  const { text, isFailure } = verdict(row);
  console.error(`${suite.name}: ${text}`);
  // What failed is kept to be looked at.
  if (isFailure) console.error(`  see ${directory}`);
  else await rm(directory, { recursive: true });
}
console.log(table(rows));
console.log(await versions());
if (given.to !== undefined) await writeFile(given.to, `${table(rows)}\n\n${await versions()}\n`);
if (rows.some((row) => verdict(row).isFailure)) process.exitCode = 1;
else await rm(scratch, { recursive: true });

function packagesOf(suites: readonly Suite[]): Map<string, string> {
  return new Map(suites.map((suite) => [suite.program, suite.package]));
}

/** Of programs, by the names of their packages. */
async function install(packages: ReadonlyMap<string, string>): Promise<void> {
  const missing: string[] = [];
  for (const [name, ofPackage] of packages) {
    const found = await programResult('bash', ['-c', 'command -v "$0"', name]);
    if (found.exitCode !== 0) missing.push(ofPackage);
  }
  if (missing.length === 0) return;
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const timeoutMs = 600_000;
  await program('apt-get', ['update', '-qq'], { timeoutMs });
  const args = ['install', '-y', '-qq', '--no-install-recommends', ...missing];
  await program('apt-get', args, { env, timeoutMs });
}

async function versions(): Promise<string> {
  const packages = [...new Set([...packagesOf(all).values()])];
  const format = '${Package} ${Version}, ';
  const found = await program('dpkg-query', ['--show', '--showformat', format, ...packages]);
  const system = await readFile('/proc/sys/kernel/osrelease', 'utf8');
  return `${found}Node ${process.version}, Linux ${system.trim()}`;
}
