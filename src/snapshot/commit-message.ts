import { changeReportTotal } from './change-report.ts';
import type { ChangeReport, FileEntry } from './change-report.ts';
import { FileType } from './file-type.ts';

/**
 * The message of a commit with these changes. Without a `message` it says what changed: `+ path`,
 * `~ path` or `- path` for one change, `Batch: +2 ~1 -3` for several, `Batch cp: +2` when an
 * operation has a name. In a given message `{default}` stands for that, `{add_count}`,
 * `{update_count}`, `{delete_count}` and `{total_count}` for the numbers, `{op}` for the operation's
 * name; other braces are left as they are.
 */
export function formatCommitMessage(
  changes: ChangeReport,
  message?: string | null,
  operation?: string | null,
): string {
  const byDefault = defaultMessage(changes, operation ?? '');
  if (message === undefined || message === null) return byDefault;
  const values: Readonly<Record<string, string>> = {
    default: byDefault,
    add_count: String(changes.add.length),
    update_count: String(changes.update.length),
    delete_count: String(changes.delete.length),
    total_count: String(changeReportTotal(changes)),
    op: operation ?? '',
  };
  return message.replace(/\{(\w+)\}/g, (placeholder, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? '') : placeholder,
  );
}

function defaultMessage(changes: ChangeReport, operation: string): string {
  const groups: readonly (readonly [string, readonly FileEntry[]])[] = [
    ['+', changes.add],
    ['~', changes.update],
    ['-', changes.delete],
  ];
  const total = changeReportTotal(changes);
  if (total === 0) return 'No changes';
  if (total === 1 && operation === '') {
    for (const [sign, [entry]] of groups) if (entry) return `${sign} ${describe(entry)}`;
  }
  const counts = groups
    .filter(([, entries]) => entries.length > 0)
    .map(([sign, entries]) => `${sign}${entries.length}`);
  return `${operation === '' ? 'Batch' : `Batch ${operation}`}: ${counts.join(' ')}`;
}

function describe({ path, type }: FileEntry): string {
  if (type === FileType.EXECUTABLE) return `${path} (executable)`;
  return type === FileType.LINK ? `${path} (link)` : path;
}
