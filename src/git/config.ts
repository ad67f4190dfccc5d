import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { InvalidConfigError } from '../errors.ts';
import { byteStringFromBuffer, textFromBytes } from './byte-string.ts';
import { parseConfig, type ConfigEntry } from './config-parser.ts';
import { farDisk } from './disk.ts';
import type { Disk } from './disk.ts';
import { systemErrorCode } from './system-error.ts';

/** Where `GitConfig.load` looks. */
export interface ConfigLocations {
  readonly gitDir: string;
  /** The git directory that all worktrees share. Default `gitDir`. */
  readonly commonDir?: string;
  /** Where that is. Those of the user and the system are taken to be where programs start from. Default `farDisk`. */
  readonly disk?: Disk;
  /** Default `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const systemFile = '/etc/gitconfig';
// As git's MAX_INCLUDE_DEPTH.
const deepestInclude = 10;
const sizeFactors: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/**
 * The configuration that holds for a repository; see git-config(1). Later files win over earlier
 * ones: the system's, the user's, the repository's, the worktree's, and the environment. Files
 * included by `include.path` are read; those of `includeIf` are not.
 */
export class GitConfig {
  readonly #entries = new Map<string, ConfigEntry[]>();

  constructor(entries: Iterable<ConfigEntry>) {
    for (const entry of entries) {
      const same = this.#entries.get(entry.key);
      if (same === undefined) this.#entries.set(entry.key, [entry]);
      else same.push(entry);
    }
  }

  /** Reads the files that git would read. A damaged one is an `InvalidConfigError`. */
  static async load(locations: ConfigLocations): Promise<GitConfig> {
    const { gitDir, commonDir = gitDir, disk = farDisk, env = process.env } = locations;
    const home = env['HOME'] ?? homedir();
    const [local, ...outside] = await Promise.all([
      readWithIncludes(join(commonDir, 'config'), home, disk),
      ...outsideFiles(env, home).map((file) => readOutside(file, home, disk)),
    ]);
    const config = new GitConfig(local);
    const worktree =
      config.getBool('extensions.worktreeConfig') === true
        ? await readWithIncludes(join(gitDir, 'config.worktree'), home, disk)
        : [];
    return new GitConfig([...outside.flat(), ...local, ...worktree, ...entriesOfEnvironment(env)]);
  }

  /** The last value of a variable: `core.bare`, `remote.origin.url`. `''` when it has none. */
  get(key: string): string | undefined {
    const entry = this.#last(key);
    return entry === undefined ? undefined : (entry.value ?? '');
  }

  /** All values of a variable, in order. */
  getAll(key: string): string[] {
    return (this.#entries.get(canonical(key)) ?? []).map((entry) => entry.value ?? '');
  }

  /** The last value as a boolean; what is none is an `InvalidConfigError`. */
  getBool(key: string): boolean | undefined {
    const entry = this.#last(key);
    return entry === undefined ? undefined : toBoolean(entry);
  }

  /** The last value as an integer, suffixes `k`, `m`, `g` included; else an `InvalidConfigError`. */
  getInt(key: string): number | undefined {
    const entry = this.#last(key);
    return entry === undefined ? undefined : toInteger(entry, 'number');
  }

  #last(key: string): ConfigEntry | undefined {
    return this.#entries.get(canonical(key))?.at(-1);
  }
}

/** The variables of one file, without what it includes; none when there is no such file. */
export async function readConfigFile(file: string, disk: Disk): Promise<ConfigEntry[]> {
  const content = await disk.readFile(file);
  if (content === undefined) return [];
  return parseConfig(textFromBytes(byteStringFromBuffer(content)), file);
}

async function readWithIncludes(
  file: string,
  home: string,
  disk: Disk,
  depth = 0,
): Promise<ConfigEntry[]> {
  const entries: ConfigEntry[] = [];
  for (const entry of await readConfigFile(file, disk)) {
    entries.push(entry);
    if (entry.key !== 'include.path' || entry.value === null) continue;
    if (depth === deepestInclude) {
      const message = `${file} is included by itself, or too deep (line ${entry.line})`;
      throw new InvalidConfigError(message, { path: file });
    }
    const included = resolve(dirname(file), entry.value.replace(/^~(?=\/)/, home));
    entries.push(...(await readWithIncludes(included, home, disk, depth + 1)));
  }
  return entries;
}

// As git does, take no offence at a file of the user or the system that may not be read.
async function readOutside(file: string, home: string, disk: Disk): Promise<ConfigEntry[]> {
  try {
    return await readWithIncludes(file, home, disk);
  } catch (error) {
    if (systemErrorCode(error) === 'EACCES') return [];
    throw error;
  }
}

function outsideFiles(env: NonNullable<ConfigLocations['env']>, home: string): string[] {
  const files: string[] = [];
  const noSystem = entryOfEnvironment('GIT_CONFIG_NOSYSTEM', env['GIT_CONFIG_NOSYSTEM'] ?? '');
  if (!toBoolean(noSystem)) files.push(env['GIT_CONFIG_SYSTEM'] ?? systemFile);
  const global = env['GIT_CONFIG_GLOBAL'];
  if (global !== undefined) return [...files, global];
  const xdg = env['XDG_CONFIG_HOME'] ?? '';
  return [
    ...files,
    join(xdg === '' ? join(home, '.config') : xdg, 'git', 'config'),
    join(home, '.gitconfig'),
  ];
}

// GIT_CONFIG_COUNT, GIT_CONFIG_KEY_<n> and GIT_CONFIG_VALUE_<n>.
function entriesOfEnvironment(env: NonNullable<ConfigLocations['env']>): ConfigEntry[] {
  const entries: ConfigEntry[] = [];
  const count = Number(env['GIT_CONFIG_COUNT'] ?? 0);
  for (let index = 0; index < count; index++) {
    const file = `GIT_CONFIG_KEY_${index}`;
    const [key, value] = [env[file], env[`GIT_CONFIG_VALUE_${index}`]];
    if (key === undefined || value === undefined) {
      throw new InvalidConfigError(
        `GIT_CONFIG_COUNT is ${count}, and ${file} or its value is missing`,
      );
    }
    entries.push(entryOfEnvironment(canonical(key), value));
  }
  return entries;
}

function entryOfEnvironment(key: string, value: string): ConfigEntry {
  return { key, value, file: 'the environment', line: 1 };
}

// Subsections tell upper from lower case, sections and variables do not.
function canonical(key: string): string {
  const [first, last] = [key.indexOf('.'), key.lastIndexOf('.')];
  return key.slice(0, first).toLowerCase() + key.slice(first, last) + key.slice(last).toLowerCase();
}

function toBoolean(entry: ConfigEntry): boolean {
  const value = entry.value?.toLowerCase() ?? 'true';
  if (['true', 'yes', 'on'].includes(value)) return true;
  if (['false', 'no', 'off', ''].includes(value)) return false;
  return toInteger(entry, 'boolean') !== 0;
}

function toInteger(entry: ConfigEntry, wanted: string): number {
  const [, digits, suffix = ''] = /^\s*([+-]?\d+)([kmg]?)$/i.exec(entry.value ?? '') ?? [];
  const value = Number(digits) * (sizeFactors[suffix.toLowerCase()] ?? NaN);
  if (Number.isSafeInteger(value)) return value;
  throw new InvalidConfigError(
    `${entry.key} is no ${wanted}: ${JSON.stringify(entry.value)} (line ${entry.line} of ${entry.file})`,
    { path: entry.file },
  );
}
