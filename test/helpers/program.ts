import { runProgram } from './run-program.ts';

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
export async function programResult(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const { cwd, input, timeoutMs = 30_000 } = options;
  const env = { ...process.env, LC_ALL: 'C.UTF-8', ...options.env };
  const result = await runProgram({ program, args, cwd, env, input, timeoutMs });
  return { ...result, stdout: result.stdout.toString(), stderr: result.stderr.toString() };
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
