import type { ByteString } from '../git/byte-string.ts';
import type { TreeEntry } from '../git/object.ts';
import type { ObjectDatabase } from '../git/odb/object-database.ts';
import { joinPath } from '../snapshot/path.ts';
import { isDirectoryEntry } from '../snapshot/snapshot-reader.ts';
import { treeOf } from '../snapshot/tree.ts';
import type { SourceItem } from './source-parts.ts';

/** Something in a snapshot that is to be copied. */
export interface StoredItem extends SourceItem {
  readonly path: ByteString;
  readonly entry: TreeEntry;
}

/** What stands at a path of a snapshot; a submodule counts as a directory. */
export function storedItem(path: ByteString, entry: TreeEntry): StoredItem {
  return { path, entry, isDirectory: isDirectoryEntry(entry) };
}

/** What is in a directory that is no submodule. */
export async function listStored(
  odb: ObjectDatabase,
  { path, entry }: StoredItem,
): Promise<StoredItem[]> {
  const tree = await treeOf(odb, entry.oid);
  return Array.from(tree, (child) => storedItem(joinPath(path, child.name), child));
}
