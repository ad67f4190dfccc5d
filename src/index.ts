/** The library: a versioned file system over a bare git repository. */
export { GitStore } from './store/git-store.ts';
export type { OpenOptions } from './store/open-context.ts';
export { RefDict } from './store/ref-dict.ts';
export type { ReflogEntry } from './store/ref-dict.ts';
export { NoteDict, NoteNamespace, NotesBatch } from './store/notes.ts';
export type { NoteTarget } from './store/notes.ts';
export { retryWrite } from './store/retry-write.ts';
export type { RetryWriteOptions } from './store/retry-write.ts';
export { validateRefName } from './store/ref-names.ts';

export { FS } from './snapshot/fs.ts';
export { Batch } from './snapshot/batch.ts';
export type { ModeOptions } from './snapshot/batch.ts';
export { BatchWriter, FsWriter } from './snapshot/writer.ts';
export type { WriterMode } from './snapshot/writer.ts';
export type { ReadRange } from './snapshot/snapshot-reader.ts';
export type {
  BatchOptions,
  CommitOptions,
  CopyFromRefOptions,
  DryRunOptions,
  LogOptions,
  ReorganizeOptions,
  WriteOptions,
  WriteTextOptions,
} from './snapshot/write-options.ts';
export type { LocalFile, WriteEntry, WriteValue } from './snapshot/content.ts';
export { normalizePath } from './snapshot/path.ts';
export { formatCommitMessage } from './snapshot/commit-message.ts';
export {
  changeReportActions,
  changeReportInSync,
  changeReportTotal,
  emptyChangeReport,
} from './snapshot/change-report.ts';
export type {
  ChangeAction,
  ChangeError,
  ChangeReport,
  FileEntry,
} from './snapshot/change-report.ts';
export {
  FileType,
  MODE_BLOB,
  MODE_BLOB_EXEC,
  MODE_LINK,
  MODE_TREE,
  fileModeFromType,
  fileTypeFromMode,
} from './snapshot/file-type.ts';
export type { ModeOption } from './snapshot/file-type.ts';
export type { CommitInfo, Signature, StatResult, WalkEntry } from './snapshot/stat.ts';

import './transfer/disk-transfer.ts';
export type {
  CopyInOptions,
  CopyOutOptions,
  SyncInOptions,
  SyncOutOptions,
  TransferOptions,
  TransferProgress,
} from './transfer/transfer-options.ts';
export { diskGlob } from './transfer/disk-glob.ts';
export { ExcludeFilter } from './transfer/exclude-filter.ts';
export type { ExcludeFilterOptions } from './transfer/exclude-filter.ts';

import './transfer/store-maintenance.ts';
import './transfer/store-transfer.ts';
export { mirrorDiffInSync, mirrorDiffTotal } from './transfer/mirror-diff.ts';
export type { MirrorDiff, RefChange } from './transfer/mirror-diff.ts';
export { resolveCredentials } from './transfer/credentials.ts';
export type {
  BackupOptions,
  BundleExportOptions,
  MirrorOptions,
  MirrorProgress,
  RefSelection,
  RestoreOptions,
} from './transfer/mirror-options.ts';
export type { AuthCallback, GitAuth, HttpClient } from './transfer/http-client.ts';

export type { MaintenanceOptions, MaintenanceProgress } from './git/odb/repack.ts';

export { archiveIn } from './transfer/archive-in.ts';
export type { ArchiveInOptions } from './transfer/archive-in.ts';
export type { ArchiveFormatName } from './transfer/archive-format.ts';
export type { ArchiveLimits } from './transfer/archive-limits.ts';
export { archiveOut } from './transfer/archive-out.ts';
export type { ArchiveOutOptions } from './transfer/archive-out.ts';

export * from './errors.ts';
