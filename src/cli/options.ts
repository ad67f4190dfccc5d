import { readFileSync } from 'node:fs';
import type { Options } from 'yargs';
import { logLevels, transports } from '../mount/mount-options.ts';
import { UsageError } from './exit-codes.ts';
import { expandFstabOptions, kernelOptionName } from './fstab-options.ts';
import { mountInvocation, single } from './mount-invocation.ts';
import type { MountInvocation } from './mount-invocation.ts';

/** What a command line asks for. */
export type Invocation =
  | MountInvocation
  | { readonly verb: 'list'; readonly json: boolean }
  | { readonly verb: 'status'; readonly mountpoint: string; readonly json: boolean }
  | { readonly verb: 'commit'; readonly mountpoint: string; readonly message?: string }
  | { readonly verb: 'unmount'; readonly mountpoint: string }
  | { readonly verb: 'completion' }
  | { readonly verb: 'print'; readonly text: string };

const flag = (describe: string, more: Options = {}): Options => ({
  type: 'boolean',
  describe,
  ...more,
});
const value = (describe: string, more: Options = {}): Options => ({
  type: 'string',
  requiresArg: true,
  describe,
  ...more,
});

/** The options of a mount, for the command line and its manual. */
export const mountOptions: Readonly<Record<string, Options>> = {
  foreground: flag('stay in the foreground', { alias: 'f' }),
  resilient: flag('start the daemon again when it dies, on the same mount'),
  branch: value('mount this branch at the root', { alias: 'b' }),
  ref: value('mount this tag, branch or commit at the root, read-only; main~3, main@2h'),
  tag: value('mount this tag at the root, read-only'),
  back: value('of --ref, --tag or --branch: so many commits earlier'),
  before: value('of --ref, --tag or --branch: as it was at this date (2026-11-20, 3d)'),
  match: value('of --ref, --tag or --branch: the last commit with such a message (fix*)'),
  path: value('of --ref, --tag or --branch: the last commit that changed this path'),
  'read-only': flag('serve everything read-only'),
  'no-create': flag('fail when the repository does not exist'),
  'commit-on': value('what makes a commit: close, fsync, manual or idle:MS (default close)'),
  'commit-delay': value('how long a branch is quiet before its commit (default 100ms)'),
  message: value('template of commit messages, in which {default} stands for what changed'),
  author: value('name of who commits'),
  email: value('address of who commits'),
  scratch: value('name pattern that is never committed; repeat it for more'),
  gitignore: flag("never commit what the branch's own .gitignore names"),
  'max-file-size': value('larger files are refused (64M, 2G)'),
  'cache-size': value('bound of the caches of objects (256M)'),
  'spool-dir': value('where content waits that is too big for memory'),
  'allow-other': flag('let other users in'),
  uid: value('owner that files show'),
  gid: value('group that files show'),
  nonempty: flag('mount over a directory that is not empty'),
  snapdir: value('visible: list the dot directories in the root (default hidden)'),
  transport: value(`how the kernel is spoken to: ${transports.join(', ')}`),
  'log-level': value(`what is logged: ${logLevels.join(', ')}`),
  'log-file': value('where the daemon logs'),
  debug: flag('log every request'),
  [kernelOptionName]: value('an option of mount(8) for the kernel', { hidden: true }),
};

const namesOf = (type: 'boolean' | 'string'): Set<string> =>
  new Set(Object.keys(mountOptions).filter((name) => mountOptions[name]?.type === type));

const optionNames = { flags: namesOf('boolean'), valued: namesOf('string') };

const json = { json: flag('as JSON') };

/** What each verb does, for `--help` and the manual. */
export const verbs = {
  mount: 'Mounts a git repository: every branch is a directory, every write becomes a commit.',
  list: 'list what is mounted',
  status: 'show the state of a mount',
  commit: 'commit what is closed, on every branch',
  unmount: 'commit what is closed, unmount and wait until that is done',
  completion: 'print what bash needs to complete this command: eval "$(vost-mount completion)"',
} as const;

/**
 * Reads a command line.
 *
 * @param argv the arguments after the program's name
 * @throws {UsageError} with one line about what is wrong
 */
export async function parseCommandLine(argv: readonly string[]): Promise<Invocation> {
  const { default: yargs } = await import('yargs');
  let invocation: Invocation | undefined;
  let printed = '';
  const mountpoint = {
    type: 'string',
    demandOption: true,
    describe: 'where it is mounted',
  } as const;
  const parser = yargs()
    .scriptName('vost-mount')
    .locale('en')
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'parse-positional-numbers': false,
    })
    .command(
      '$0 <repository> <mountpoint>',
      verbs.mount,
      (command) =>
        command
          .positional('repository', {
            type: 'string',
            demandOption: true,
            describe: 'a bare repository, created when missing',
          })
          .positional('mountpoint', { ...mountpoint, describe: 'an empty directory' })
          .options(mountOptions)
          .option('o', {
            type: 'string',
            describe: 'options as a list, as in fstab: ro,branch=main',
          }),
      (args) => {
        invocation = mountInvocation(args);
      },
    )
    .command(
      'list',
      verbs.list,
      (command) => command.options(json),
      (args) => {
        invocation = { verb: 'list', json: args['json'] === true };
      },
    )
    .command(
      'status <mountpoint>',
      verbs.status,
      (command) => command.positional('mountpoint', mountpoint).options(json),
      (args) => {
        const { mountpoint: path } = args;
        invocation = { verb: 'status', mountpoint: path, json: args['json'] === true };
      },
    )
    .command(
      'commit <mountpoint>',
      verbs.commit,
      (command) =>
        command
          .positional('mountpoint', mountpoint)
          .option('message', value('the commit message', { alias: 'm' })),
      (args) => {
        const { mountpoint: path, message } = args as { mountpoint: string; message?: unknown };
        invocation = {
          verb: 'commit',
          mountpoint: path,
          ...(message === undefined ? {} : { message: single('message', message) }),
        };
      },
    )
    .command(
      'unmount <mountpoint>',
      verbs.unmount,
      (command) => command.positional('mountpoint', mountpoint),
      (args) => {
        invocation = { verb: 'unmount', mountpoint: args.mountpoint };
      },
    )
    .command('completion', verbs.completion, {}, () => {
      invocation = { verb: 'completion' };
    })
    .strict()
    .showHelpOnFail(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw error instanceof UsageError ? error : usageError(message ?? String(error), argv);
    })
    .version(packageVersion())
    .help()
    .alias('help', 'h')
    .wrap(100)
    .exitProcess(false);
  await parser.parseAsync(expandFstabOptions(argv, optionNames), {}, (_error, _args, output) => {
    printed = output;
  });
  return invocation ?? { verb: 'print', text: printed };
}

/** The parser's words for what is wrong, with the names as they were typed. */
function usageError(message: string, argv: readonly string[]): UsageError {
  const missing = /^Not enough non-option arguments: got \d+, need at least (\d+)/.exec(message);
  if (missing !== null) {
    return new UsageError(
      missing[1] === '2' ? 'a repository and a mountpoint are needed' : 'a mountpoint is needed',
    );
  }
  const valueless = /^Not enough arguments following: (.*)/.exec(message)?.[1];
  if (valueless !== undefined) {
    return new UsageError(`${valueless.length === 1 ? '-' : '--'}${valueless} needs a value`);
  }
  const unknown = /^Unknown arguments?: (.*)/.exec(message)?.[1]?.split(', ', 1)[0];
  if (unknown !== undefined) {
    const typed = [`--${unknown}`, `-${unknown}`].find((option) =>
      argv.some((token) => token === option || token.startsWith(`${option}=`)),
    );
    return new UsageError(
      typed === undefined ? `"${unknown}" is one argument too many` : `there is no option ${typed}`,
    );
  }
  return new UsageError(message.split('\n', 1).join(''));
}

function packageVersion(): string {
  const manifest = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
