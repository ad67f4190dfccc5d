import { resolve } from 'node:path';
import { logLevels, transports } from '../mount/mount-options.ts';
import type { CommitPolicy, MountOptions } from '../mount/mount-options.ts';
import { UsageError } from './exit-codes.ts';
import { kernelOptionName } from './fstab-options.ts';
import {
  parseChoice,
  parseCount,
  parseDurationMs,
  parseId,
  parseSizeBytes,
  parseTimeSec,
} from './option-values.ts';

/** What `vost-mount <repository> <mountpoint>` is to do. Plain data: it is handed to the daemon. */
export interface MountInvocation {
  readonly verb: 'mount';
  readonly repository: string;
  readonly mountpoint: string;
  readonly foreground: boolean;
  /** A guardian keeps the mount, and starts a daemon that dies again. */
  readonly resilient: boolean;
  readonly logFile?: string;
  readonly options: MountOptions;
}

/** Makes of the parsed words what they stand for; what was not given is left out. */
export function mountInvocation(args: Readonly<Record<string, unknown>>): MountInvocation {
  const text = (name: string): string | undefined =>
    args[name] === undefined ? undefined : single(name, args[name]);
  const parsed = <T>(name: string, parse: (option: string, text: string) => T): T | undefined => {
    const given = text(name);
    return given === undefined ? undefined : parse(`--${name}`, given);
  };
  const list = (name: string): string[] | undefined =>
    args[name] === undefined ? undefined : [args[name]].flat().map(String);
  const isSet = (name: string): boolean | undefined => {
    const given = [args[name]].flat().at(-1);
    return given === undefined ? undefined : given === true;
  };
  if (args['o'] !== undefined)
    throw new UsageError('-o stands on its own, not behind other letters');
  const snapshots = ['branch', 'ref', 'tag'].filter((name) => args[name] !== undefined);
  if (snapshots.length > 1) {
    throw new UsageError(`--${snapshots.join(' and --')} exclude each other`);
  }
  const choice = ['back', 'before', 'match', 'path'].find((name) => args[name] !== undefined);
  if (choice !== undefined && snapshots.length === 0) {
    throw new UsageError(`--${choice} needs --ref, --tag or --branch`);
  }
  const options: { [Name in keyof MountOptions]: MountOptions[Name] | undefined } = {
    branch: text('branch'),
    ref: text('ref'),
    tag: text('tag'),
    back: parsed('back', parseCount),
    beforeSec: parsed('before', parseTimeSec),
    match: text('match'),
    path: text('path'),
    readOnly: isSet('read-only'),
    create: isSet('no-create') === true ? false : undefined,
    commitOn: parsed('commit-on', parseCommitPolicy),
    commitDelayMs: parsed('commit-delay', parseDurationMs),
    message: text('message'),
    author: text('author'),
    email: text('email'),
    scratch: list('scratch'),
    gitignore: isSet('gitignore'),
    maxFileSizeBytes: parsed('max-file-size', parseSizeBytes),
    cacheSizeBytes: parsed('cache-size', parseSizeBytes),
    spoolDirectory: parsed('spool-dir', absolutePath),
    allowOther: isSet('allow-other'),
    uid: parsed('uid', parseId),
    gid: parsed('gid', parseId),
    nonEmpty: isSet('nonempty'),
    transport: parsed('transport', (option, word) => parseChoice(option, word, transports)),
    kernelOptions: list(kernelOptionName),
    showDotDirectories: parsed(
      'snapdir',
      (option, word) => parseChoice(option, word, ['visible', 'hidden']) === 'visible',
    ),
    logLevel:
      isSet('debug') === true
        ? 'debug'
        : parsed('log-level', (option, word) => parseChoice(option, word, logLevels)),
  };
  const resilient = isSet('resilient') === true;
  if (resilient && options.transport === 'fuse-native') {
    throw new UsageError('--resilient needs the kernel transport');
  }
  const logFile = parsed('log-file', absolutePath);
  return {
    verb: 'mount',
    repository: absolutePath('the repository', String(args['repository'])),
    mountpoint: absolutePath('the mountpoint', String(args['mountpoint'])),
    foreground: isSet('foreground') === true,
    resilient,
    ...(logFile === undefined ? {} : { logFile }),
    // The schema holds only what was given: JSON knows no undefined, and neither does a default.
    options: Object.fromEntries(Object.entries(options).filter(([, given]) => given !== undefined)),
  };
}

/** The value of an option that may stand only once. */
export function single(name: string, given: unknown): string {
  if (Array.isArray(given)) throw new UsageError(`--${name} is given twice`);
  return String(given);
}

function parseCommitPolicy(option: string, text: string): CommitPolicy {
  const idle = /^idle:(.*)$/.exec(text)?.[1];
  if (idle !== undefined) return { idleMs: parseDurationMs(option, idle) };
  return parseChoice(option, text, ['close', 'fsync', 'manual'], ['idle:MS']);
}

/** The daemon leaves the directory that it was started in, so paths are resolved before. */
function absolutePath(option: string, text: string): string {
  if (text === '') throw new UsageError(`${option} needs a path`);
  return resolve(text);
}
