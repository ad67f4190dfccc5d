import type { ByteString } from '../../git/byte-string.ts';
import type { DirectoryVnode } from '../vfs/vnode.ts';
import { BranchHistories } from './branch-histories.ts';
import { BranchTreeDirectory } from './branch-tree-directory.ts';
import type { BranchView } from './branch-tree-directory.ts';
import { HistoryDirectory } from './history-directory.ts';
import { NameNumbers } from './name-numbers.ts';
import type { NamespaceOptions } from './namespace-options.ts';
import { VersionsDirectory, noAbsentPaths } from './versions-directory.ts';

/** `/.history` and `/.versions`, by their names: two views of what the branches were. */
export function historyDirectories(
  options: NamespaceOptions,
  parent: DirectoryVnode,
): Readonly<Record<'.history' | '.versions', DirectoryVnode>> {
  const histories = new BranchHistories(options);
  const tree = (view: BranchView): DirectoryVnode => {
    const { context } = options;
    const shared = { options, histories, numbers: new NameNumbers(context), view };
    const place = { ino: context.inos.next(), parent };
    return new BranchTreeDirectory(shared, place, '' as ByteString);
  };
  const absent = noAbsentPaths();
  return {
    '.history': tree((...args) => new HistoryDirectory(...args)),
    '.versions': tree((shared, ...args) => new VersionsDirectory(shared, absent, ...args)),
  };
}
