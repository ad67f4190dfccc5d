import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { buildNpmHistory } from '../../../test/fixtures/npm-history.ts';
import { importRepository } from '../import-repository.ts';

/** Where the data is kept between runs, outside of git. */
export const cacheDirectory: string = fileURLToPath(
  new URL('../../../.cache/bench', import.meta.url),
);

const identity = 'Bench <bench@example.com>';
const bigSizeBytes = 2 ** 30;
const chunkSizeBytes = 2 ** 20;

/** What is measured, all on the same disk. */
export interface BenchData {
  /** R: the releases of a real package, packed; branch `main`. */
  readonly project: string;
  /** The files of R's `main`, checked out. */
  readonly projectTree: string;
  /** The same as a tar file. */
  readonly projectTar: string;
  /**
   * S: the branch `main` has 100,000 commits, `wide` 1,000,000 files in 10,000 directories, `flat`
   * 100,000 files in one directory, `big` one blob of 1 GiB (the file `big`), `entries` a directory of
   * 10,000 entries.
   */
  readonly synthetic: string;
  /** The content of the big blob as a file. It does not deflate. */
  readonly bigFile: string;
}

/** Makes what is missing; the first time this takes some minutes and the package registry. */
export async function prepareData(say: (message: string) => void): Promise<BenchData> {
  mkdirSync(cacheDirectory, { recursive: true });
  const data: BenchData = {
    project: join(cacheDirectory, 'project.git'),
    projectTree: join(cacheDirectory, 'project-tree'),
    projectTar: join(cacheDirectory, 'project.tar'),
    synthetic: join(cacheDirectory, 'synthetic.git'),
    bigFile: join(cacheDirectory, 'big.bin'),
  };
  if (!existsSync(join(data.project, 'complete'))) await makeProject(data, say);
  if (!existsSync(data.bigFile)) await makeBigFile(data.bigFile);
  if (!existsSync(join(data.synthetic, 'complete'))) {
    say('making the synthetic repository');
    await importRepository(data.synthetic, syntheticCommands());
    rmSync(join(data.synthetic, 'complete'));
    addBigBlob(data);
    writeFileSync(join(data.synthetic, 'complete'), '');
  }
  return data;
}

/** Forty releases of a package with thousands of small files, and one that is larger than 1 MiB. */
async function makeProject(data: BenchData, say: (message: string) => void): Promise<void> {
  const { project, projectTree, projectTar } = data;
  for (const path of [project, projectTree, projectTar])
    rmSync(path, { recursive: true, force: true });
  const { tags } = await buildNpmHistory('@fluentui/react', project, {
    newest: 40,
    onProgress: say,
  });
  // The last one is what packages cannot hold.
  const newest = tags.at(-2)!;
  git('--git-dir', project, 'update-ref', 'refs/heads/main', `refs/tags/${newest}^{commit}`);
  git('--git-dir', project, 'symbolic-ref', 'HEAD', 'refs/heads/main');
  git('--git-dir', project, 'repack', '-adq');
  mkdirSync(projectTree);
  git('--git-dir', project, 'archive', '--format=tar', '-o', projectTar, 'main');
  execFileSync('tar', ['-xf', projectTar, '-C', projectTree]);
  writeFileSync(join(project, 'complete'), '');
}

async function makeBigFile(path: string): Promise<void> {
  const incoming = `${path}.incoming`;
  const stream = createWriteStream(incoming);
  for (let written = 0; written < bigSizeBytes; written += chunkSizeBytes) {
    const chunk = randomFillSync(Buffer.allocUnsafe(chunkSizeBytes));
    if (!stream.write(chunk)) await once(stream, 'drain');
  }
  stream.end();
  await finished(stream);
  await rename(incoming, path);
}

function* syntheticCommands(): Generator<string> {
  yield* manyCommits();
  yield* oneCommit('wide', 1_000_000, (file) => `dir-${file % 10_000}/file-${file}`);
  yield* oneCommit('flat', 100_000, (file) => `flat/file-${file}`);
  yield* oneCommit('entries', 10_000, (file) => `entries/file-${file}`);
}

/** Each changes one of 2,000 files in 50 directories. */
function* manyCommits(): Generator<string> {
  for (let commit = 0; commit < 100_000; commit++) {
    const path = `dir-${commit % 50}/file-${(commit * 7) % 2000}`;
    yield `commit refs/heads/main\ncommitter ${identity} ${1_600_000_000 + commit * 60} +0000\n`;
    yield inline(`Change ${commit}\n`);
    yield `M 100644 inline ${path}\n${inline(`line ${commit}\n`.repeat(3))}`;
  }
}

function* oneCommit(
  branch: string,
  files: number,
  pathOf: (file: number) => string,
): Generator<string> {
  yield `commit refs/heads/${branch}\ncommitter ${identity} 1600000000 +0000\n${inline('All\n')}`;
  for (let file = 0; file < files; file++) {
    yield `M 100644 inline ${pathOf(file)}\n${inline(`content of ${file}\n`)}`;
  }
}

function inline(text: string): string {
  return `data ${text.length}\n${text}\n`;
}

function addBigBlob({ synthetic, bigFile }: BenchData): void {
  const here = ['--git-dir', synthetic];
  const blob = git(...here, 'hash-object', '-w', bigFile).trim();
  const tree = git(...here, 'mktree', { input: `100644 blob ${blob}\tbig\n` }).trim();
  const author = ['-c', 'user.name=Bench', '-c', 'user.email=bench@example.com'];
  const commit = git(...here, ...author, 'commit-tree', '-m', 'Big', tree).trim();
  git(...here, 'update-ref', 'refs/heads/big', commit);
  git(...here, 'repack', '-dq');
}

function git(...all: readonly (string | { readonly input: string })[]): string {
  const args = all.filter((one) => typeof one === 'string');
  const input = all.find((one) => typeof one === 'object')?.input ?? '';
  return execFileSync('git', args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'inherit'] });
}
