import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  opendirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { importRepository } from './import-repository.ts';

// What looking into a history of 100,000 commits through the mount takes, next to git's log of the
// same in the same run; and what programs that read 1,000 versions whole take.
//
//   npm run bench:first-byte && npm run bench:history [-- --no-graph]
//
// The repository is that of the other bench, which makes it (one file of 2,000 changes in each
// commit). git first makes a commit-graph with filters of changed paths, unless told not to. Each
// step is done once, in this order, on a fresh daemon; "again" is warm. While the whole history is
// listed another process asks the daemon for statfs(2), again and again: how long it waits tells how
// long the listing keeps others from their turn.

const root = fileURLToPath(new URL('../..', import.meta.url));
const repository = join(root, '.cache/bench/commits.git');
const vostMount = join(root, 'dist/bin/vost-mount.js');
const path = 'dir-2/file-1414';
const versions = join(root, '.cache/bench/versions-1000.git');

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

/** Runs a program on the mount, and tells how long another one waited for the daemon meanwhile. */
async function measureWaits(title: string, [program, ...args]: string[]): Promise<void> {
  const startMs = performance.now();
  const child = spawn(program!, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  let isRunning = true;
  const ended = once(child, 'close').finally(() => (isRunning = false));
  const waitsMs: number[] = [];
  while (isRunning) {
    const askedMs = performance.now();
    statfsSync(mountpoint);
    waitsMs.push(performance.now() - askedMs);
    await setTimeout(1);
  }
  await ended;
  const ms = performance.now() - startMs;
  waitsMs.sort((a, b) => a - b);
  const at = (part: number): string => waitsMs[Math.floor(part * (waitsMs.length - 1))]!.toFixed(1);
  const waits = `others waited ${at(0.5)}, ${at(0.99)}, ${at(1)} ms (median, 99 %, longest)`;
  console.log(`  ${title.padEnd(44)}${ms.toFixed(1).padStart(10)} ms  ${waits}`);
}

function peakMiB(): string {
  const { pid } = JSON.parse(vost('status', '--json', mountpoint)) as { pid: number };
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(peak) / 1024).toFixed(0);
}

/** 1,000 commits, each changing ten of 100 files in ten directories. */
function* thousandVersions(): Generator<string> {
  for (let commit = 0; commit < 1000; commit++) {
    yield `commit refs/heads/main\ncommitter Bench <bench@example.com> ${1_600_000_000 + commit * 60} +0000\n`;
    yield 'data 7\nChange\n\n';
    const step = commit === 0 ? 1 : 10;
    for (let file = commit % step; file < 100; file += step) {
      const content = `line ${commit} of ${file}\n`.repeat(40);
      yield `M 100644 inline dir-${file % 10}/file-${file}\ndata ${content.length}\n${content}\n`;
    }
  }
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
if (!process.argv.includes('--no-graph')) {
  git('commit-graph', 'write', '--reachable', '--changed-paths');
}
const scratch = mkdtempSync(join(tmpdir(), 'vost-bench-'));
const mountpoint = join(scratch, 'mnt');
mkdirSync(mountpoint);
vost('--read-only', repository, mountpoint);
try {
  const history = join(mountpoint, '.history/main');
  const fileVersions = join(mountpoint, '.versions/main', path);
  const there = (name: string): string => String(existsSync(join(history, name)));
  console.log(existsSync(graph) ? 'with a commit-graph' : 'without a commit-graph');
  measure('.history: first entry', () => firstEntry(history));
  await measureWaits('.history: all', ['ls', '-U', history]);
  measure('.history: all again', () => readdirSync(history).length);
  for (const name of ['@2h', '@2021-01-01', '@2019-01-01', '~99999', '~999999999', '@notadate']) {
    measure(`.history/${name}`, () => there(name));
  }
  measure('git log --first-parent', () => git('log', '--first-parent', '--format=%H', 'main'));
  measure('.versions of a file: first entry', () => firstEntry(fileVersions));
  measure('.versions of a file: all', () => readdirSync(fileVersions).length);
  measure('git log -- path', () => git('log', '--first-parent', '--format=%H', 'main', '--', path));
  console.log(`  the daemon took ${peakMiB()} MiB at most`);
} finally {
  vost('unmount', mountpoint);
}

await importRepository(versions, thousandVersions());
vost('--read-only', versions, mountpoint);
try {
  const history = join(mountpoint, '.history/main');
  console.log('1,000 versions of 100 files');
  await measureWaits('du -s', ['du', '-s', history]);
  await measureWaits('find -type f', ['find', history, '-type', 'f']);
  await measureWaits('grep -r', ['grep', '-rl', 'no such text', history]);
  console.log(`  the daemon took ${peakMiB()} MiB at most`);
} finally {
  vost('unmount', mountpoint);
  rmSync(scratch, { recursive: true, force: true });
  // The other bench is one without a graph.
  rmSync(graph, { force: true });
}
