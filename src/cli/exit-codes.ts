/** How `vost-mount` ends, for scripts and for mount(8). */
export const exitCode = {
  success: 0,
  /** The command was understood and could not be done; the reason is on stderr. */
  failure: 1,
  /** The command line itself is wrong. */
  usage: 2,
} as const;

/** One of `exitCode`. */
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** Something that ends the command with one line on stderr and this exit code. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, code: ExitCode = exitCode.failure, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
    this.exitCode = code;
  }
}

/** The command line is wrong: exit code 2 and a pointer to `--help`. */
export class UsageError extends CommandError {
  constructor(message: string) {
    super(`${message} (see vost-mount --help)`, exitCode.usage);
    this.name = 'UsageError';
  }
}

/** The file for the log cannot be opened. */
export function unwritableLog(error: unknown): CommandError {
  const { message } = error as Error;
  return new CommandError(`cannot write the log: ${message}`, exitCode.failure, { cause: error });
}

/** What was closed is not all in a commit at the end of a mount. */
export function notAllCommitted(mountpoint: string, error: unknown): CommandError {
  const { message } = error as Error;
  return new CommandError(
    `${mountpoint} is unmounted, but not all could be committed: ${message}`,
    exitCode.failure,
    { cause: error },
  );
}
