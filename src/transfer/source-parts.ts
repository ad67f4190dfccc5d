import type { ByteString } from '../git/byte-string.ts';

/** Something that can be copied, on the disk or in a snapshot. */
export interface SourceItem {
  readonly isDirectory: boolean;
}

/**
 * A piece of what a copy puts into a directory of its destination: without `names` all that is in
 * the item, a directory; with names the item itself, at that path below.
 */
export interface SourcePart<Item extends SourceItem> {
  readonly names: readonly ByteString[];
  readonly item: Item;
}

/** What a copy puts at one name: a file or link, or a directory of all the parts that fill it. */
export type MergedEntry<Item extends SourceItem> =
  | { readonly kind: 'leaf'; readonly item: Item }
  | { readonly kind: 'directory'; readonly parts: readonly SourcePart<Item>[] };

/** Tells whether a part is, or makes necessary, a directory. */
export function isDirectoryPart({ names, item }: SourcePart<SourceItem>): boolean {
  return names.length > 0 || item.isDirectory;
}

/**
 * Lays the parts of several sources over each other, as rsync does: directories of one name become
 * one, a directory goes before a file, and else the source that was named first wins.
 */
export function mergeParts<Item extends SourceItem>(
  named: Iterable<readonly [ByteString, SourcePart<Item>]>,
): Map<ByteString, MergedEntry<Item>> {
  const merged = new Map<ByteString, MergedEntry<Item>>();
  for (const [name, part] of named) {
    const known = merged.get(name);
    if (!isDirectoryPart(part)) {
      if (known === undefined) merged.set(name, { kind: 'leaf', item: part.item });
    } else {
      const before = known?.kind === 'directory' ? known.parts : [];
      merged.set(name, { kind: 'directory', parts: [...before, part] });
    }
  }
  return merged;
}
