import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './run-program.ts';
import type { RunResult } from './run-program.ts';

/** How a test runs git. */
export interface GitOptions {
  readonly cwd?: string;
  /** Written to git's standard input, which is then closed. */
  readonly input?: string | Uint8Array;
  /** Added to `gitEnvironment`. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default 30 000; git is ended after that and the promise rejects. */
  readonly timeoutMs?: number;
}

/** Variables that make git depend on nothing but the repository: fixed people, fixed time, no outside configuration. */
export const gitEnvironment: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
  HOME: '/nonexistent',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_CONFIG_SYSTEM: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_EDITOR: 'false',
  GIT_AUTHOR_NAME: 'Ada Author',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_AUTHOR_DATE: '1700000000 +0000',
  GIT_COMMITTER_NAME: 'Carl Committer',
  GIT_COMMITTER_EMAIL: 'carl@example.com',
  GIT_COMMITTER_DATE: '1700000000 +0000',
  // A test machine may run as another user than the one that owns the files.
  GIT_CONFIG_COUNT: '2',
  GIT_CONFIG_KEY_0: 'safe.directory',
  GIT_CONFIG_VALUE_0: '*',
  GIT_CONFIG_KEY_1: 'init.defaultBranch',
  GIT_CONFIG_VALUE_1: 'main',
};

/** Runs git to its end; rejects only when it cannot be started or runs past its time. */
export function gitResult(args: readonly string[], options: GitOptions = {}): Promise<RunResult> {
  const { cwd, input, timeoutMs = 30_000 } = options;
  const env = { ...gitEnvironment, ...options.env };
  return runProgram({ program: 'git', args, cwd, env, input, timeoutMs });
}

/** Runs git and gives its standard output; a failure throws with what git said. */
export async function gitBytes(args: readonly string[], options: GitOptions = {}): Promise<Buffer> {
  const result = await gitResult(args, options);
  if (result.exitCode !== 0) {
    throw new Error(
      `git ${args.join(' ')} ended with ${String(result.exitCode)}: ${result.stderr.toString()}`,
    );
  }
  return result.stdout;
}

/** `gitBytes` as text; nothing is trimmed. */
export async function git(args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await gitBytes(args, options)).toString('utf8');
}

// What git says about a repository that has no branch yet; nothing is wrong with that.
const notices = /^notice: (?:HEAD points to an unborn branch .*|No default references)\n/gm;

/**
 * Throws unless `git fsck --strict --full` ends with 0 and says nothing. Objects that no ref reaches
 * are not counted as a fault: every undone or interrupted write leaves some.
 */
export async function fsck(gitDir: string): Promise<void> {
  const args = ['--git-dir', gitDir, ...withoutEmptyChecks(gitDir), 'fsck', '--strict', '--full'];
  const options = { timeoutMs: 600_000 };
  const result = await gitResult([...args, '--no-dangling', '--no-progress'], options);
  const output = (result.stdout.toString() + result.stderr.toString()).replace(notices, '');
  if (result.exitCode !== 0 || output !== '') {
    throw new Error(`git fsck of ${gitDir} ended with ${String(result.exitCode)}:\n${output}`);
  }
}

/**
 * For a commit-graph and an index over many packs git starts a program each, which takes as long as the rest,
 * also where none is there.
 */
function withoutEmptyChecks(gitDir: string): string[] {
  const files = {
    'core.commitGraph': ['info/commit-graph', 'info/commit-graphs'],
    'core.multiPackIndex': ['pack/multi-pack-index'],
  };
  // A directory of objects that others are borrowed from may have them as well, and that of a linked
  // worktree is elsewhere.
  const isElsewhere = !existsSync(join(gitDir, 'objects'));
  if (isElsewhere || existsSync(join(gitDir, 'objects/info/alternates'))) return [];
  return Object.entries(files)
    .filter(([, paths]) => !paths.some((path) => existsSync(join(gitDir, 'objects', path))))
    .flatMap(([key]) => ['-c', `${key}=false`]);
}
