import { spawn } from 'node:child_process';

export interface ProgramOptions {
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default 30 000; the program and all that it started are ended after that. */
  readonly timeoutMs?: number;
}

export interface ProgramResult {
  /** `null` when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end without ever blocking this process, and never longer than its time:
 * a mount that hangs makes a test fail, not wait.
 */
export function programResult(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, LC_ALL: 'C.UTF-8', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own, so that the time limit reaches what it started too.
      detached: true,
    });
    const timeoutMs = options.timeoutMs ?? 30_000;
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      reject(new Error(`${program} ${args.join(' ')} ran longer than ${timeoutMs} ms`));
    }, timeoutMs);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A program that does not read its input ends the pipe early; its exit code tells the story.
    child.stdin.on('error', () => undefined);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (exitCode) => {
      clearTimeout(timer);
      resolve({
        exitCode,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
    child.stdin.end(options.input ?? '');
  });
}

/** Runs a program and gives its standard output; a failure throws with what it said. */
export async function program(
  name: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const result = await programResult(name, args, options);
  if (result.exitCode !== 0) {
    throw new Error(
      `${name} ${args.join(' ')} ended with ${String(result.exitCode)}:\n${result.stdout}${result.stderr}`,
    );
  }
  return result.stdout;
}

/** Runs a shell script that stops at its first failing command. */
export function shell(script: string, options: ProgramOptions = {}): Promise<string> {
  return program('bash', ['-euo', 'pipefail', '-c', script], options);
}
