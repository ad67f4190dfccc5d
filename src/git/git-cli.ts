import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  FileNotFoundError,
  GitCommandError,
  GitNotFoundError,
  InvalidArgumentError,
} from '../errors.ts';
import { isNothingThere, systemErrorCode } from './system-error.ts';

/** How the git program is run. */
export interface GitRunOptions {
  /** The repository that git works on, whatever the working directory is. */
  readonly gitDir?: string;
  readonly cwd?: string;
  /** Written to git's standard input; without it, git reads an empty one. */
  readonly input?: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Variables for git, over those of this process; `undefined` takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** How long git may run; without it, for ever. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Told what git writes to its standard error, such as progress, as it comes. */
  readonly onStderr?: (text: string) => void;
}

/** What a run of git that ended well has said. */
export interface GitOutput {
  readonly stdout: Buffer;
  /** The end of what it wrote to its standard error. */
  readonly stderr: string;
}

/** A run of git that is going on. */
export interface GitProcess {
  /**
   * What git writes, as it comes; git waits when nobody reads. The iteration throws when git fails,
   * and ends git when it is left early.
   */
  readonly stdout: AsyncIterable<Buffer>;
  /** Settles when git has ended: with the end of its standard error, or an error. */
  readonly done: Promise<string>;
}

const largestStdoutSizeBytes = 64 * 2 ** 20;
const largestTailSize = 8192;
// How long git may take to end after it was told to, and what it has started to let go of its pipes.
const graceMs = 5000;

// What tells git of another repository than the one that it is run for: set when this process is
// started by a git hook or alias. A part of what `git rev-parse --local-env-vars` lists; the
// configuration in GIT_CONFIG_COUNT and its like is the user's and stays.
const variablesOfAnotherRepository = [
  'GIT_ALTERNATE_OBJECT_DIRECTORIES',
  'GIT_COMMON_DIR',
  'GIT_CONFIG',
  'GIT_DIR',
  'GIT_GRAFT_FILE',
  'GIT_IMPLICIT_WORK_TREE',
  'GIT_INDEX_FILE',
  'GIT_NAMESPACE',
  'GIT_OBJECT_DIRECTORY',
  'GIT_PREFIX',
  'GIT_REPLACE_REF_BASE',
  'GIT_SHALLOW_FILE',
  'GIT_WORK_TREE',
];

/** The path of the git program; `null` when there is none on the `PATH`. */
export async function findGit(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string | null> {
  for (const directory of (env['PATH'] ?? '').split(delimiter)) {
    if (!isAbsolute(directory)) continue;
    const path = join(directory, process.platform === 'win32' ? 'git.exe' : 'git');
    if (await isProgram(path)) return path;
  }
  return null;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch (error) {
    if (isNothingThere(error) || systemErrorCode(error) === 'EACCES') return false;
    throw error;
  }
}

/**
 * Runs git to its end. Arguments go to it as they are, through no shell; what may begin with `-` and
 * is no option has to stand after `--` or `--end-of-options`. git never asks on the terminal.
 * A `GitCommandError` when it fails, is aborted, takes too long or says more than 64 MiB (then use
 * `streamGit`); a `GitNotFoundError` when there is no git.
 */
export async function runGit(
  args: readonly string[],
  options: GitRunOptions = {},
): Promise<GitOutput> {
  const git = streamGit(args, options);
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of git.stdout) {
    sizeBytes += chunk.length;
    if (sizeBytes > largestStdoutSizeBytes) {
      const failure = { exitCode: null, signal: null, stderr: '' };
      throw new GitCommandError(`${describe(args)} says more than can be held`, failure);
    }
    chunks.push(chunk);
  }
  return { stdout: Buffer.concat(chunks), stderr: await git.done };
}

/** As `runGit`, for output of any size. The output has to be read, or else git waits for that. */
export function streamGit(args: readonly string[], options: GitRunOptions = {}): GitProcess {
  const run = new GitRun(args, options);
  return { stdout: run.output(), done: run.done };
}

class GitRun {
  readonly done: Promise<string>;
  readonly #args: readonly string[];
  readonly #options: GitRunOptions;
  readonly #child: ChildProcessWithoutNullStreams;
  #tail = '';
  // Why it was told to end, when it was.
  #stopped: { readonly why: string; readonly cause?: unknown } | undefined;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(args: readonly string[], options: GitRunOptions) {
    const { gitDir, cwd, timeoutMs, signal } = options;
    const all = gitDir === undefined ? args : [`--git-dir=${gitDir}`, ...args];
    if (all.some((argument) => argument.includes('\0'))) {
      throw new InvalidArgumentError('an argument for git cannot hold a NUL byte');
    }
    this.#args = args;
    this.#options = options;
    this.#child = spawn('git', all, { cwd, env: environment(options.env), windowsHide: true });
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => this.#stop(`took longer than ${timeoutMs} ms`), timeoutMs);
    const abort = (): void => this.#stop('was aborted', signal?.reason);
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
    this.done = this.#end().finally(() => {
      clearTimeout(timer);
      clearTimeout(this.#killTimer);
      signal?.removeEventListener('abort', abort);
    });
    // Whoever only reads the output hears of a failure there.
    this.done.catch(() => undefined);
    this.#readStderr();
    void this.#writeInput();
  }

  async *output(): AsyncGenerator<Buffer> {
    let left = true;
    try {
      for await (const chunk of this.#child.stdout) yield chunk as Buffer;
      left = false;
    } catch (error) {
      left = false;
      this.#stop('could not be listened to', error);
    } finally {
      if (left) this.#stop('was not listened to any more');
    }
    await this.done;
  }

  #end(): Promise<string> {
    return new Promise((resolve, reject) => {
      let started = true;
      this.#child.once('error', (error) => {
        started = this.#child.pid !== undefined;
        if (!started) void this.#startError(error).then(reject);
      });
      // What git has started and left running (a credential cache) can keep its standard error open.
      this.#child.once('exit', () => {
        clearTimeout(this.#killTimer);
        this.#killTimer = setTimeout(() => this.#child.stderr.destroy(), graceMs);
      });
      this.#child.once('close', (exitCode, signal) => {
        if (!started) return;
        if (exitCode === 0 && this.#stopped === undefined) resolve(this.#tail);
        else reject(this.#failure(exitCode, signal));
      });
    });
  }

  #stop(why: string, cause?: unknown): void {
    const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
    if (this.#stopped !== undefined || ended) return;
    this.#stopped = { why, cause };
    this.#child.kill('SIGTERM');
    this.#killTimer = setTimeout(() => {
      this.#child.kill('SIGKILL');
      this.#child.stdout.destroy();
      this.#child.stderr.destroy();
    }, graceMs);
  }

  #readStderr(): void {
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#tail = (this.#tail + text).slice(-largestTailSize);
      this.#options.onStderr?.(text);
    });
  }

  async #writeInput(): Promise<void> {
    const { input = '' } = this.#options;
    try {
      const chunks = typeof input === 'string' || input instanceof Uint8Array ? [input] : input;
      await pipeline(Readable.from(chunks), this.#child.stdin);
    } catch (error) {
      // git need not read all of it; its exit code tells whether that is right.
      const code = systemErrorCode(error);
      if (code === 'EPIPE' || code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE')
        return;
      this.#stop('could not be given its input', error);
    }
  }

  async #startError(error: Error): Promise<Error> {
    const { cwd } = this.#options;
    if (systemErrorCode(error) !== 'ENOENT') return this.#failure(null, null, error);
    if (cwd !== undefined && (await stat(cwd).catch(() => undefined)) === undefined) {
      return new FileNotFoundError(`git cannot run in ${cwd}: there is no such directory`, {
        path: cwd,
      });
    }
    return new GitNotFoundError('there is no git program on the PATH', { cause: error });
  }

  #failure(exitCode: number | null, signal: string | null, cause?: unknown): GitCommandError {
    const stderr = withoutPasswords(this.#tail).trim();
    const ending = exitCode === null ? `signal ${signal ?? 'unknown'}` : `exit code ${exitCode}`;
    const why =
      this.#stopped?.why ?? (cause === undefined ? `failed (${ending})` : 'could not be started');
    const told = stderr === '' ? '' : `: ${stderr}`;
    const reason = cause ?? this.#stopped?.cause;
    return new GitCommandError(
      `${describe(this.#args)} ${why}${told}`,
      { exitCode, signal, stderr },
      reason === undefined ? {} : { cause: reason },
    );
  }
}

function environment(changes: GitRunOptions['env'] = {}): NodeJS.ProcessEnv {
  const cleared = Object.fromEntries(variablesOfAnotherRepository.map((name) => [name, undefined]));
  // Never ask where nobody can answer, and say things in the words that programs know.
  return { ...process.env, ...cleared, GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C', ...changes };
}

// Only the command: its arguments, and values given by -c, can hold credentials.
function describe(args: readonly string[]): string {
  let at = 0;
  while (args[at]?.startsWith('-') === true) at += args[at] === '-c' || args[at] === '-C' ? 2 : 1;
  return `git ${args[at] ?? ''}`.trimEnd();
}

function withoutPasswords(text: string): string {
  return text.replaceAll(/(\w:\/\/)[^\s/@]*@/g, '$1***@');
}
