import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GitStore } from '../../src/index.ts';
import { importRepository } from './import-repository.ts';

// What the library takes next to git for the same work, on the same machine in the same minutes.
//
//   npm run bench:library [-- <part of a title>]
//
// The two take turns, `pairs` times; a ratio is the median of the ratios of the pairs, git's time
// divided by the library's: above 1 the library is quicker. git is the program, started anew each
// time as a script would; the library's store is opened anew for each measurement too.

const pairs = 5;
const root = fileURLToPath(new URL('../..', import.meta.url));
const cache = join(root, '.cache/bench');
const identity = 'Bench <bench@example.com>';
const wanted = process.argv[2] ?? '';

interface Comparison {
  readonly title: string;
  /** At least so many times as quick as git; below 1, git may be quicker. */
  readonly leastRatio: number;
  /** Each returns milliseconds. */
  readonly vost: (scratch: string) => Promise<number>;
  readonly git: (scratch: string) => number | Promise<number>;
}

function git(args: readonly string[], cwd?: string): string {
  return execFileSync('git', args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: {
      ...process.env,
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_SYSTEM: '/dev/null',
      GIT_AUTHOR_NAME: 'Bench',
      GIT_AUTHOR_EMAIL: 'bench@example.com',
      GIT_COMMITTER_NAME: 'Bench',
      GIT_COMMITTER_EMAIL: 'bench@example.com',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function timed(action: () => unknown): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

/** One commit of `count` files, a hundred in a directory. */
function* files(count: number, sizeBytes: number): Generator<string> {
  yield `commit refs/heads/main\ncommitter ${identity} 1600000000 +0000\ndata 4\nAll\n\n`;
  for (let index = 0; index < count; index++) {
    const content = `content of ${index}\n`.padEnd(sizeBytes, 'x');
    yield `M 100644 inline ${filePath(index)}\ndata ${content.length}\n${content}\n`;
  }
}

const filePath = (index: number): string => `dir-${Math.floor(index / 100)}/file-${index}`;

/** 50,000 commits, each changing one of 2,000 files in 50 directories. */
function* commits(): Generator<string> {
  for (let commit = 0; commit < 50_000; commit++) {
    const content = `line ${commit}\n`.repeat(3);
    const path = `dir-${commit % 50}/file-${(commit * 7) % 2000}`;
    yield `commit refs/heads/main\ncommitter ${identity} ${1_600_000_000 + commit * 60} +0000\n`;
    yield 'data 6\nChange\n';
    yield `M 100644 inline ${path}\ndata ${content.length}\n${content}\n`;
  }
}

function cloneOf(gitDir: string, scratch: string, ...args: readonly string[]): string {
  const path = join(mkdtempSync(join(scratch, 'clone-')), 'repository');
  git(['clone', '--quiet', ...args, gitDir, path]);
  return path;
}

async function writeOneByOne(): Promise<Comparison> {
  const gitDir = join(cache, 'files-10000.git');
  await importRepository(gitDir, files(10_000, 20));
  const count = 500;
  return {
    title: `${count} commits of one file each, in a tree of 10,000 files, and git add + commit`,
    leastRatio: 6,
    vost: async (scratch) => {
      const store = await GitStore.open(cloneOf(gitDir, scratch, '--bare'), { create: false });
      let fs = await store.branches.get('main');
      const ms = await timed(async () => {
        for (let index = 0; index < count; index++) {
          fs = await fs.writeText(filePath(index * 17), `changed ${index}\n`);
        }
      });
      await store.close();
      return ms;
    },
    git: (scratch) => {
      const tree = cloneOf(gitDir, scratch);
      return timed(() => {
        for (let index = 0; index < count; index++) {
          const path = filePath(index * 17);
          writeFileSync(join(tree, path), `changed ${index}\n`);
          git(['commit', '--quiet', '-m', `~ ${path}`, path], tree);
        }
      });
    },
  };
}

async function logPath(title: string, path: string): Promise<Comparison> {
  const gitDir = join(cache, 'commits-50000.git');
  await importRepository(gitDir, commits(), () => {
    git(['commit-graph', 'write', '--reachable', '--changed-paths'], gitDir);
  });
  const expected = git(['log', '--format=%H', 'main', '--', path], gitDir).split('\n').length - 1;
  return {
    title: `log of ${title} (${expected} commits) among 50,000 commits, and git log`,
    leastRatio: 1 / 3,
    vost: async () => {
      const store = await GitStore.open(gitDir, { create: false });
      const fs = await store.branches.get('main');
      const ms = await timed(async () => {
        let found = 0;
        for await (const commit of fs.log({ path })) found += commit.commitHash === '' ? 0 : 1;
        if (found !== expected) throw new Error(`${found} commits instead of ${expected}`);
      });
      await store.close();
      return ms;
    },
    git: () => timed(() => void git(['log', '--format=%H %s', 'main', '--', path], gitDir)),
  };
}

async function statAll(): Promise<Comparison> {
  const gitDir = join(cache, 'files-100000.git');
  const count = 100_000;
  await importRepository(gitDir, files(count, 20));
  return {
    title: 'stat of each path in a tree of 100,000 files, and git ls-tree -r -l',
    leastRatio: 0,
    vost: async () => {
      const store = await GitStore.open(gitDir, { create: false });
      const fs = await store.branches.get('main');
      const ms = await timed(async () => {
        for (let index = 0; index < count; index++) await fs.stat(filePath(index));
      });
      await store.close();
      return ms;
    },
    git: () => timed(() => void git(['ls-tree', '-r', '-l', 'main'], gitDir)),
  };
}

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN;

async function compare({ title, leastRatio, vost, git: byGit }: Comparison): Promise<void> {
  const measured: { readonly ms: number; readonly gitMs: number }[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const scratch = mkdtempSync(join(tmpdir(), 'vost-bench-'));
    try {
      measured.push({ ms: await vost(scratch), gitMs: await byGit(scratch) });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
  const ratios = measured.map(({ ms, gitMs }) => gitMs / ms);
  const spread = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
  const target = leastRatio === 0 ? '' : `, wanted ${leastRatio.toFixed(2)}`;
  console.log(title);
  console.log(
    `  vost ${median(measured.map(({ ms }) => ms)).toFixed(0)} ms, ` +
      `git ${median(measured.map(({ gitMs }) => gitMs)).toFixed(0)} ms, ` +
      `ratio ${median(ratios).toFixed(2)} (${spread}${target})`,
  );
}

const load = readFileSync('/proc/loadavg', 'utf8').split(' ')[0] ?? '?';
console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? '?'}, node ${process.version}, ${git(['--version']).trim()}, load ${load}`,
);
console.log(`medians of ${pairs} pairs; a ratio above 1: the library is quicker`);
const all: readonly (readonly [string, () => Comparison | Promise<Comparison>])[] = [
  ['log', () => logPath('one file', 'dir-2/file-1414')],
  ['log', () => logPath('a directory', 'dir-3')],
  ['log', () => logPath('a path that never was', 'dir-3/none')],
  ['stat', statAll],
  ['write', writeOneByOne],
];
for (const [name, make] of all) if (name.includes(wanted)) await compare(await make());
