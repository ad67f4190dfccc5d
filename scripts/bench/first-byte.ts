import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { importRepository } from './import-repository.ts';

// How long it takes from the start of the command to the first byte of a file, and how much memory
// the daemon has then, on two large repositories; next to what git needs for the same byte.
//
//   npm run bench:first-byte [-- --cold]
//
// Each number is the median of five runs. A run starts `vost-mount` in the background form, waits
// until the command returns, and reads one byte of a file in the middle of the tree. Memory is the
// daemon's VmRSS right after that byte, and its peak, VmHWM. git's runs: `git cat-file blob` of the
// same file, and `git worktree add` of the same commit followed by the same read. With --cold (as
// root) the page cache is dropped before each run, node and git themselves included.

const runs = 5;
const cold = process.argv.includes('--cold');
const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, '.cache/bench');
const vostMount = join(root, 'dist/bin/vost-mount');

const identity = 'Bench <bench@example.com>';

interface Repository {
  readonly title: string;
  readonly gitDir: string;
  /** A file of the branch main. */
  readonly path: string;
}

/** 100,000 commits, each changing one of 2,000 files in 50 directories. */
function* manyCommits(): Generator<string> {
  for (let commit = 0; commit < 100_000; commit++) {
    const content = `line ${commit}\n`.repeat(3);
    const path = `dir-${commit % 50}/file-${(commit * 7) % 2000}`;
    const message = `Change ${commit}\n`;
    yield `commit refs/heads/main\ncommitter ${identity} ${1_600_000_000 + commit * 60} +0000\n`;
    yield `data ${message.length}\n${message}`;
    yield `M 100644 inline ${path}\ndata ${content.length}\n${content}\n`;
  }
}

/** One commit of 490,100 files in 9,800 directories: 500,000 objects. */
function* manyObjects(): Generator<string> {
  yield `commit refs/heads/main\ncommitter ${identity} 1600000000 +0000\ndata 4\nAll\n\n`;
  for (let file = 0; file < 490_100; file++) {
    const content = `content of ${file}\n`;
    const directory = file % 9800;
    const path = `dir-${directory % 98}/sub-${directory}/file-${file}`;
    yield `M 100644 inline ${path}\ndata ${content.length}\n${content}\n`;
  }
}

function git(args: readonly string[]): string {
  return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

function firstByte(path: string): void {
  const fd = openSync(path, 'r');
  if (readSync(fd, Buffer.alloc(1)) !== 1) throw new Error(`${path} is empty`);
  closeSync(fd);
}

interface Measurement {
  readonly ms: number;
  readonly residentBytes: number;
  readonly peakBytes: number;
}

function measured(action: () => void): number {
  if (cold) {
    execFileSync('sync');
    writeFileSync('/proc/sys/vm/drop_caches', '3');
  }
  const start = performance.now();
  action();
  return performance.now() - start;
}

function runVost({ gitDir, path }: Repository, scratch: string): Measurement {
  const mountpoint = join(scratch, 'mnt');
  mkdirSync(mountpoint, { recursive: true });
  const ms = measured(() => {
    execFileSync(vostMount, [gitDir, mountpoint]);
    firstByte(join(mountpoint, 'main', path));
  });
  const status = execFileSync(vostMount, ['status', '--json', mountpoint]);
  const { pid } = JSON.parse(status.toString()) as { pid: number };
  const memory = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(memory)?.[1]) * 1024;
  const result = { ms, residentBytes: field('VmRSS'), peakBytes: field('VmHWM') };
  execFileSync(vostMount, ['unmount', mountpoint]);
  return result;
}

function runWorktree({ gitDir, path }: Repository, scratch: string): number {
  const tree = join(scratch, 'tree');
  const ms = measured(() => {
    git(['--git-dir', gitDir, 'worktree', 'add', '--quiet', '--detach', tree, 'main']);
    firstByte(join(tree, path));
  });
  git(['--git-dir', gitDir, 'worktree', 'remove', '--force', tree]);
  return ms;
}

function runCatFile({ gitDir, path }: Repository): number {
  return measured(() => void git(['--git-dir', gitDir, 'cat-file', 'blob', `main:${path}`]));
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

function measure(repository: Repository): void {
  const scratch = mkdtempSync(join(tmpdir(), 'vost-bench-'));
  try {
    const vost = Array.from({ length: runs }, () => runVost(repository, scratch));
    const rows: readonly (readonly [string, number, string])[] = [
      [
        'vost-mount',
        median(vost.map(({ ms }) => ms)),
        `${megabytes(median(vost.map(({ residentBytes }) => residentBytes)))} resident, ${megabytes(median(vost.map(({ peakBytes }) => peakBytes)))} at most`,
      ],
      ['git cat-file', median(Array.from({ length: runs }, () => runCatFile(repository))), ''],
      [
        'git worktree add',
        median(Array.from({ length: runs }, () => runWorktree(repository, scratch))),
        '',
      ],
    ];
    console.log(`${repository.title}${cold ? ', page cache dropped before each run' : ''}`);
    for (const [name, ms, memory] of rows) {
      console.log(`  ${name.padEnd(18)}${ms.toFixed(0).padStart(7)} ms  ${memory}`);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? '?'}, node ${process.version}, ${git(['--version']).trim()}`,
);
console.log(`medians of ${runs} runs, from the start of the command to the first byte`);
const commits = join(cache, 'commits.git');
const objects = join(cache, 'objects.git');
await importRepository(commits, manyCommits());
await importRepository(objects, manyObjects());
measure({ title: '100,000 commits', gitDir: commits, path: 'dir-2/file-1414' });
measure({ title: '500,000 objects', gitDir: objects, path: 'dir-49/sub-4949/file-4949' });
