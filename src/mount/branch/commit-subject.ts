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
  return directoryChange(edit) ?? formatCommitMessage(changes);
}

/** What the reflog says of a commit that overrules what others did to the same paths. */
export function conflictNote(paths: readonly ByteString[]): string {
  const named = paths.slice(0, mostPathsNamed).map((path) => JSON.stringify(textFromBytes(path)));
  const more = paths.length > named.length ? ` and ${paths.length - named.length} more` : '';
  return `commit: kept over changes from outside: ${named.join(', ')}${more}`;
}

/** The first change that is found inside a directory tells of it, and a new directory of itself last. */
function directoryChange(edit: TreeEdit): string | undefined {
  const open = [{ children: edit.children.entries(), path: rootPath, isNew: false }];
  for (let at = open.at(-1); at !== undefined; at = open.at(-1)) {
    const next = at.children.next();
    if (next.done === true) {
      if (at.isNew) return `+ ${textFromBytes(at.path)}/`;
      open.pop();
      continue;
    }
    const [name, change] = next.value;
    const path = joinPath(at.path, name);
    if (change.kind === 'delete') return `- ${textFromBytes(path)}/`;
    if (change.kind === 'edit') {
      open.push({ children: change.children.entries(), path, isNew: change.base === null });
    } else if (isTreeMode(change.mode)) {
      return `+ ${textFromBytes(path)}/`;
    }
  }
  return undefined;
}
