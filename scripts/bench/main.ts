import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { names } from './suite/bench.ts';
import type { Measure } from './suite/bench.ts';
import { cacheDirectory, prepareData } from './suite/data.ts';
import { otherTransport } from './suite/other-transport.ts';
import { Places } from './suite/places.ts';
import type { Place } from './suite/places.ts';
import { speedPlot } from './suite/plot.ts';
import { coldRead, coldWalk, parallel, warmList, warmRead } from './suite/reading.ts';
import { markdownTable, textTable, verdict } from './suite/report.ts';
import type { Row, SpeedRow } from './suite/report.ts';
import { bigRead, firstByte, memory } from './suite/scale.ts';
import { bigWrite, create, save, tar } from './suite/writing.ts';

// Measures the mount against a checkout on the same disk, git, a libfuse passthrough and the limit
// of its transport, all in one run and in turns. As root, with bindfs installed:
//
//   npm run bench [-- --quick] [-- --only cold-walk,save]
//
// The data is made first and kept in .cache/bench. A full run takes about a quarter of an hour and
// writes native-notes/benchmarks.md with its plots; --quick and --only print the table alone.
// --dist names another compiled package than dist/.

// Those that remove ten thousands of files come after what makes few: for minutes ext4 without a journal looks
// at each inode that was freed before it gives out another, and a save took up to three milliseconds more.
const measures: readonly Measure[] = [
  ...[firstByte, coldWalk, warmList, warmRead, coldRead, parallel],
  ...[bigRead, save, tar, create, bigWrite, memory, otherTransport],
];
const fullRounds = 5;
const quickRounds = 3;
const root = fileURLToPath(new URL('../..', import.meta.url));
const notes = join(root, 'native-notes');

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    dist: { type: 'string', default: join(root, 'dist') },
  },
});
const only = options.only?.split(',');
const unknown = only?.find((name) => !measures.some((measure) => measure.name === name));
if (unknown !== undefined) {
  throw new Error(`there is no ${unknown}: ${measures.map(({ name }) => name).join(', ')}`);
}
if (process.getuid?.() !== 0) throw new Error('only root can empty the caches of the kernel');
if (spawnSync('bindfs', ['--version']).error !== undefined) {
  throw new Error('bindfs is missing, which is measured as well: apt-get install bindfs');
}

const data = await prepareData((message) => console.log(message));
// To read these takes Node as long as to start, which is part of what is measured.
delete process.env['NODE_EXTRA_CA_CERTS'];
// As the table of mounts names it, wherever the cache is.
const scratch = realpathSync(mkdtempSync(join(cacheDirectory, 'run-')));
// All is done in this thread, which hears no signal meanwhile: whoever reads this pipe sees its end, however
// that comes about.
const clearUp = `cat; cut -d " " -f 2 /proc/mounts | grep -F "$0/" | xargs -r -n 1 umount -i -l; rm -rf "$0"`;
spawn('sh', ['-c', clearUp, scratch], {
  detached: true,
  stdio: ['pipe', 'ignore', 'ignore'],
}).unref();
const places = new Places(scratch, options.dist);
const rows: Row[] = [];
const failures: string[] = [];
let memoryPlace: Place | undefined;
const filledMemory = (): Place => {
  if (memoryPlace === undefined) {
    memoryPlace = places.memory(names.limit);
    execFileSync('cp', ['-R', `${data.projectTree}/.`, memoryPlace.path]);
  }
  return memoryPlace;
};
try {
  for (const { name, run } of measures) {
    if (only !== undefined && !only.includes(name)) continue;
    const start = performance.now();
    const rounds = options.quick ? quickRounds : fullRounds;
    let found: readonly Row[] = [];
    try {
      found = run({ data, places, rounds, isQuick: options.quick, filledMemory });
    } catch (error) {
      // What the others give is not lost with it.
      failures.push(`${name}: ${(error as Error).message}`);
      console.error(error);
      places.closeAll();
      memoryPlace = undefined;
    }
    rows.push(...found);
    console.log(`${name} (${((performance.now() - start) / 1000).toFixed(0)} s)`);
    console.log(`${textTable(found)}\n`);
  }
} finally {
  places.closeAll();
  rmSync(scratch, { recursive: true, force: true });
}
if (only === undefined && !options.quick) await writeNotes();
if (failures.length > 0) throw new Error(`not measured: ${failures.join('; ')}`);

async function writeNotes(): Promise<void> {
  const speeds = rows.filter((row): row is SpeedRow => row.kind === 'speed');
  const plots = [
    ['reading', speeds.filter(({ measure }) => /walk|list|read|parallel/.test(measure))],
    ['writing', speeds.filter(({ measure }) => !/walk|list|read|parallel/.test(measure))],
  ] as const;
  for (const [name, part] of plots) {
    const title = `How many times as fast: ${name}`;
    writeFileSync(join(notes, `benchmarks-${name}.svg`), speedPlot(title, part));
  }
  const met = rows.filter((row) => verdict(row) === 'met').length;
  const missed = rows.filter((row) => verdict(row) === 'missed').length;
  const beyond = rows.filter((row) => verdict(row) === 'limit').length;
  const lines = [
    '# Benchmarks',
    '',
    `Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}; ${met} targets met, ${beyond} beyond what the transport can give, ${missed} missed.`,
    '',
    `- Machine: ${cpus().length} × ${cpus()[0]?.model ?? '?'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`,
    `- Versions: ${versions().join(', ')}`,
    `- R: ${countFiles()}, a real package, packed with the 40 releases up to it. S: 1,000,000 files in 10,000 directories, 100,000 files in one, 100,000 commits, one blob of 1 GiB that does not deflate.`,
    `- Each figure is the median of ${fullRounds} rounds (nine for what lies near its target: \`tar\`, \`first-byte\`, \`big-write\`, 64 MiB; five times as many for \`big-read\` in order, ten times for \`save\`), with the least and the most. In a round each contender has its turn; the speed is that of pairs of the same round: how many times as fast as the rival. Cold: a daemon that has just started, and no kernel caches; that holds for the filesystem in memory, too.`,
    '- "memory over the same transport" is a filesystem that has everything in memory and does nothing else: what the transport can give. Where it is measured cold, it has a copy of R from its start, which nobody has asked for. The column "limit" says how many times as fast as the rival it was, beside each target; where that is less than the target, nothing over this transport could meet it.',
    ...failures.map((failure) => `- Not measured: ${failure.split('\n')[0]!}`),
    '',
    markdownTable(rows),
    '',
    ...plots.map(([name]) => `![${name}](benchmarks-${name}.svg)\n`),
  ];
  const path = join(notes, 'benchmarks.md');
  const style = await resolveConfig(path);
  writeFileSync(path, await format(lines.join('\n'), { ...style, filepath: path }));
}

function versions(): string[] {
  const first = (program: string, ...args: string[]): string =>
    execFileSync(program, args, { encoding: 'utf8' }).split('\n')[0]!.trim();
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
  };
  return [
    `${manifest.name} ${manifest.version}`,
    `Node ${process.version}`,
    first('git', '--version'),
    first('bindfs', '--version'),
    first('tar', '--version'),
  ];
}

function countFiles(): string {
  const found = execFileSync('find', [data.projectTree, '-type', 'f', '-printf', '%s\n'], {
    encoding: 'utf8',
  });
  const sizes = found.trim().split('\n').map(Number);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return `${sizes.length} files of ${(total / 1e6).toFixed(0)} MB`;
}
