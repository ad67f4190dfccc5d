import { bytesFromText } from '../git/byte-string.ts';
import type { FileType } from './file-type.ts';

/** A file that an operation touched. */
export interface FileEntry {
  /** Its path inside the repository. */
  path: string;
  type: FileType;
  /** Where its content came from, when the operation copied it: a local path, or one in a snapshot. */
  src?: string;
}

/** A file that an operation could not handle. */
export interface ChangeError {
  path: string;
  /** What went wrong, for people. */
  error: string;
}

/** What an operation changed, or would change (`dryRun`). Directories show as the files in them. */
export interface ChangeReport {
  add: FileEntry[];
  update: FileEntry[];
  delete: FileEntry[];
  /** Files that failed while the operation went on (`ignoreErrors`). */
  errors: ChangeError[];
  /** What was done differently than asked, without harm. */
  warnings: ChangeError[];
}

/** One line of a report. */
export interface ChangeAction {
  path: string;
  action: 'add' | 'update' | 'delete';
}

/** A report of nothing. */
export function emptyChangeReport(): ChangeReport {
  return { add: [], update: [], delete: [], errors: [], warnings: [] };
}

/** Tells whether there was nothing to add, update or delete. */
export function changeReportInSync(report: ChangeReport): boolean {
  return changeReportTotal(report) === 0;
}

/** How many files were added, updated and deleted. */
export function changeReportTotal(report: ChangeReport): number {
  return report.add.length + report.update.length + report.delete.length;
}

/** All additions, updates and deletions, sorted by path. */
export function changeReportActions(report: ChangeReport): ChangeAction[] {
  const actions = (['add', 'update', 'delete'] as const).flatMap((action) =>
    report[action].map(({ path }) => ({ path, action, key: bytesFromText(path) })),
  );
  actions.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return actions.map(({ path, action }) => ({ path, action }));
}
