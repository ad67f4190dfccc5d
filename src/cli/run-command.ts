import { GitStoreError } from '../errors.ts';
import { printable } from '../mount/observe/printable.ts';
import { claim, startAhead } from './daemon-ahead.ts';
import type { BackgroundDaemon } from './daemonize.ts';
import { CommandError, exitCode } from './exit-codes.ts';
import type { ExitCode } from './exit-codes.ts';
import { parseCommandLine } from './options.ts';
import type { Invocation } from './options.ts';

/**
 * Runs one command line and says how it ended. Data goes to stdout, one line about a failure to
 * stderr. What a verb needs is loaded when it is asked for, so that `--help` stays quick.
 */
export async function runCommand(argv: readonly string[]): Promise<ExitCode> {
  watchOutput();
  try {
    const ahead = startAhead(argv);
    const invocation = await parseCommandLine(argv).catch((error: unknown) => {
      ahead?.abandon();
      throw error;
    });
    return await dispatch(invocation, claim(ahead, invocation));
  } catch (error) {
    process.stderr.write(`vost-mount: ${describeFailure(error)}\n`);
    return exitCodeOf(error);
  }
}

/** Output that goes nowhere is a failure; a full disk is told of, a reader that left wants no more. */
function watchOutput(): void {
  let isBroken = false;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isBroken) return;
    isBroken = true;
    if (error.code !== 'EPIPE') {
      process.stderr.write(`vost-mount: cannot write the output: ${error.message}\n`);
    }
    process.once('exit', () => (process.exitCode = exitCode.failure));
  });
}

async function dispatch(
  invocation: Invocation,
  ahead: BackgroundDaemon | undefined,
): Promise<ExitCode> {
  switch (invocation.verb) {
    case 'mount':
      return (await import('./commands/mount.ts')).mountCommand(invocation, ahead);
    case 'list':
      return (await import('./commands/list.ts')).listCommand(invocation);
    case 'status':
      return (await import('./commands/status.ts')).statusCommand(invocation);
    case 'commit':
      return (await import('./commands/commit.ts')).commitCommand(invocation);
    case 'unmount':
      return (await import('./commands/unmount.ts')).unmountCommand(invocation);
    case 'completion':
      return (await import('./commands/completion.ts')).completionCommand();
    case 'print':
      process.stdout.write(`${invocation.text}\n`);
      return exitCode.success;
  }
}

/**
 * One line for people. What was thrown on purpose explains itself; anything else is a defect, and
 * its stack is what helps.
 */
export function describeFailure(error: unknown): string {
  if (error instanceof CommandError || error instanceof GitStoreError) return oneLine(error);
  if (error instanceof Error) {
    if (isSystemError(error, 'uv_cwd')) {
      return 'the current directory is not there any more: go to another one first';
    }
    return isSystemError(error) ? oneLine(error) : (error.stack ?? error.message);
  }
  return String(error);
}

/** What programs of the system say may be several lines, and names may hold anything. */
function oneLine({ message }: Error): string {
  return printable(message.trim().replace(/\s*\n\s*/g, ' '));
}

/** How the command ends after an error: as the error says, else as a failure. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof CommandError ? error.exitCode : exitCode.failure;
}

function isSystemError(error: Error, during?: string): boolean {
  const { syscall } = error as NodeJS.ErrnoException;
  return during === undefined ? typeof syscall === 'string' : syscall === during;
}
