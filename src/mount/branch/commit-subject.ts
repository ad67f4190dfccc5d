import { textFromBytes } from '../../git/byte-string.ts';
import type { ByteString } from '../../git/byte-string.ts';
import { isTreeMode } from '../../git/mode.ts';
import { changeReportTotal } from '../../snapshot/change-report.ts';
import type { ChangeReport } from '../../snapshot/change-report.ts';
import { formatCommitMessage } from '../../snapshot/commit-message.ts';
import { joinPath, rootPath } from '../../snapshot/path.ts';
import type { TreeEdit } from '../../snapshot/tree-edit.ts';

const mostPathsNamed = 5;

/**
 * The message of a commit: as the library's, with the template if there is one. A change that
 * concerns no file (empty directories came or went) names the directory.
 */
export function commitSubject(
  changes: ChangeReport,
  edit: TreeEdit,
  template: string | undefined,
): string {
  const isAboutFiles = changeReportTotal(changes) > 0;
  if (isAboutFiles || template !== undefined) return formatCommitMessage(changes, template);
  return directoryChange(edit, rootPath) ?? formatCommitMessage(changes);
}

/** What the reflog says of a commit that overrules what others did to the same paths. */
export function conflictNote(paths: readonly ByteString[]): string {
  const named = paths.slice(0, mostPathsNamed).map((path) => JSON.stringify(textFromBytes(path)));
  const more = paths.length > named.length ? ` and ${paths.length - named.length} more` : '';
  return `commit: kept over changes from outside: ${named.join(', ')}${more}`;
}

function directoryChange(edit: TreeEdit, path: ByteString): string | undefined {
  for (const [name, change] of edit.children) {
    const inner = joinPath(path, name);
    if (change.kind === 'delete') return `- ${textFromBytes(inner)}/`;
    if (change.kind === 'set') {
      if (isTreeMode(change.mode)) return `+ ${textFromBytes(inner)}/`;
      continue;
    }
    const found = directoryChange(change, inner);
    if (found !== undefined) return found;
    if (change.base === null) return `+ ${textFromBytes(inner)}/`;
  }
  return undefined;
}
