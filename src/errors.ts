/** What an error concerns; every field is optional and meant for programs, the message is for people. */
export interface ErrorContext {
  readonly path?: string;
  readonly ref?: string;
  readonly oid?: string;
  readonly cause?: unknown;
}

/**
 * The base of every error that vost throws on purpose. `code` is stable and names the kind;
 * `path`, `ref` and `oid` say what the error concerns.
 */
export class GitStoreError extends Error {
  readonly code: string;
  readonly path: string | undefined;
  readonly ref: string | undefined;
  readonly oid: string | undefined;

  constructor(code: string, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = new.target.name;
    this.code = code;
    this.path = context.path;
    this.ref = context.ref;
    this.oid = context.oid;
  }
}

/** A path, local file or repository does not exist (`ENOENT`). */
export class FileNotFoundError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('ENOENT', message, context);
  }
}

/** A file was asked for where a directory stands (`EISDIR`). */
export class IsADirectoryError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('EISDIR', message, context);
  }
}

/** A directory was asked for where a file stands (`ENOTDIR`). */
export class NotADirectoryError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('ENOTDIR', message, context);
  }
}

/** A write on a snapshot that cannot be written: a tag, a detached commit (`EPERM`). */
export class PermissionError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('EPERM', message, context);
  }
}

/** The branch has moved on since the snapshot was taken; nothing was changed (`STALE_SNAPSHOT`). */
export class StaleSnapshotError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('STALE_SNAPSHOT', message, context);
  }
}

/** A branch, tag, commit or note that was asked for by name does not exist (`KEY_NOT_FOUND`). */
export class KeyNotFoundError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('KEY_NOT_FOUND', message, context);
  }
}

/** A tag that exists cannot be overwritten (`KEY_EXISTS`). */
export class KeyExistsError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('KEY_EXISTS', message, context);
  }
}

/** A name that git would not accept as a ref, or that holds `:` or white space (`INVALID_REF_NAME`). */
export class InvalidRefNameError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('INVALID_REF_NAME', message, context);
  }
}

/** A path with `..`, an empty segment, a NUL byte or a name that git forbids (`INVALID_PATH`). */
export class InvalidPathError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('INVALID_PATH', message, context);
  }
}

/** A batch was used after it was committed or discarded (`BATCH_CLOSED`). */
export class BatchClosedError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('BATCH_CLOSED', message, context);
  }
}

/** An argument has a value that cannot be used (`INVALID_ARGUMENT`). */
export class InvalidArgumentError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('INVALID_ARGUMENT', message, context);
  }
}

/** No object with this id is in the object database, also after it was looked at again (`OBJECT_NOT_FOUND`). */
export class ObjectNotFoundError extends GitStoreError {
  constructor(oid: string, context?: ErrorContext) {
    super('OBJECT_NOT_FOUND', `object ${oid} is not in the repository`, { ...context, oid });
  }
}

/** Stored bytes break the format that they claim to have (`OBJECT_CORRUPT`). */
export class CorruptObjectError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('OBJECT_CORRUPT', message, context);
  }
}

/** An object that would have to be held in memory whole is larger than memory can be addressed (`OBJECT_TOO_LARGE`). */
export class ObjectTooLargeError extends GitStoreError {
  readonly sizeBytes: number;

  constructor(sizeBytes: number, context?: ErrorContext) {
    super('OBJECT_TOO_LARGE', `an object of ${sizeBytes} bytes does not fit into memory`, context);
    this.sizeBytes = sizeBytes;
  }
}

/** Somebody else holds `<ref>.lock`, and did not let go within the time that was waited (`REF_LOCKED`). */
export class RefLockedError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('REF_LOCKED', message, context);
  }
}

/** A ref did not have the value that the caller expected; it was left alone (`REF_CHANGED`). */
export class RefChangedError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('REF_CHANGED', message, context);
  }
}

/** The path holds no git repository (`NOT_A_REPOSITORY`). */
export class NotARepositoryError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('NOT_A_REPOSITORY', message, context);
  }
}

/** The repository uses a format or an extension that vost does not read (`UNSUPPORTED_REPOSITORY`). */
export class UnsupportedRepositoryError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('UNSUPPORTED_REPOSITORY', message, context);
  }
}

/** A ref file, packed-refs or a chain of symbolic refs cannot be understood (`REF_CORRUPT`). */
export class CorruptRefError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('REF_CORRUPT', message, context);
  }
}

/** A ref cannot exist beside another one: `a` and `a/b`, or a name that is taken (`REF_CONFLICT`). */
export class RefConflictError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('REF_CONFLICT', message, context);
  }
}

/** A file of git's configuration, or a value in it, cannot be understood (`CONFIG_INVALID`). */
export class InvalidConfigError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('CONFIG_INVALID', message, context);
  }
}

/** What is known about a git process that failed; see `GitCommandError`. */
export interface GitCommandFailure {
  /** The exit code; `null` when a signal ended it, or when it never started. */
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** The end of what git wrote to its standard error. */
  readonly stderr: string;
}

/** A run of the git program failed, was aborted or took too long (`GIT_COMMAND_FAILED`). */
export class GitCommandError extends GitStoreError {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stderr: string;

  constructor(message: string, failure: GitCommandFailure, context?: ErrorContext) {
    super('GIT_COMMAND_FAILED', message, context);
    this.exitCode = failure.exitCode;
    this.signal = failure.signal;
    this.stderr = failure.stderr;
  }
}

/** No git program is on the PATH, and the operation needs one (`GIT_NOT_FOUND`). */
export class GitNotFoundError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('GIT_NOT_FOUND', message, context);
  }
}

/** A writer was used after it was closed or discarded (`WRITER_CLOSED`). */
export class WriterClosedError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('WRITER_CLOSED', message, context);
  }
}

/** A mirror could not be brought up to date: the other side refused, broke the protocol or went away (`TRANSFER_FAILED`). */
export class TransferError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('TRANSFER_FAILED', message, context);
  }
}

/** A file is no bundle that can be read, or builds on objects that are not there (`BUNDLE_INVALID`). */
export class InvalidBundleError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('BUNDLE_INVALID', message, context);
  }
}

/** An archive is truncated or damaged, contradicts itself, or uses what is not read (`ARCHIVE_INVALID`). */
export class InvalidArchiveError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('ARCHIVE_INVALID', message, context);
  }
}

/** An archive holds more than the caller allows: entries, bytes of one, or bytes of all (`ARCHIVE_LIMIT`). */
export class ArchiveLimitError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('ARCHIVE_LIMIT', message, context);
  }
}

/** A program that an operation needs is not on the PATH (`PROGRAM_NOT_FOUND`). */
export class ProgramNotFoundError extends GitStoreError {
  constructor(message: string, context?: ErrorContext) {
    super('PROGRAM_NOT_FOUND', message, context);
  }
}
