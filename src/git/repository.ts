import { basename, join } from 'node:path';
import {
  FileNotFoundError,
  InvalidArgumentError,
  InvalidConfigError,
  NotARepositoryError,
} from '../errors.ts';
import { bytesFromText } from './byte-string.ts';
import { GitConfig, readConfigFile } from './config.ts';
import { diskAt } from './disk.ts';
import type { Disk } from './disk.ts';
import type { Identity } from './identity.ts';
import { ObjectDatabase } from './odb/object-database.ts';
import type { ObjectDatabaseOptions } from './odb/object-database.ts';
import type { HashAlgorithm } from './oid.ts';
import type { ReflogPolicy } from './refs/ref-logs.ts';
import { isNear } from './near-filesystem.ts';
import { LateLockMarks } from './refs/late-lock-marks.ts';
import { branchPrefix, refNameIn } from './refs/ref-name.ts';
import { RefStore } from './refs/ref-store.ts';
import { completeRepository, prepareRepository } from './repository-creation.ts';
import { algorithmOf } from './repository-format.ts';
import { findRepository, type FoundRepository } from './repository-layout.ts';
import { sharedUmask } from './shared-repository.ts';

/** How a repository is used; what is left out comes from its configuration. */
export interface RepositoryOptions {
  /** zlib's level for new objects, 0 (stored) to 9. Default `core.looseCompression`, `core.compression`, 6. */
  readonly compressionLevel?: number | undefined;
  /** In place of 6 where neither says anything. */
  readonly defaultCompressionLevel?: number | undefined;
  /** From which size on blobs are streamed. Default `core.bigFileThreshold`, 512 MiB. */
  readonly bigFileThresholdBytes?: number | undefined;
  /** A bound for the caches of the object database. */
  readonly cacheSizeBytes?: number | undefined;
  /**
   * Whether a commit, or another change of a ref, is done only when all of it is on stable storage: objects
   * first, then the ref and its reflog. Default `true`; without it a power cut may leave a ref that leads to
   * what is not there.
   */
  readonly fsync?: boolean | undefined;
  /** How long to wait for the lock of a ref where `core.filesRefLockTimeout` says nothing. Default 1000. */
  readonly lockTimeoutMs?: number | undefined;
  /**
   * Marks the locks of refs while they are held, and removes those that a process left which marked
   * its own and was killed: for those that must not block a branch by dying. Default `false`.
   */
  readonly markLocks?: boolean | undefined;
  /**
   * The process is there for this repository alone: it gets the umask that `core.sharedRepository` asks for.
   * Default `false`.
   */
  readonly setsUmask?: boolean | undefined;
}

/** A repository that is to be made. */
export interface CreationOptions extends RepositoryOptions {
  /** The short name of the branch that `HEAD` leads to; `null` is `main`. It is not created. */
  readonly initialBranch: string | null;
  /** Default `sha1`. */
  readonly algorithm?: HashAlgorithm;
  /**
   * Called before the repository begins to exist for others, to write what it should begin with.
   * Not called when there is one already; but several processes that create the same one at the
   * same time may each call it, and one that was cut off is called again.
   */
  readonly populate?: (repository: Repository) => Promise<void>;
}

/** What zlib itself takes by default. */
const zlibLevel = 6;
const defaultBigFileThresholdBytes = 512 * 2 ** 20;
const defaultLockTimeoutMs = 1000;
// For git, a negative timeout is to wait for ever; every wait of ours has an end.
const longestLockTimeoutMs = 600_000;

type RepositoryParts = Pick<
  Repository,
  'gitDir' | 'commonDir' | 'disk' | 'algorithm' | 'isBare' | 'syncs' | 'config' | 'odb' | 'refs'
>;

/** A git repository on disk: its configuration, objects and refs. */
export class Repository {
  /** The git directory: it holds `HEAD`. An absolute path. */
  readonly gitDir: string;
  /** The git directory that linked worktrees share: it holds objects, refs and config. */
  readonly commonDir: string;
  /** Where `commonDir` is. */
  readonly disk: Disk;
  readonly algorithm: HashAlgorithm;
  readonly isBare: boolean;
  /** See `RepositoryOptions.fsync`. */
  readonly syncs: boolean;
  readonly config: GitConfig;
  readonly odb: ObjectDatabase;
  readonly refs: RefStore;
  readonly #lockMarks: LateLockMarks | undefined;

  private constructor(parts: RepositoryParts, lockMarks: LateLockMarks | undefined) {
    this.#lockMarks = lockMarks;
    this.gitDir = parts.gitDir;
    this.commonDir = parts.commonDir;
    this.disk = parts.disk;
    this.algorithm = parts.algorithm;
    this.isBare = parts.isBare;
    this.syncs = parts.syncs;
    this.config = parts.config;
    this.odb = parts.odb;
    this.refs = parts.refs;
  }

  /**
   * Opens the repository at a path: a bare one, a `.git` directory, or a worktree that holds one (or
   * a file that leads to one). Errors: `FileNotFoundError` when nothing is there,
   * `NotARepositoryError`, `UnsupportedRepositoryError` for formats and extensions that are not
   * known, `InvalidConfigError`.
   */
  static async open(path: string, options: RepositoryOptions = {}): Promise<Repository> {
    return Repository.#assemble(await findRepository(path), options);
  }

  /**
   * Makes a bare repository with reflogs for all refs, or opens the one that is there. The
   * directory, and those above it, are made when missing; one that holds something else is a
   * `NotARepositoryError`. A creation that was cut off leaves what no one takes for a repository, and
   * what the next creation completes.
   */
  static async create(path: string, options: CreationOptions): Promise<Repository> {
    try {
      return await Repository.open(path, options);
    } catch (error) {
      if (!(error instanceof FileNotFoundError || error instanceof NotARepositoryError))
        throw error;
    }
    const branch = refNameIn(branchPrefix, bytesFromText(options.initialBranch ?? 'main'));
    const layout = await prepareRepository(path, options.algorithm ?? 'sha1');
    const disk = await diskAt(layout.commonDir);
    const repository = await Repository.#assemble({ ...layout, disk }, options);
    try {
      await options.populate?.(repository);
      await completeRepository(layout, branch);
    } catch (error) {
      await repository.close();
      throw error;
    }
    return repository;
  }

  static async #assemble(found: FoundRepository, options: RepositoryOptions): Promise<Repository> {
    const { gitDir, commonDir, disk } = found;
    const objectsDirectory = join(commonDir, 'objects');
    const [ownEntries, config, isObjectsNear] = await Promise.all([
      readConfigFile(join(commonDir, 'config'), disk),
      GitConfig.load(found),
      isNear(Buffer.from(objectsDirectory)),
    ]);
    const algorithm = algorithmOf(ownEntries, commonDir);
    if (options.setsUmask === true) {
      // It can be read by setting it alone.
      const umask = process.umask(0o077);
      process.umask(sharedUmask(config, umask));
    }
    const isLinked = gitDir !== commonDir;
    const isBare = !isLinked && (config.getBool('core.bare') ?? basename(gitDir) !== '.git');
    const { cacheSizeBytes, fsync: syncs = true } = options;
    const objectOptions: ObjectDatabaseOptions = {
      isNear: isObjectsNear,
      objectsDirectory,
      algorithm,
      compressionLevel: compressionLevelOf(config, options),
      bigFileThresholdBytes:
        options.bigFileThresholdBytes ??
        config.getInt('core.bigFileThreshold') ??
        defaultBigFileThresholdBytes,
      ...(cacheSizeBytes === undefined ? {} : { cacheSizeBytes }),
    };
    const [odb, lockMarks] = await openBoth(
      ObjectDatabase.open(objectOptions),
      options.markLocks === true
        ? LateLockMarks.prepare(commonDir, disk)
        : Promise.resolve(undefined),
    );
    const refs = new RefStore({
      disk,
      gitDir,
      commonDir,
      algorithm,
      lockMarks,
      reflogPolicy: reflogPolicyOf(config, isBare),
      lockTimeoutMs: timeoutOf(config, 'core.filesRefLockTimeout', options.lockTimeoutMs),
      packedRefsTimeoutMs: timeoutOf(config, 'core.packedRefsTimeout'),
      fsync: syncs,
    });
    const parts = { gitDir, commonDir, disk, algorithm, isBare, syncs, config, odb, refs };
    return new Repository(parts, lockMarks);
  }

  /**
   * Gets ready for locks, which the first one does otherwise, and takes away those that the killed have
   * left. Nothing without `markLocks`.
   *
   * @returns what tells this opening of the repository from others, whose lives `isOwnerAlive` knows;
   * `undefined` without `markLocks`, and where the filesystem has no sockets
   */
  async owner(): Promise<string | undefined> {
    return (await this.#lockMarks?.open())?.owner;
  }

  /** Who works here by the configuration, `user.name` and `user.email`; `null` when either is missing. */
  get configuredIdentity(): Identity | null {
    const name = this.config.get('user.name') ?? '';
    const email = this.config.get('user.email') ?? '';
    return name === '' || email === '' ? null : { name, email };
  }

  /** Lets go of open files. */
  async close(): Promise<void> {
    await this.odb.close();
    await this.#lockMarks?.close();
  }
}

/** What both promises give; when one of them fails, what the other gives is closed again. */
async function openBoth<First extends Closable, Second extends Closable>(
  first: Promise<First>,
  second: Promise<Second>,
): Promise<[First, Second]> {
  try {
    return await Promise.all([first, second]);
  } catch (error) {
    for (const outcome of await Promise.allSettled<Closable>([first, second])) {
      if (outcome.status === 'fulfilled') await outcome.value?.close();
    }
    throw error;
  }
}

type Closable = { close(): Promise<void> } | undefined;

function reflogPolicyOf(config: GitConfig, isBare: boolean): ReflogPolicy {
  const value = config.get('core.logAllRefUpdates');
  if (value?.toLowerCase() === 'always') return 'always';
  const wanted = config.getBool('core.logAllRefUpdates') ?? !isBare;
  return wanted ? 'normal' : 'never';
}

function timeoutOf(
  config: GitConfig,
  key: string,
  otherwiseMs: number = defaultLockTimeoutMs,
): number {
  const timeoutMs = config.getInt(key) ?? otherwiseMs;
  return timeoutMs < 0 ? longestLockTimeoutMs : timeoutMs;
}

function compressionLevelOf(
  config: GitConfig,
  { compressionLevel, defaultCompressionLevel = zlibLevel }: RepositoryOptions,
): number {
  if (compressionLevel !== undefined) {
    if (isLevel(compressionLevel)) return compressionLevel;
    throw new InvalidArgumentError(`not a compression level: ${compressionLevel}`);
  }
  const key =
    config.get('core.looseCompression') === undefined
      ? 'core.compression'
      : 'core.looseCompression';
  const level = config.getInt(key) ?? defaultCompressionLevel;
  if (level === -1) return zlibLevel;
  if (isLevel(level)) return level;
  throw new InvalidConfigError(`${key} is not a compression level: ${level}`);
}

function isLevel(level: number): boolean {
  return Number.isInteger(level) && level >= 0 && level <= 9;
}
