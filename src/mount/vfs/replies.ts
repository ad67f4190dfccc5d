import type { Attr, AttrReply, EntryReply } from './operations.ts';
import type { DirectoryVnode, Vnode } from './vnode.ts';

/** What the kernel is told of a node. */
export function attrReply(node: Vnode, attr: Attr): AttrReply {
  return { attr, attrValidSec: node.cache.attrValidSec };
}

/** What the kernel is told of a name that leads to a node. */
export function entryReply(directory: DirectoryVnode, node: Vnode, attr: Attr): EntryReply {
  const entryValidSec = directory.entryValidSec(node);
  return { attr, entryValidSec, attrValidSec: node.cache.attrValidSec };
}

/** What the kernel is told of a name that leads nowhere. */
export function missingEntry({ cache }: DirectoryVnode): EntryReply {
  const entryValidSec = cache.missingValidSec ?? cache.entriesValidSec;
  return { attr: null, entryValidSec, attrValidSec: 0 };
}
