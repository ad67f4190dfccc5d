import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { GitStore } from '../../src/index.ts';
import type { FS } from '../../src/index.ts';

// How long it takes to bring small files of the disk into a repository, next to git doing the same.
//
//   npm run bench:copy-in [-- <files>]
//
// 10,000 files of 1 KiB (hex digits, so that they deflate to a half) in directories of a hundred.
// Each number is the median of five runs, each into a new repository: `copyIn`, and in turn `git add
// -A` with `git commit`, with git's defaults; how many times as quick `copyIn` is, is the median of the
// runs. Then both once more with nothing changed, and with one file in a hundred changed. Memory is the peak of this process, which holds no content for longer than it is read.

const runs = 5;
const count = Number(process.argv[2] ?? 10_000);

function makeFiles(directory: string): void {
  for (let file = 0; file < count; file++) {
    const parent = join(directory, `dir-${Math.floor(file / 100)}`);
    if (file % 100 === 0) mkdirSync(parent, { recursive: true });
    writeFileSync(join(parent, `file-${file}`), randomBytes(512).toString('hex'));
  }
}

function changeSome(directory: string): void {
  for (let file = 0; file < count; file += 100) {
    writeFileSync(
      join(directory, `dir-${Math.floor(file / 100)}`, `file-${file}`),
      randomBytes(512).toString('hex'),
    );
  }
}

async function timed(action: () => Promise<void> | void): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

function git(directory: string, ...args: string[]): void {
  const environment = {
    ...process.env,
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
  };
  const who = ['-c', 'user.name=Bench', '-c', 'user.email=bench@example.com', '-c', 'gc.auto=0'];
  execFileSync('git', [...who, ...args], { cwd: directory, env: environment, stdio: 'pipe' });
}

function commitAll(directory: string): void {
  git(directory, 'add', '-A');
  git(directory, 'commit', '--quiet', '--allow-empty', '-m', 'all');
}

const steps = ['everything new', 'nothing changed', '1 in 100 changed'] as const;
const measured = { vost: steps.map(() => [] as number[]), git: steps.map(() => [] as number[]) };

for (let run = 0; run < runs; run++) {
  const scratch = mkdtempSync(join(tmpdir(), 'vost-bench-'));
  try {
    const source = join(scratch, 'source');
    makeFiles(source);
    const store = await GitStore.open(join(scratch, 'repository.git'));
    let fs: FS = await store.fs('main');
    git(source, 'init', '--quiet', `--separate-git-dir=${join(scratch, 'other.git')}`);
    for (const step of steps.keys()) {
      if (step === 2) changeSome(source);
      measured.vost[step]!.push(
        await timed(async () => void (fs = await fs.copyIn(`${source}/`, ''))),
      );
      measured.git[step]!.push(await timed(() => commitAll(source)));
    }
    await store.close();
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

console.log(`${cpus().length} × ${cpus()[0]?.model ?? '?'}, node ${process.version}`);
console.log(`${count} files of 1 KiB, medians of ${runs} runs`);
for (const [step, name] of steps.entries()) {
  const [vost, byGit] = [measured.vost[step]!, measured.git[step]!];
  const ratios = vost.map((ms, run) => byGit[run]! / ms);
  const spread = `${Math.min(...ratios).toFixed(1)} to ${Math.max(...ratios).toFixed(1)}`;
  console.log(
    `  ${name.padEnd(18)} copyIn ${median(vost).toFixed(0).padStart(6)} ms   git add + commit ${median(byGit).toFixed(0).padStart(6)} ms   ${median(ratios).toFixed(1)} times (${spread})`,
  );
}
console.log(`peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`);
