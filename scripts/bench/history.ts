import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  opendirSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// How long it takes to look into a history of 100,000 commits through the mount, next to git's log
// of the same in the same run.
//
//   npm run bench:first-byte && node --import ./scripts/typescript-loader.mjs scripts/bench/history.ts [--graph]
//
// The repository is that of the other bench, which makes it (one file of 2,000 changes in each
// commit, no commit-graph). With --graph git first makes a commit-graph with filters of changed
// paths. Each step is done once, in this order, on a fresh daemon; "again" is warm.

const root = fileURLToPath(new URL('../..', import.meta.url));
const repository = join(root, '.cache/bench/commits.git');
const vostMount = join(root, 'dist/bin/vost-mount.js');
const path = 'dir-2/file-1414';

function vost(...args: string[]): string {
  return execFileSync(process.execPath, [vostMount, ...args], { encoding: 'utf8' });
}

function git(...args: string[]): number {
  const options = { encoding: 'utf8', maxBuffer: 2 ** 30 } as const;
  return execFileSync('git', ['--git-dir', repository, ...args], options).split('\n').length - 1;
}

function measure(title: string, work: () => number | string): void {
  const startMs = performance.now();
  const result = work();
  const ms = performance.now() - startMs;
  console.log(`  ${title.padEnd(44)}${ms.toFixed(1).padStart(10)} ms  ${result}`);
}

function firstEntry(directory: string): string {
  const handle = opendirSync(directory, { bufferSize: 1 });
  const entry = handle.readSync();
  handle.closeSync();
  return entry?.name ?? '';
}

if (!existsSync(join(repository, 'complete'))) {
  throw new Error('run npm run bench:first-byte first: it makes the repository');
}
const graph = join(repository, 'objects/info/commit-graph');
rmSync(graph, { force: true });
if (process.argv.includes('--graph'))
  git('commit-graph', 'write', '--reachable', '--changed-paths');
const scratch = mkdtempSync(join(tmpdir(), 'vost-bench-'));
const mountpoint = join(scratch, 'mnt');
mkdirSync(mountpoint);
vost('--read-only', repository, mountpoint);
try {
  const history = join(mountpoint, '.history/main');
  const versions = join(mountpoint, '.versions/main', path);
  const there = (name: string): string => String(existsSync(join(history, name)));
  console.log(existsSync(graph) ? 'with a commit-graph' : 'without a commit-graph');
  measure('.history: first entry', () => firstEntry(history));
  measure('.history: all', () => readdirSync(history).length);
  measure('.history: all again', () => readdirSync(history).length);
  for (const name of ['@2h', '@2021-01-01', '@2019-01-01', '~99999', '~999999999', '@notadate']) {
    measure(`.history/${name}`, () => there(name));
  }
  measure('git log --first-parent', () => git('log', '--first-parent', '--format=%H', 'main'));
  measure('.versions of a file: first entry', () => firstEntry(versions));
  measure('.versions of a file: all', () => readdirSync(versions).length);
  measure('git log -- path', () => git('log', '--first-parent', '--format=%H', 'main', '--', path));
  const { pid } = JSON.parse(vost('status', '--json', mountpoint)) as { pid: number };
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  console.log(`  the daemon took ${(Number(peak) / 1024).toFixed(0)} MiB at most`);
} finally {
  vost('unmount', mountpoint);
  rmSync(scratch, { recursive: true, force: true });
  // The other bench is one without a graph.
  rmSync(graph, { force: true });
}
