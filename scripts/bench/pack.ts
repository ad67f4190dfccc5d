import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GitStore } from '../../src/index.ts';

// How long it takes to put loose objects into one pack, next to git doing the same.
//
//   npm run bench:pack [-- <objects> [<runs>]]
//
// A repository of 100,000 loose objects (files of a few KiB of words, trees and commits) is copied for
// each run, and the runs of the three take turns: `store.pack()`, `git repack -ad` with git's
// defaults, and the same without a search for deltas, which is the work that `pack` does. Each runs
// in a process of its own; times include its start, and memory is the peak of the largest process.

const [countText = '100000', runsText = '3', repositoryToPack] = process.argv.slice(2);
if (repositoryToPack === undefined) await compare(Number(countText), Number(runsText));
else await packOnly(repositoryToPack);

/** What a process of its own does: packs, and says how often it was told of progress. */
async function packOnly(gitDir: string): Promise<void> {
  const store = await GitStore.open(gitDir);
  let events = 0;
  const count = await store.pack({ progress: () => (events += 1) });
  await store.close();
  console.log(`${count} objects packed, ${events} progress events`);
}

async function compare(count: number, runs: number): Promise<void> {
  const ownPath = fileURLToPath(import.meta.url);
  const node = [...process.execArgv, ownPath, countText, runsText];
  const repack = ['repack', '-ad', '--quiet'];
  const contestants: readonly [string, string, (gitDir: string) => string[]][] = [
    ['store.pack()', process.execPath, (gitDir) => [...node, gitDir]],
    ['git repack -ad', 'git', (gitDir) => ['-C', gitDir, ...repack]],
    ['  without deltas', 'git', (gitDir) => ['-C', gitDir, ...repack, '--window=0']],
  ];
  const measured = contestants.map(() => [] as Measured[]);
  const scratch = mkdtempSync(join(tmpdir(), 'vost-bench-'));
  try {
    const template = join(scratch, 'template.git');
    await makeLooseObjects(template, count);
    const gitDir = join(scratch, 'copy.git');
    for (let run = 0; run < runs; run++) {
      for (const [index, [, program, args]] of contestants.entries()) {
        execFileSync('cp', ['-a', template, gitDir]);
        execFileSync('sync');
        const { output, ...result } = await watched(program, args(gitDir));
        if (output !== '' && run === 0) console.log(output.trimEnd());
        measured[index]!.push({ ...result, packBytes: packBytes(gitDir) });
        if (run === 0) checkWhole(gitDir);
        rmSync(gitDir, { recursive: true });
      }
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  console.log(`${cpus().length} × ${cpus()[0]?.model ?? '?'}, node ${process.version}`);
  console.log(`${count} loose objects, medians of ${runs} runs`);
  const ours = median(measured[0]!.map(({ ms }) => ms));
  for (const [index, [name]] of contestants.entries()) {
    const values = (pick: (run: Measured) => number): number => median(measured[index]!.map(pick));
    const ms = values((run) => run.ms);
    const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
    const memory = mebibytes(values(({ peakBytes }) => peakBytes));
    const size = mebibytes(values((run) => run.packBytes));
    console.log(
      `  ${name.padEnd(18)} ${ms.toFixed(0).padStart(7)} ms (${(ours / ms).toFixed(2)})` +
        `   peak ${memory.padStart(8)}   pack ${size.padStart(7)}`,
    );
  }
}

interface Measured {
  readonly ms: number;
  readonly peakBytes: number;
  readonly packBytes: number;
}

/** Blobs of words, a tenth of them changed versions of others, in directories of a hundred. */
async function makeLooseObjects(gitDir: string, count: number): Promise<void> {
  execFileSync('git', ['init', '--quiet', '--bare', '--initial-branch=main', gitDir]);
  const unpack = ['-c', `fastimport.unpackLimit=${2 * count}`, '-c', 'core.fsync=none'];
  const importer = spawn('git', [...unpack, '--git-dir', gitDir, 'fast-import', '--quiet'], {
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const ended = once(importer, 'close') as Promise<[number | null]>;
  const put = async (text: string): Promise<void> => {
    if (!importer.stdin.write(text)) await once(importer.stdin, 'drain');
  };
  // A commit, its tree, and a tree for each of the directories that it touches.
  const filesInCommit = 500;
  const filesInDirectory = 100;
  for (let file = 0, objects = 0; objects < count; file++, objects++) {
    if (file % filesInCommit === 0) {
      await put(`commit refs/heads/main\ncommitter A <a@b> ${1.7e9 + file} +0000\ndata 1\nx\n`);
      objects += 2 + filesInCommit / filesInDirectory;
    }
    const text = words(file % 10 === 9 ? file - 1 : file, file);
    const path = `d${Math.floor(file / filesInDirectory)}/f${file}`;
    await put(`M 100644 inline ${path}\ndata ${text.length}\n${text}\n`);
  }
  importer.stdin.end();
  if ((await ended)[0] !== 0) throw new Error('git fast-import failed');
}

function words(seed: number, last: number): string {
  let state = seed + 1;
  const next = (): number => (state = (state * 1103515245 + 12345) % 2147483648);
  const length = 50 + (next() % 500);
  const list = Array.from({ length }, () => (next() >> 8) % 5000);
  return `${list.map((word) => `w${word.toString(36)}`).join(' ')}\n${last}\n`;
}

interface Watched {
  readonly ms: number;
  readonly peakBytes: number;
  readonly output: string;
}

/** Runs a program, and looks at the memory of its processes meanwhile. */
async function watched(program: string, args: readonly string[]): Promise<Watched> {
  const start = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  let peakBytes = 0;
  const timer = setInterval(() => (peakBytes = Math.max(peakBytes, peakOf(child))), 20);
  const [exitCode] = (await once(child, 'close')) as [number | null];
  clearInterval(timer);
  if (exitCode !== 0) throw new Error(`${program} ended with ${exitCode}`);
  return { ms: performance.now() - start, peakBytes, output };
}

function peakOf({ pid = 0 }: ChildProcess): number {
  let peakBytes = 0;
  const pids = [pid];
  for (const at of pids) {
    try {
      const status = readFileSync(`/proc/${at}/status`, 'latin1');
      const kibibytes = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0);
      peakBytes = Math.max(peakBytes, 1024 * kibibytes);
      const children = readFileSync(`/proc/${at}/task/${at}/children`, 'latin1');
      pids.push(...children.split(' ').filter(Boolean).map(Number));
    } catch {
      // It has ended between two looks.
    }
  }
  return peakBytes;
}

function packBytes(gitDir: string): number {
  const directory = join(gitDir, 'objects/pack');
  const packs = readdirSync(directory).filter((name) => name.endsWith('.pack'));
  if (packs.length !== 1) throw new Error(`${packs.length} packs instead of one`);
  return statSync(join(directory, packs[0]!)).size;
}

function checkWhole(gitDir: string): void {
  execFileSync('git', ['-C', gitDir, 'fsck', '--no-progress', '--connectivity-only']);
  const left = execFileSync('git', ['-C', gitDir, 'count-objects'], { encoding: 'utf8' });
  if (!left.startsWith('0 ')) throw new Error(`still loose: ${left}`);
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
}
